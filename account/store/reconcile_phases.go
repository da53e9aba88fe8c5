package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"encore.dev/beta/errs"
	"github.com/jackc/pgx/v5"

	"encore.app/auth/clerkauth"
)

const phaseCount = 13

// phases are the steps of a reconciliation, the first one first. Each is
// repeated until it leads to the next one.
var phases = [phaseCount]func(*reconciliation, context.Context) error{
	(*reconciliation).listUsers, (*reconciliation).listOrganizations, (*reconciliation).listMemberships,
	(*reconciliation).findUsers, (*reconciliation).findOrganizations, (*reconciliation).findMemberships,
	(*reconciliation).judge,
	hiding(users, hideUsers), hiding(organizations, hideOrganizations), hiding(memberships, hideMemberships),
	erasing(users, deleteUsers), erasing(organizations, deleteOrganizations), erasing(memberships, eraseMemberships),
}

// rowsPerStep is how many rows a step hides or erases.
const rowsPerStep = 500

func (r *reconciliation) listUsers(ctx context.Context) error {
	return list(ctx, r, users, "GET /v1/users", r.clerk.users, saveUsers)
}

func (r *reconciliation) listOrganizations(ctx context.Context) error {
	return list(ctx, r, organizations, "GET /v1/organizations", r.clerk.organizations, saveOrganizations)
}

func (r *reconciliation) listMemberships(ctx context.Context) error {
	return list(ctx, r, memberships, "GET /v1/organization_memberships", r.clerk.memberships, saveMemberships)
}

// saver stores the records of one list from Clerk.
type saver[R record] func(ctx context.Context, tx pgx.Tx, records []R, asked time.Time) (changes, error)

// list stores a page of one of Clerk's lists. Rows that were created in the same
// span of time, and that the page leaves out, are missing: they are fetched
// from Clerk later.
func list[R record](ctx context.Context, r *reconciliation, k kind, route string,
	of func(ctx context.Context, limit, offset int) (listing[R], error), save saver[R]) error {
	if slices.Contains(r.progress.Report.NotListed, string(k)) {
		return r.nextPhase(ctx)
	}
	asked, err := r.now(ctx)
	if err != nil {
		return err
	}
	page, err := readSpan(ctx, func(ctx context.Context, limit, offset int) (listing[R], error) {
		return ask(ctx, r, func(ctx context.Context) (listing[R], error) { return of(ctx, limit, offset) })
	}, r.pace.pageSize, r.progress.Place)
	if err != nil {
		return r.refused(ctx, k, route, err)
	}
	missing, err := missingIn(ctx, r, k, asked, &page)
	if err != nil {
		return err
	}
	r.logSkipped(k, page.skipped)
	return r.save(ctx, page.next, page.last, func(ctx context.Context, tx pgx.Tx, p *progress) error {
		p.Report.of(k).Listed += page.len()
		p.Report.of(k).Skipped += len(page.skipped)
		if err := r.mark(ctx, tx, k, missing, page.ids()); err != nil {
			return err
		}
		return storeListed(ctx, tx, k, page.records, asked, save, &p.Report)
	})
}

// missingIn returns the ids of live rows that were created in the page's span of
// time and are not in it.
func missingIn[R record](ctx context.Context, r *reconciliation, k kind, asked time.Time, page *span[R]) ([]string, error) {
	statement := `
		SELECT id FROM ` + string(k) + `
		WHERE deleted_at IS NULL AND stored_at <= $1 AND created_at >= $2 AND id <> ALL($3)`
	args := []any{asked.Add(-r.pace.settle), page.from, page.ids()}
	if !page.last {
		statement += " AND created_at <= $4"
		args = append(args, page.to)
	}
	return collect[string](ctx, r.store.pool, statement, args...)
}

// storeListed stores records and reports what it changed.
func storeListed[R record](ctx context.Context, tx pgx.Tx, k kind, records []R, asked time.Time, save saver[R], report *Report) error {
	changed, err := save(ctx, tx, records, asked)
	if err != nil {
		return err
	}
	d := report.of(k)
	d.add(changed)
	if k == memberships {
		return nil
	}
	var deleted int
	err = tx.QueryRow(ctx, "SELECT count(*) FROM "+string(k)+" WHERE id = ANY($1) AND deleted_at IS NOT NULL", (&listing[R]{records: records}).ids()).Scan(&deleted)
	d.DeletedHere += deleted
	return err
}

// refused ends the phases of a table whose list Clerk refuses. The others go on.
func (r *reconciliation) refused(ctx context.Context, k kind, route string, err error) error {
	var refused *clerkauth.APIError
	if _, ok := forClient(err); ok || !errors.As(err, &refused) {
		return err
	}
	skipped := []string{string(k)}
	if refused.Code == "organization_not_enabled_in_instance" {
		skipped = []string{string(organizations), string(memberships)}
		r.store.log.Info("organizations are switched off at Clerk")
	} else {
		r.store.log.Error("Clerk refuses a list", "route", route, "status", refused.Status, "code", refused.Code)
	}
	return r.save(ctx, place{}, true, func(_ context.Context, _ pgx.Tx, p *progress) error {
		p.Report.NotListed = slices.Concat(p.Report.NotListed, skipped)
		return nil
	})
}

func (r *reconciliation) nextPhase(ctx context.Context) error {
	return r.save(ctx, place{}, true, func(context.Context, pgx.Tx, *progress) error { return nil })
}

// logSkipped logs the ids of records that cannot be stored.
func (r *reconciliation) logSkipped(k kind, skipped []skip) {
	var ids []string
	for _, s := range skipped[:min(len(skipped), maxExamples)] {
		ids = append(ids, fmt.Sprintf("%.64q: %s", s.id, s.field))
	}
	if len(ids) > 0 {
		r.store.log.Warn("records of Clerk cannot be stored and are skipped", "table", string(k), "records", len(skipped), "ids", ids)
	}
}

// findUsers fetches from Clerk the users that no list had, and the users that
// were stored by a first request or with a membership.
func (r *reconciliation) findUsers(ctx context.Context) error {
	return find(ctx, r, users, "GET /v1/users", r.clerk.usersByID, saveUsers)
}

func (r *reconciliation) findOrganizations(ctx context.Context) error {
	return find(ctx, r, organizations, "GET /v1/organizations", r.clerk.organizationsByID, saveOrganizations)
}

func find[R record](ctx context.Context, r *reconciliation, k kind, route string,
	byID func(ctx context.Context, ids []string) (listing[R], error), save saver[R]) error {
	if slices.Contains(r.progress.Report.NotListed, string(k)) {
		return r.nextPhase(ctx)
	}
	asked, err := r.check(ctx)
	if err != nil {
		return err
	}
	rows, arg := r.missingRows(k)
	ids, err := collect[string](ctx, r.store.pool, `
		SELECT id FROM (
			SELECT id FROM `+rows+` AS missing (id)
			UNION SELECT id FROM `+string(k)+` WHERE updated_at IS NULL AND deleted_at IS NULL AND stored_at <= $3
		) AS missing WHERE id > $2 ORDER BY id LIMIT $4`, arg, r.progress.Place.ID, r.progress.Checked.Add(-r.pace.settle), idsPerCall)
	if err != nil {
		return err
	}
	var found listing[R]
	if len(ids) > 0 {
		if found, err = lookUp(ctx, r, ids, byID); err != nil {
			return r.refused(ctx, k, route, err)
		}
	}
	r.logSkipped(k, found.skipped)
	there := found.ids()
	gone := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return slices.Contains(there, id) })
	next := place{}
	if len(ids) > 0 {
		next.ID = ids[len(ids)-1]
	}
	return r.save(ctx, next, len(ids) < idsPerCall, func(ctx context.Context, tx pgx.Tx, p *progress) error {
		p.Report.of(k).Skipped += len(found.skipped)
		if err := r.mark(ctx, tx, k, gone, there); err != nil {
			return err
		}
		return storeListed(ctx, tx, k, distinct(found.records), asked, save, &p.Report)
	})
}

// findMemberships fetches the memberships that no list had, organization by
// organization.
func (r *reconciliation) findMemberships(ctx context.Context) error {
	if slices.Contains(r.progress.Report.NotListed, string(memberships)) {
		return r.nextPhase(ctx)
	}
	asked, err := r.check(ctx)
	if err != nil {
		return err
	}
	rows, arg := r.missingRows(memberships)
	at := r.progress.Place
	missing, err := query[membershipRecord](ctx, r.store.pool, `
		SELECT id, organization_id, user_id, role, created_at, updated_at FROM `+rows+` AS missing (id) JOIN memberships USING (id)
		WHERE deleted_at IS NULL AND (organization_id, id) > ($2, $3) ORDER BY organization_id, id LIMIT $4`, arg, at.Group, at.ID, idsPerCall)
	if err != nil {
		return err
	}
	found, err := r.membershipsOf(ctx, missing)
	if err != nil {
		return r.refused(ctx, memberships, "GET /v1/organizations/{id}/memberships", err)
	}
	r.logSkipped(memberships, found.skipped)
	there := found.ids()
	var replaced, gone []membershipRecord
	for _, m := range missing {
		switch {
		case slices.Contains(there, m.ID), slices.Contains(there, m.UserID): // the latter does not fit into an answer
		case slices.ContainsFunc(found.records, m.samePlace):
			replaced = append(replaced, m)
		default:
			gone = append(gone, m)
		}
	}
	next := place{}
	if n := len(missing); n > 0 {
		next = place{Group: missing[n-1].OrganizationID, ID: missing[n-1].ID}
	}
	return r.save(ctx, next, len(missing) < idsPerCall, func(ctx context.Context, tx pgx.Tx, p *progress) error {
		p.Report.Memberships.Skipped += len(found.skipped)
		settled := slices.Concat(there, (&listing[membershipRecord]{records: replaced}).ids())
		if err := r.mark(ctx, tx, memberships, (&listing[membershipRecord]{records: gone}).ids(), settled); err != nil {
			return err
		}
		changed, err := replaceMemberships(ctx, tx, replaced, distinct(found.records), asked)
		p.Report.Memberships.add(changed)
		return err
	})
}

// membershipsOf fetches the memberships of the users in the organizations of
// the missing memberships, which are sorted by organization.
func (r *reconciliation) membershipsOf(ctx context.Context, missing []membershipRecord) (listing[membershipRecord], error) {
	var found listing[membershipRecord]
	for len(missing) > 0 {
		organizationID := missing[0].OrganizationID
		var userIDs []string
		for len(missing) > 0 && missing[0].OrganizationID == organizationID {
			userIDs = append(userIDs, missing[0].UserID)
			missing = missing[1:]
		}
		some, err := lookUp(ctx, r, userIDs, func(ctx context.Context, userIDs []string) (listing[membershipRecord], error) {
			return r.clerk.membershipsOf(ctx, organizationID, userIDs)
		})
		if err != nil {
			return found, err
		}
		found.add(some)
	}
	return found, nil
}

// check returns the database's time. This run does not hide rows that are
// stored after the first call.
func (r *reconciliation) check(ctx context.Context) (time.Time, error) {
	now, err := r.now(ctx)
	if r.progress.Checked.IsZero() {
		r.progress.Checked = now
	}
	return now, err
}

// lookUp fetches the records with the ids from Clerk, at most idsPerCall. A
// record that does not fit into an answer exists, but cannot be stored.
func lookUp[R record](ctx context.Context, r *reconciliation, ids []string, byID func(context.Context, []string) (listing[R], error)) (listing[R], error) {
	found, err := ask(ctx, r, func(ctx context.Context) (listing[R], error) { return byID(ctx, ids) })
	switch half := len(ids) / 2; {
	case !errors.Is(err, clerkauth.ErrTooLarge):
		return found, err
	case half == 0:
		return listing[R]{skipped: []skip{{id: ids[0], field: "its size"}}}, nil
	default:
		if found, err = lookUp(ctx, r, ids[:half], byID); err != nil {
			return found, err
		}
		more, err := lookUp(ctx, r, ids[half:], byID)
		found.add(more)
		return found, err
	}
}

// missingRows returns the missing rows of a table for a statement's FROM, and its
// first parameter. A dry run has them in memory.
func (r *reconciliation) missingRows(k kind) (from string, arg any) {
	if r.params.DryRun {
		return "unnest($1::text[])", r.missing[k]
	}
	return "(SELECT id FROM missing WHERE kind = $1)", string(k)
}

// mark stores which rows are missing, and removes the mark of others.
func (r *reconciliation) mark(ctx context.Context, tx pgx.Tx, k kind, missing, found []string) error {
	if r.params.DryRun {
		all := slices.DeleteFunc(slices.Concat(r.missing[k], missing), func(id string) bool { return slices.Contains(found, id) })
		slices.Sort(all)
		r.missing[k] = slices.Compact(all)
		return nil
	}
	_, err := tx.Exec(ctx, "DELETE FROM missing WHERE kind = $1 AND id = ANY($2)", string(k), found)
	if err == nil {
		_, err = tx.Exec(ctx, "INSERT INTO missing (kind, id) SELECT $1, unnest($2::text[]) ON CONFLICT DO NOTHING", string(k), missing)
	}
	return err
}

const (
	// A reconciliation hides up to fewRows rows of a table, or up to one in
	// fewShare, and more only where it is told to.
	fewRows  = 20
	fewShare = 50
)

// judge ends the reconciliation before it hides anything, if too much is missing
// at Clerk. A wrong setting looks like that.
func (r *reconciliation) judge(ctx context.Context) error {
	many := false
	var missing, live [3]int
	for i, k := range kinds {
		if slices.Contains(r.progress.Report.NotListed, string(k)) {
			continue
		}
		var err error
		if missing[i], live[i], err = r.countMissing(ctx, k); err != nil {
			return err
		}
		many = many || missing[i] > fewRows && missing[i]*fewShare > live[i]
	}
	if !many || r.params.AllowDeletions {
		return r.nextPhase(ctx)
	}
	err := r.save(ctx, place{}, true, func(_ context.Context, _ pgx.Tx, p *progress) error {
		p.Phase = phaseCount
		for i, k := range kinds {
			p.Report.of(k).Kept = missing[i]
		}
		return nil
	})
	if err != nil || r.params.DryRun {
		return err
	}
	r.store.log.Error("many rows are missing at Clerk",
		"users", fmt.Sprintf("%d of %d", missing[0], live[0]), "organizations", fmt.Sprintf("%d of %d", missing[1], live[1]),
		"memberships", fmt.Sprintf("%d of %d", missing[2], live[2]),
		"hint", "if they were deleted at Clerk, call account.Reconcile with allowDeletions; otherwise look for a wrong setting")
	return &errs.Error{Code: errs.FailedPrecondition, Message: "many rows are missing at Clerk and were not hidden: with allowDeletions they are"}
}

// countMissing counts the rows of a table that would be hidden, and all live ones.
// Memberships that go with their user or organization do not count.
func (r *reconciliation) countMissing(ctx context.Context, k kind) (missing, live int, err error) {
	rows, arg := r.missingRows(k)
	statement, args := `
		SELECT (SELECT count(*) FROM `+rows+` AS missing (id) JOIN `+string(k)+` AS live USING (id)
			WHERE deleted_at IS NULL AND stored_at <= $2 %s),
			(SELECT count(*) FROM `+string(k)+` WHERE deleted_at IS NULL)`, []any{arg, r.progress.Checked}
	owners := ""
	if k == memberships {
		for n, owner := range []struct {
			kind   kind
			column string
		}{{users, "user_id"}, {organizations, "organization_id"}} {
			rows, arg := r.missingRows(owner.kind)
			args = append(args, arg)
			owners += fmt.Sprintf(" AND NOT EXISTS (SELECT FROM %s AS owner (id) WHERE owner.id = live.%s)",
				strings.Replace(rows, "$1", fmt.Sprintf("$%d", 3+n), 1), owner.column)
		}
	}
	err = r.store.pool.QueryRow(ctx, fmt.Sprintf(statement, owners), args...).Scan(&missing, &live)
	return missing, live, err
}

// hiding returns the phase that hides the missing rows of a table.
func hiding(k kind, hide func(ctx context.Context, tx pgx.Tx, ids []string, storedBefore time.Time) (changes, error)) func(*reconciliation, context.Context) error {
	return func(r *reconciliation, ctx context.Context) error {
		rows, arg := r.missingRows(k)
		return r.eachRow(ctx, k, "SELECT id FROM "+rows+" AS missing (id)", arg, func(ctx context.Context, tx pgx.Tx, ids []string) (changes, error) {
			hidden, err := hide(ctx, tx, ids, r.progress.Checked)
			if err == nil && k == users {
				err = announce(ctx, tx, hidden)
			}
			return hidden, err
		})
	}
}

// erasing returns the phase that erases the rows of a table that have been hidden
// for long enough.
func erasing(k kind, erase func(ctx context.Context, tx pgx.Tx, ids []string, at time.Time) (changes, error)) func(*reconciliation, context.Context) error {
	return func(r *reconciliation, ctx context.Context) error {
		now, err := r.now(ctx)
		if err != nil {
			return err
		}
		return r.eachRow(ctx, k, "SELECT id FROM "+string(k)+" WHERE hidden_at <= $1", now.Add(-r.store.EraseAfter), func(ctx context.Context, tx pgx.Tx, ids []string) (changes, error) {
			return erase(ctx, tx, ids, now)
		})
	}
}

// eachRow changes some of the rows that a statement finds, sorted by id.
func (r *reconciliation) eachRow(ctx context.Context, k kind, statement string, arg any, change func(context.Context, pgx.Tx, []string) (changes, error)) error {
	if slices.Contains(r.progress.Report.NotListed, string(k)) {
		return r.nextPhase(ctx)
	}
	ids, err := collect[string](ctx, r.store.pool, "SELECT id FROM ("+statement+") AS rows WHERE id > $2 ORDER BY id LIMIT $3", arg, r.progress.Place.ID, rowsPerStep)
	if err != nil {
		return err
	}
	next := place{}
	if len(ids) > 0 {
		next.ID = ids[len(ids)-1]
	}
	return r.save(ctx, next, len(ids) < rowsPerStep, func(ctx context.Context, tx pgx.Tx, p *progress) error {
		changed, err := change(ctx, tx, ids)
		p.Report.of(k).add(changed)
		return err
	})
}
