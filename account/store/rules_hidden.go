package store

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// The functions below are for what only a reconciliation found. It hides what is
// missing at Clerk, and restores what Clerk lists again. A hidden row has
// deleted_at, so that everything else takes it for deleted; hidden_at says that
// its data are still there. Events do not change it, except that a deletion makes
// a tombstone of it.

// saveUsers stores users that Clerk listed, and tells the application's instances.
func saveUsers(ctx context.Context, tx pgx.Tx, records []userRecord, asked time.Time) (changes, error) {
	restored, err := restore(ctx, tx, users, (&listing[userRecord]{records: records}).ids())
	if err != nil {
		return changes{}, err
	}
	stored, err := storeUsers(ctx, tx, records, source{askedAt: &asked})
	if err != nil {
		return changes{}, err
	}
	result := stored.with(restored)
	return result, announce(ctx, tx, result)
}

// saveOrganizations stores organizations that Clerk listed.
func saveOrganizations(ctx context.Context, tx pgx.Tx, records []organizationRecord, asked time.Time) (changes, error) {
	restored, err := restore(ctx, tx, organizations, (&listing[organizationRecord]{records: records}).ids())
	if err != nil {
		return changes{}, err
	}
	stored, err := storeOrganizations(ctx, tx, records, source{askedAt: &asked})
	return stored.with(restored), err
}

// saveMemberships stores memberships that Clerk listed.
func saveMemberships(ctx context.Context, tx pgx.Tx, records []membershipRecord, asked time.Time) (changes, error) {
	return replaceMemberships(ctx, tx, nil, records, asked)
}

// replaceMemberships stores memberships that Clerk listed, after it deleted some
// that they replace.
func replaceMemberships(ctx context.Context, tx pgx.Tx, replaced, records []membershipRecord, asked time.Time) (changes, error) {
	all := append(replaced[:len(replaced):len(replaced)], records...)
	if err := lockMembers(ctx, tx, all); err != nil {
		return changes{}, err
	}
	deleted, err := deleteLocked(ctx, tx, replaced, asked)
	if err != nil {
		return changes{}, err
	}
	restored, err := restoreMemberships(ctx, tx, (&listing[membershipRecord]{records: newest(records)}).ids())
	if err != nil {
		return changes{}, err
	}
	stored, err := storeLocked(ctx, tx, records, source{askedAt: &asked})
	stored.deleted = append(stored.deleted, deleted.deleted...)
	return stored.with(restored), err
}

// with adds rows that were restored, and counts none of them twice.
func (c changes) with(restored []string) changes {
	c.changed = without(c.changed, restored)
	c.restored = restored
	return c
}

// restore shows hidden rows again. It locks all of the rows.
func restore(ctx context.Context, tx pgx.Tx, k kind, ids []string) ([]string, error) {
	if _, err := tx.Exec(ctx, "SELECT FROM "+string(k)+" WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE", ids); err != nil {
		return nil, err
	}
	return collect[string](ctx, tx, "UPDATE "+string(k)+" SET deleted_at = NULL, hidden_at = NULL WHERE id = ANY($1) AND hidden_at IS NOT NULL RETURNING id", ids)
}

// restoreMemberships shows hidden memberships again, of users and organizations
// that are there.
func restoreMemberships(ctx context.Context, tx pgx.Tx, ids []string) ([]string, error) {
	return changeMembers(ctx, tx, +1, `
		UPDATE memberships AS old SET deleted_at = NULL, hidden_at = NULL
		FROM users, organizations
		WHERE old.id = ANY($1) AND old.hidden_at IS NOT NULL
			AND users.id = old.user_id AND users.deleted_at IS NULL
			AND organizations.id = old.organization_id AND organizations.deleted_at IS NULL
			AND NOT EXISTS (SELECT FROM memberships AS other
				WHERE other.organization_id = old.organization_id AND other.user_id = old.user_id AND other.deleted_at IS NULL)
		RETURNING old.id, old.organization_id`, ids)
}

// hideUsers hides users and their memberships, unless they were stored after the
// time given.
func hideUsers(ctx context.Context, tx pgx.Tx, ids []string, storedBefore time.Time) (result changes, err error) {
	if result.hidden, err = hide(ctx, tx, users, "", ids, storedBefore); err != nil {
		return result, err
	}
	if err := lockOrganizationsOf(ctx, tx, result.hidden); err != nil {
		return result, err
	}
	_, err = changeMembers(ctx, tx, -1, hideMembershipsWhere+"user_id = ANY($1) RETURNING id, organization_id", result.hidden)
	return result, err
}

// hideOrganizations hides organizations and their memberships.
func hideOrganizations(ctx context.Context, tx pgx.Tx, ids []string, storedBefore time.Time) (result changes, err error) {
	if result.hidden, err = hide(ctx, tx, organizations, "members = 0, ", ids, storedBefore); err != nil {
		return result, err
	}
	_, err = tx.Exec(ctx, hideMembershipsWhere+"organization_id = ANY($1)", result.hidden)
	return result, err
}

// hide hides rows of users or organizations.
func hide(ctx context.Context, tx pgx.Tx, k kind, also string, ids []string, storedBefore time.Time) ([]string, error) {
	return collect[string](ctx, tx, `
		UPDATE `+string(k)+` SET `+also+`deleted_at = now(), hidden_at = now(), stored_at = clock_timestamp()
		WHERE id IN (SELECT id FROM `+string(k)+` WHERE id = ANY($1) AND deleted_at IS NULL AND stored_at <= $2 ORDER BY id FOR NO KEY UPDATE)
		RETURNING id`, ids, storedBefore)
}

const hideMembershipsWhere = `
	UPDATE memberships SET deleted_at = now(), hidden_at = now(), stored_at = clock_timestamp() WHERE deleted_at IS NULL AND `

// hideMemberships hides memberships.
func hideMemberships(ctx context.Context, tx pgx.Tx, ids []string, storedBefore time.Time) (result changes, err error) {
	records, err := query[membershipRecord](ctx, tx, `
		SELECT id, organization_id, user_id, role, created_at, updated_at FROM memberships WHERE id = ANY($1) AND deleted_at IS NULL`, ids)
	if err != nil {
		return result, err
	}
	if err := lockMembers(ctx, tx, records); err != nil {
		return result, err
	}
	result.hidden, err = changeMembers(ctx, tx, -1, hideMembershipsWhere+"id = ANY($1) AND stored_at <= $2 RETURNING id, organization_id", ids, storedBefore)
	return result, err
}

// eraseMemberships makes tombstones of hidden memberships.
func eraseMemberships(ctx context.Context, tx pgx.Tx, ids []string, at time.Time) (result changes, err error) {
	result.deleted, err = collect[string](ctx, tx, `
		UPDATE memberships SET role = '', identifier = '', deleted_at = $2, hidden_at = NULL, stored_at = clock_timestamp()
		WHERE id = ANY($1) AND hidden_at IS NOT NULL RETURNING id`, ids, at)
	return result, err
}

// changeMembers runs a statement that changes memberships, whose organizations
// are locked, and counts each as so many members. It returns their ids.
func changeMembers(ctx context.Context, tx pgx.Tx, by int, statement string, args ...any) (ids []string, err error) {
	type row struct{ ID, OrganizationID string }
	rows, err := query[row](ctx, tx, statement, args...)
	if err != nil {
		return nil, err
	}
	members := memberCounts{}
	for _, r := range rows {
		ids = append(ids, r.ID)
		members[r.OrganizationID] += by
	}
	return ids, members.save(ctx, tx)
}

// without returns the strings that are not in the others.
func without(all, others []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(one string) bool { return slices.Contains(others, one) })
}
