package store

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// membershipRows reads the records of a statement's first parameter whose user
// and organization are not deleted.
const membershipRows = `
	SELECT new.* FROM jsonb_to_recordset($1) AS new (id text, organization_id text, user_id text, role text,
		created_at timestamptz, updated_at timestamptz, identifier text)
	JOIN users ON users.id = new.user_id AND users.deleted_at IS NULL
	JOIN organizations ON organizations.id = new.organization_id AND organizations.deleted_at IS NULL`

// storeMemberships stores records of memberships. Clerk has at most one
// membership of a user in an organization at a time. A membership that began
// later ends an earlier one, and a membership that began earlier than a stored
// one is over already.
func storeMemberships(ctx context.Context, tx pgx.Tx, records []membershipRecord, from source) (changes, error) {
	if err := lockMembers(ctx, tx, records); err != nil {
		return changes{}, err
	}
	return storeLocked(ctx, tx, records, from)
}

// storeLocked is storeMemberships for users and organizations that are locked.
func storeLocked(ctx context.Context, tx pgx.Tx, records []membershipRecord, from source) (changes, error) {
	var result changes
	if len(records) == 0 {
		return result, nil
	}
	records = newest(records)
	encoded, err := json.Marshal(records)
	if err != nil {
		return result, err
	}
	members := memberCounts{}
	if result.deleted, err = endEarlier(ctx, tx, encoded, members); err != nil {
		return result, err
	}
	rows, err := tx.Query(ctx, `
		WITH new AS (`+membershipRows+`)
		INSERT INTO memberships AS old (id, organization_id, user_id, role, identifier, created_at, updated_at, said_at)
		SELECT id, organization_id, user_id, role, identifier, created_at, updated_at, $2 FROM new
		WHERE NOT EXISTS (
			SELECT FROM memberships AS other
			WHERE other.organization_id = new.organization_id AND other.user_id = new.user_id AND other.id <> new.id
				AND (other.created_at > new.created_at OR other.deleted_at IS NULL)
		)
		ORDER BY id
		ON CONFLICT (id) DO UPDATE SET
			role = excluded.role, identifier = excluded.identifier, updated_at = excluded.updated_at,
			said_at = coalesce(excluded.said_at, old.said_at), stored_at = clock_timestamp()
		WHERE old.deleted_at IS NULL AND (
			excluded.updated_at > old.updated_at
			OR excluded.updated_at = old.updated_at
				AND ($3::timestamptz > old.stored_at OR $2::timestamptz >= coalesce(old.said_at, '-infinity'))
				AND (excluded.role, excluded.identifier) IS DISTINCT FROM (old.role, old.identifier)
		)
		RETURNING id, organization_id, xmax = 0`, encoded, from.saidAt, from.askedAt)
	if err != nil {
		return result, err
	}
	var id, organizationID string
	var added bool
	_, err = pgx.ForEachRow(rows, []any{&id, &organizationID, &added}, func() error {
		if added {
			result.added = append(result.added, id)
			members[organizationID]++
		} else {
			result.changed = append(result.changed, id)
		}
		return nil
	})
	if err != nil {
		return result, err
	}
	return result, members.save(ctx, tx)
}

// endEarlier ends the memberships that began before the record of the same member,
// and returns their ids.
func endEarlier(ctx context.Context, tx pgx.Tx, encoded []byte, members memberCounts) (ended []string, err error) {
	rows, err := tx.Query(ctx, `
		WITH new AS (`+membershipRows+`)
		UPDATE memberships AS old SET role = '', identifier = '', deleted_at = new.created_at, stored_at = clock_timestamp()
		FROM new
		WHERE old.organization_id = new.organization_id AND old.user_id = new.user_id
			AND old.created_at < new.created_at AND old.deleted_at IS NULL
		RETURNING old.id, old.organization_id`, encoded)
	if err != nil {
		return nil, err
	}
	var id, organizationID string
	_, err = pgx.ForEachRow(rows, []any{&id, &organizationID}, func() error {
		ended = append(ended, id)
		members[organizationID]--
		return nil
	})
	return ended, err
}

// deleteMemberships turns memberships into tombstones.
func deleteMemberships(ctx context.Context, tx pgx.Tx, records []membershipRecord, at time.Time) (changes, error) {
	if err := lockMembers(ctx, tx, records); err != nil {
		return changes{}, err
	}
	return deleteLocked(ctx, tx, records, at)
}

// deleteLocked is deleteMemberships for users and organizations that are locked.
func deleteLocked(ctx context.Context, tx pgx.Tx, records []membershipRecord, at time.Time) (changes, error) {
	var result changes
	if len(records) == 0 {
		return result, nil
	}
	if _, err := eraseMemberships(ctx, tx, (&listing[membershipRecord]{records: records}).ids(), at); err != nil {
		return result, err
	}
	encoded, err := json.Marshal(records)
	if err != nil {
		return result, err
	}
	rows, err := tx.Query(ctx, `
		WITH new AS (`+membershipRows+`)
		INSERT INTO memberships AS old (id, organization_id, user_id, created_at, updated_at, deleted_at)
		SELECT id, organization_id, user_id, created_at, updated_at, $2 FROM new ORDER BY id
		ON CONFLICT (id) DO UPDATE SET role = '', identifier = '', deleted_at = excluded.deleted_at, stored_at = clock_timestamp()
		WHERE old.deleted_at IS NULL
		RETURNING id, organization_id, xmax = 0`, encoded, at)
	if err != nil {
		return result, err
	}
	members := memberCounts{}
	var id, organizationID string
	var added bool
	_, err = pgx.ForEachRow(rows, []any{&id, &organizationID, &added}, func() error {
		result.deleted = append(result.deleted, id)
		if !added {
			members[organizationID]--
		}
		return nil
	})
	if err != nil {
		return result, err
	}
	return result, members.save(ctx, tx)
}

// newest returns the newest membership of each user in each organization. A page
// and what Clerk says a moment later can hold two.
func newest(records []membershipRecord) []membershipRecord {
	type pair struct{ organizationID, userID string }
	best := make(map[pair]membershipRecord, len(records))
	for _, r := range records {
		at := pair{r.OrganizationID, r.UserID}
		if known, ok := best[at]; !ok || r.CreatedAt.After(known.CreatedAt) {
			best[at] = r
		}
	}
	return slices.DeleteFunc(slices.Clone(records), func(r membershipRecord) bool {
		return best[pair{r.OrganizationID, r.UserID}].ID != r.ID
	})
}

// lockMembers locks the users and organizations of memberships, so that no row
// is deleted during the change, and changes of the same members come one after
// the other. Users and organizations that are not known yet are added with
// nothing but their ids.
func lockMembers(ctx context.Context, tx pgx.Tx, records []membershipRecord) error {
	if len(records) == 0 {
		return nil
	}
	var users, organizations []string
	for _, r := range records {
		users = append(users, r.UserID)
		organizations = append(organizations, r.OrganizationID)
	}
	for _, step := range []struct {
		statement string
		ids       []string
	}{
		{"INSERT INTO users (id) SELECT DISTINCT unnest($1::text[]) AS id ORDER BY id ON CONFLICT DO NOTHING", users},
		{"SELECT FROM users WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE", users},
		{"INSERT INTO organizations (id) SELECT DISTINCT unnest($1::text[]) AS id ORDER BY id ON CONFLICT DO NOTHING", organizations},
		{"SELECT FROM organizations WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE", organizations},
	} {
		if _, err := tx.Exec(ctx, step.statement, step.ids); err != nil {
			return err
		}
	}
	return nil
}

// memberCounts is by how much the number of members of organizations changes.
type memberCounts map[string]int

func (m memberCounts) save(ctx context.Context, tx pgx.Tx) error {
	var ids []string
	var by []int
	for id, n := range m {
		if n != 0 {
			ids, by = append(ids, id), append(by, n)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `
		UPDATE organizations SET members = members + changed.by
		FROM unnest($1::text[], $2::int[]) AS changed (id, by) WHERE organizations.id = changed.id`, ids, by)
	return err
}
