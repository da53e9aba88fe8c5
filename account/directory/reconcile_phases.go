package directory

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// users compares a page of Clerk's users with the rows that were created in the
// same span of time. A row that the page leaves out is not taken for deleted:
// Clerk is asked for the user.
func (r *reconciliation) users(ctx context.Context) error {
	asked, page, err := readPage(ctx, r, r.clerk.users)
	if err != nil {
		return err
	}
	missing, err := missingIn(ctx, r, "users", asked, &page)
	if err != nil {
		return err
	}
	found, gone, err := r.findUsers(ctx, missing)
	if err != nil {
		return err
	}
	return r.save(ctx, page.next, page.last(), func(ctx context.Context, tx pgx.Tx, report *Report) error {
		return saveUsers(ctx, tx, len(page.records), distinct(append(page.records, found...)), gone, asked, report)
	})
}

// findUsers asks Clerk for users by id. It returns those that are there, and
// the ids of those that Clerk says are not.
func (r *reconciliation) findUsers(ctx context.Context, ids []string) (found []userRecord, gone []string, err error) {
	for chunk := range slices.Chunk(ids, idsPerCall) {
		listed, err := ask(ctx, r, func(ctx context.Context) ([]userRecord, error) { return r.clerk.usersByID(ctx, chunk) })
		if err != nil {
			return nil, nil, err
		}
		found = append(found, listed...)
		for _, id := range without(chunk, idsOf(listed)) {
			one, err := ask(ctx, r, func(ctx context.Context) (*userRecord, error) { return r.clerk.user(ctx, id) })
			switch {
			case err != nil:
				return nil, nil, err
			case one == nil:
				gone = append(gone, id)
			default:
				found = append(found, *one)
			}
		}
	}
	return found, gone, nil
}

// saveUsers stores what Clerk said, and tells the application's instances.
func saveUsers(ctx context.Context, tx pgx.Tx, listed int, found []userRecord, gone []string, asked time.Time, report *Report) error {
	stored, err := storeUsers(ctx, tx, found, source{askedAt: &asked})
	if err != nil {
		return err
	}
	removed, err := deleteUsers(ctx, tx, gone, asked)
	if err != nil {
		return err
	}
	stored.deleted = removed.deleted
	if err := announce(ctx, tx, stored); err != nil {
		return err
	}
	report.Users.add(listed, stored)
	report.Users.DeletedHere, err = countDeleted(ctx, tx, "users", idsOf(found), report.Users.DeletedHere)
	return err
}

func (r *reconciliation) organizations(ctx context.Context) error {
	asked, page, err := readPage(ctx, r, r.clerk.organizations)
	if err != nil {
		return err
	}
	missing, err := missingIn(ctx, r, "organizations", asked, &page)
	if err != nil {
		return err
	}
	found, gone, err := r.findOrganizations(ctx, missing)
	if err != nil {
		return err
	}
	return r.save(ctx, page.next, page.last(), func(ctx context.Context, tx pgx.Tx, report *Report) error {
		return saveOrganizations(ctx, tx, len(page.records), distinct(append(page.records, found...)), gone, asked, report)
	})
}

func (r *reconciliation) findOrganizations(ctx context.Context, ids []string) (found []organizationRecord, gone []string, err error) {
	for _, id := range ids {
		one, err := ask(ctx, r, func(ctx context.Context) (*organizationRecord, error) { return r.clerk.organization(ctx, id) })
		switch {
		case err != nil:
			return nil, nil, err
		case one == nil:
			gone = append(gone, id)
		default:
			found = append(found, *one)
		}
	}
	return found, gone, nil
}

func saveOrganizations(ctx context.Context, tx pgx.Tx, listed int, found []organizationRecord, gone []string, asked time.Time, report *Report) error {
	stored, err := storeOrganizations(ctx, tx, found, source{askedAt: &asked})
	if err != nil {
		return err
	}
	removed, err := deleteOrganizations(ctx, tx, gone, asked)
	if err != nil {
		return err
	}
	stored.deleted = removed.deleted
	report.Organizations.add(listed, stored)
	report.Organizations.DeletedHere, err = countDeleted(ctx, tx, "organizations", idsOf(found), report.Organizations.DeletedHere)
	return err
}

func (r *reconciliation) memberships(ctx context.Context) error {
	asked, page, err := readPage(ctx, r, r.clerk.memberships)
	if err != nil {
		return err
	}
	missing, err := missingIn(ctx, r, "memberships", asked, &page)
	if err != nil {
		return err
	}
	found, gone, err := r.findMemberships(ctx, missing)
	if err != nil {
		return err
	}
	return r.save(ctx, page.next, page.last(), func(ctx context.Context, tx pgx.Tx, report *Report) error {
		// What is gone goes first: a user may have left and joined again within
		// a millisecond.
		removed, err := deleteMemberships(ctx, tx, gone, asked)
		if err != nil {
			return err
		}
		stored, err := storeMemberships(ctx, tx, distinct(append(page.records, found...)), source{askedAt: &asked})
		if err != nil {
			return err
		}
		stored.deleted = append(stored.deleted, removed.deleted...)
		report.Memberships.add(len(page.records), stored)
		return nil
	})
}

// findMemberships asks Clerk for memberships by user, organization by
// organization. It returns those that are there, and of the missing ones those
// that are not.
func (r *reconciliation) findMemberships(ctx context.Context, ids []string) (found, gone []membershipRecord, err error) {
	if len(ids) == 0 {
		return nil, nil, nil
	}
	rows, err := r.store.pool.Query(ctx, `
		SELECT id, organization_id, user_id, role, created_at, updated_at FROM memberships
		WHERE id = ANY($1) ORDER BY organization_id, user_id`, ids)
	if err != nil {
		return nil, nil, err
	}
	missing, err := pgx.CollectRows(rows, pgx.RowToStructByPos[membershipRecord])
	if err != nil {
		return nil, nil, err
	}
	for len(missing) > 0 {
		organizationID := missing[0].OrganizationID
		n := 0
		var userIDs []string
		for n < len(missing) && n < idsPerCall && missing[n].OrganizationID == organizationID {
			userIDs = append(userIDs, missing[n].UserID)
			n++
		}
		listed, err := ask(ctx, r, func(ctx context.Context) ([]membershipRecord, error) {
			return r.clerk.membershipsOf(ctx, organizationID, userIDs)
		})
		if err != nil {
			return nil, nil, err
		}
		found = append(found, listed...)
		for _, m := range missing[:n] {
			if !slices.Contains(idsOf(listed), m.ID) {
				gone = append(gone, m)
			}
		}
		missing = missing[n:]
	}
	return found, gone, nil
}

func (r *reconciliation) undescribedUsers(ctx context.Context) error {
	asked, ids, err := r.undescribed(ctx, "users")
	if err != nil {
		return err
	}
	found, gone, err := r.findUsers(ctx, ids)
	if err != nil {
		return err
	}
	return r.save(ctx, afterIDs(ids), len(ids) < idsPerCall, func(ctx context.Context, tx pgx.Tx, report *Report) error {
		return saveUsers(ctx, tx, 0, distinct(found), gone, asked, report)
	})
}

func (r *reconciliation) undescribedOrganizations(ctx context.Context) error {
	asked, ids, err := r.undescribed(ctx, "organizations")
	if err != nil {
		return err
	}
	found, gone, err := r.findOrganizations(ctx, ids)
	if err != nil {
		return err
	}
	return r.save(ctx, afterIDs(ids), len(ids) < idsPerCall, func(ctx context.Context, tx pgx.Tx, report *Report) error {
		return saveOrganizations(ctx, tx, 0, found, gone, asked, report)
	})
}

// undescribed returns ids of rows that Clerk has not described yet.
func (r *reconciliation) undescribed(ctx context.Context, table string) (asked time.Time, ids []string, err error) {
	if asked, err = r.now(ctx); err != nil {
		return asked, nil, err
	}
	ids, err = collect[string](ctx, r.store.pool, `
		SELECT id FROM `+table+`
		WHERE updated_at IS NULL AND deleted_at IS NULL AND id > $1 AND stored_at <= $2
		ORDER BY id LIMIT $3`, r.progress.Place.ID, asked.Add(-r.pace.settle), idsPerCall)
	return asked, ids, err
}

func afterIDs(ids []string) place {
	if len(ids) == 0 {
		return place{}
	}
	return place{ID: ids[len(ids)-1]}
}

// readPage reads the page at the run's place. It also returns the database's
// time before Clerk was asked.
func readPage[R record](ctx context.Context, r *reconciliation, list func(ctx context.Context, limit, offset int) ([]R, error)) (time.Time, span[R], error) {
	asked, err := r.now(ctx)
	if err != nil {
		return asked, span[R]{}, err
	}
	page, err := readSpan(ctx, func(ctx context.Context, limit, offset int) ([]R, error) {
		return ask(ctx, r, func(ctx context.Context) ([]R, error) { return list(ctx, limit, offset) })
	}, r.pace.pageSize, r.progress.Place)
	return asked, page, err
}

// missingIn returns the ids of live rows that were created in the page's span of
// time and are not in it.
func missingIn[R record](ctx context.Context, r *reconciliation, table string, asked time.Time, page *span[R]) ([]string, error) {
	statement := `
		SELECT id FROM ` + table + `
		WHERE deleted_at IS NULL AND stored_at <= $1 AND created_at >= $2 AND id <> ALL($3)`
	args := []any{asked.Add(-r.pace.settle), page.from, idsOf(page.records)}
	if !page.last() {
		statement += " AND created_at <= $4"
		args = append(args, page.to)
	}
	return collect[string](ctx, r.store.pool, statement, args...)
}

func countDeleted(ctx context.Context, tx pgx.Tx, table string, ids []string, before int) (int, error) {
	var n int
	err := tx.QueryRow(ctx, "SELECT count(*) FROM "+table+" WHERE id = ANY($1) AND deleted_at IS NOT NULL", ids).Scan(&n)
	return before + n, err
}

// without returns the strings that are not in the others.
func without(all, others []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(one string) bool { return slices.Contains(others, one) })
}
