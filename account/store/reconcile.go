package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"encore.dev/beta/errs"
	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/jackc/pgx/v5"

	"encore.app/auth/authz"
	"encore.app/auth/clerkauth"
)

const (
	// reconcileLock is the advisory lock of the instance that reconciles.
	reconcileLock = migrationLock + 1
	// defaultSettle is how long a row has been left alone before it counts as
	// missing at Clerk, which does not promise that it finds at once what was
	// just created.
	defaultSettle = time.Minute
	// resumeWithin is how old an unfinished reconciliation may be to be resumed.
	resumeWithin = 24 * time.Hour

	firstWait = time.Second
	maxWait   = 30 * time.Second
	// maxFailures is how often in a row Clerk may fail, which takes about nine
	// minutes, before a reconciliation gives up. The next one resumes it.
	maxFailures = 20

	// maxExamples bounds the ids in a report.
	maxExamples = 100
)

// ReconcileParams say how to reconcile.
type ReconcileParams struct {
	// DryRun reports what differs and changes nothing.
	DryRun bool `json:"dryRun"`
	// AllowDeletions hides what is missing at Clerk however much that is. Without
	// it, a reconciliation that finds many rows missing hides none.
	AllowDeletions bool `json:"allowDeletions"`
	// MoveToInstance makes the database belong to another Clerk instance: to the
	// one with this id, ins_…, whose secret key this application has.
	MoveToInstance string `json:"moveToInstance"`
}

// pace is how fast a reconciliation calls the Backend API; tests set another
// pace.
type pace struct {
	pageSize int
	settle   time.Duration
	wait     func(context.Context, time.Duration) error
}

var usualPace = pace{pageSize: pageSize, settle: defaultSettle, wait: wait}

// Report is what a reconciliation found.
type Report struct {
	DryRun        bool       `json:"dryRun"`
	Calls         int        `json:"calls"` // to Clerk
	Users         Difference `json:"users"`
	Organizations Difference `json:"organizations"`
	Memberships   Difference `json:"memberships"`
	// NotListed are the tables that were not changed, because Clerk refused
	// their lists: organizations are switched off, or the log has a reason.
	NotListed []string `json:"notListed"`
}

// Difference is how one table differed from Clerk.
type Difference struct {
	Listed  int `json:"listed"` // by Clerk
	Added   int `json:"added"`
	Changed int `json:"changed"`
	// Hidden counts rows that are missing at Clerk. They are kept for EraseAfter.
	Hidden int `json:"hidden"`
	// Restored counts hidden rows that Clerk lists again.
	Restored int `json:"restored"`
	// Erased counts rows that were hidden for EraseAfter, and memberships that a
	// newer one replaces.
	Erased int `json:"erased"`
	// Skipped counts records of Clerk's that cannot be stored. The log has their
	// ids.
	Skipped int `json:"skipped"`
	// Kept counts rows that are missing at Clerk and were not hidden, because they
	// are too many.
	Kept int `json:"kept"`
	// DeletedHere counts those that Clerk lists and that stay deleted: they were
	// erased here alone, or are being deleted at this moment.
	DeletedHere int `json:"deletedHere"`
	// IDs are some of those that were added, changed, hidden, restored or erased,
	// at most 100.
	IDs []string `json:"ids"`
}

func (d *Difference) add(c changes) {
	for _, some := range []struct {
		count *int
		ids   []string
	}{{&d.Added, c.added}, {&d.Changed, c.changed}, {&d.Hidden, c.hidden}, {&d.Restored, c.restored}, {&d.Erased, c.deleted}} {
		*some.count += len(some.ids)
		d.IDs = append(d.IDs, some.ids[:min(len(some.ids), maxExamples-len(d.IDs))]...)
	}
}

// String is for the log.
func (d *Difference) String() string {
	return fmt.Sprintf("listed %d, added %d, changed %d, hidden %d, restored %d, erased %d, skipped %d",
		d.Listed, d.Added, d.Changed, d.Hidden, d.Restored, d.Erased, d.Skipped)
}

// of returns the difference of a table.
func (r *Report) of(k kind) *Difference {
	switch k {
	case users:
		return &r.Users
	case organizations:
		return &r.Organizations
	}
	return &r.Memberships
}

// kind is one of the tables that follow Clerk.
type kind string

const (
	users         kind = "users"
	organizations kind = "organizations"
	memberships   kind = "memberships"
)

var kinds = []kind{users, organizations, memberships}

// Reconcile compares the tables with Clerk's lists and stores what differs, by
// the rule of this package: it needs no quiet moment. One instance does so at a
// time; another gets an error with the code Aborted. It fetches Clerk's lists
// page by page and waits while the budget under Clerk's rate limit is used up.
// If it ends early, the next call continues from the last page that was stored.
func (s *Store) Reconcile(ctx context.Context, backend clerk.Backend, p *ReconcileParams) (*Report, error) {
	return s.reconcile(ctx, clerkAPI{backend}, *p, usualPace)
}

func (s *Store) reconcile(ctx context.Context, lists clerkLists, p ReconcileParams, pace pace) (*Report, error) {
	err := s.use(ctx, writeTimeout, func(ctx context.Context) error { return nil }) // the schema is in place
	if err != nil {
		return nil, err
	}
	r := &reconciliation{store: s, clerk: lists, params: p, pace: pace, missing: map[kind][]string{}}
	if p.DryRun {
		err = r.run(ctx)
	} else {
		err = s.alone(ctx, func() error { return r.run(ctx) })
	}
	if err != nil {
		return nil, s.answerReconcile(ctx, err)
	}
	report := r.progress.Report
	report.DryRun = p.DryRun
	report.NotListed = append([]string{}, report.NotListed...) // never null
	for _, k := range kinds {
		report.of(k).IDs = append([]string{}, report.of(k).IDs...)
	}
	return &report, nil
}

func (s *Store) answerReconcile(ctx context.Context, err error) error {
	var ofClerk *clerkauth.Error
	var refused *clerkauth.APIError
	if _, ok := forClient(err); ok {
		return err
	}
	var at *routeError
	switch {
	case errors.As(err, &refused) && errors.As(err, &at):
		s.log.Error("the reconciliation did not begin", "route", at.route, "status", refused.Status, "code", refused.Code)
		return &errs.Error{Code: errs.Internal, Message: "internal error"}
	case !errors.As(err, &ofClerk):
		return s.answer(ctx, err)
	case ofClerk.Kind == clerkauth.Unavailable:
		s.log.Warn("the reconciliation stopped", "reason", ofClerk.Reason)
		return &errs.Error{Code: errs.Unavailable, Message: "Clerk is unavailable; the next reconciliation goes on from here"}
	case ofClerk.Kind == clerkauth.Canceled:
		return &errs.Error{Code: errs.Canceled, Message: "request canceled"}
	}
	s.log.Error("the reconciliation stopped", "reason", ofClerk.Reason, "hint", authz.Hint(ofClerk))
	return &errs.Error{Code: errs.Internal, Message: "internal error"}
}

// alone runs work while this instance holds the lock, which ends with its
// connection. The connection is not one of the pool, which may have a single one.
func (s *Store) alone(ctx context.Context, work func() error) error {
	connecting, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	connection, err := pgx.ConnectConfig(connecting, s.pool.Config().ConnConfig)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
		defer cancel()
		// At once: the server notices some time later that a connection is closed.
		_, _ = connection.Exec(ctx, "SELECT pg_advisory_unlock_all()")
		_ = connection.Close(ctx)
	}()
	var locked bool
	if err := connection.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", reconcileLock).Scan(&locked); err != nil {
		return err
	}
	if !locked {
		return errRunning()
	}
	return work()
}

func errRunning() error {
	return &errs.Error{Code: errs.Aborted, Message: "another reconciliation is running"}
}

// reconciliation is one run. The progress is stored with each step.
type reconciliation struct {
	store    *Store
	clerk    clerkLists
	params   ReconcileParams
	pace     pace
	number   int64 // of the run
	progress progress

	missing map[kind][]string // of a dry run, which stores nothing
}

type progress struct {
	Phase int   `json:"phase"`
	Place place `json:"place"` // in the phase
	// Checked is when the first lookup of a missing row began, by the database's
	// clock.
	Checked time.Time `json:"checked"`
	Report  Report    `json:"report"`
}

// run makes one step after the other, and stores the progress with each. The
// lists come first, memberships after what they refer to. Then each row that no
// list had is fetched from Clerk. Only when all of them are known, and are not
// too many, they are hidden.
func (r *reconciliation) run(ctx context.Context) error {
	begun := time.Now()
	err := r.begin(ctx)
	started := err == nil
	for err == nil && r.progress.Phase < phaseCount {
		err = phases[r.progress.Phase](r, ctx)
	}
	if started {
		report := &r.progress.Report
		r.store.log.Info("a reconciliation ended", "finished", r.progress.Phase == phaseCount, "dry_run", r.params.DryRun,
			"calls", report.Calls, "took", time.Since(begun).Round(time.Millisecond).String(),
			"users", report.Users.String(), "organizations", report.Organizations.String(), "memberships", report.Memberships.String())
	}
	return err
}

// begin compares the database with this Clerk, and continues an unfinished run or
// starts one.
func (r *reconciliation) begin(ctx context.Context) error {
	instance, err := ask(ctx, r, r.clerk.instance)
	if err != nil {
		return &routeError{"GET /v1/instance", err}
	}
	to := r.params.MoveToInstance
	if to != "" && to != instance {
		return &errs.Error{Code: errs.FailedPrecondition, Message: "the secret key belongs to the Clerk instance " + instance}
	}
	if to == "" {
		if err := r.compareInstance(ctx, instance); err != nil {
			return err
		}
	}
	if r.params.DryRun {
		return nil
	}
	var before string
	calls := r.progress.Report.Calls
	err = r.store.transact(ctx, func(tx pgx.Tx) (err error) {
		if before, err = setInstance(ctx, tx, instance, to != ""); err != nil {
			return err
		}
		return r.resume(ctx, tx, before != instance)
	})
	r.progress.Report.Calls += calls
	if err == nil && before != instance {
		r.store.log.Info("the database belongs to a Clerk instance from now on", "before", before, "clerk", instance)
	}
	return err
}

// resume continues an unfinished run, or starts one.
func (r *reconciliation) resume(ctx context.Context, tx pgx.Tx, anew bool) error {
	var resumed bool
	err := tx.QueryRow(ctx, `
		WITH old AS (
			SELECT run, started_at, progress, finished_at IS NULL AND started_at > clock_timestamp() - $1::interval AND NOT $2 AS resumed
			FROM reconciliation FOR UPDATE
		), new AS (
			INSERT INTO reconciliation (run, started_at, progress)
			SELECT 1 + coalesce(max(run), 0), coalesce(max(started_at) FILTER (WHERE resumed), clock_timestamp()),
				coalesce((SELECT progress FROM old WHERE resumed), '{}')
			FROM old
			ON CONFLICT (only_row) DO UPDATE SET run = excluded.run, finished_at = NULL,
				started_at = excluded.started_at, progress = excluded.progress
			RETURNING run, progress
		)
		SELECT run, progress, EXISTS (SELECT FROM old WHERE resumed) FROM new`, resumeWithin, anew).Scan(&r.number, &r.progress, &resumed)
	if err != nil || resumed {
		return err
	}
	_, err = tx.Exec(ctx, "DELETE FROM missing")
	return err
}

// errDryRun takes a transaction back.
var errDryRun = errors.New("dry run")

// save runs work in a transaction with the progress that it leads to: after next
// comes the following step, or with last the following phase. A dry run takes
// all of it back, and keeps the progress alone.
func (r *reconciliation) save(ctx context.Context, next place, last bool, work func(context.Context, pgx.Tx, *progress) error) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	var after progress
	err := r.store.transact(ctx, func(tx pgx.Tx) error {
		after = r.progress
		if after.Place = next; last {
			after.Phase, after.Place = after.Phase+1, place{}
		}
		if err := work(ctx, tx, &after); err != nil {
			return err
		}
		if r.params.DryRun {
			return errDryRun
		}
		saved, err := tx.Exec(ctx, `
			UPDATE reconciliation SET progress = $2, finished_at = CASE WHEN $3 THEN clock_timestamp() END
			WHERE run = $1`, r.number, after, after.Phase == phaseCount)
		if err == nil && saved.RowsAffected() == 0 {
			return errRunning() // this instance lost the connection that held the lock
		}
		return err
	})
	if err != nil && err != errDryRun {
		return err
	}
	r.progress = after
	return nil
}

// now is the database's clock.
func (r *reconciliation) now(ctx context.Context) (time.Time, error) {
	var now time.Time
	err := r.store.pool.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&now)
	return now, err
}

// ask calls the Backend API, and waits while Clerk is unavailable.
func ask[T any](ctx context.Context, r *reconciliation, call func(context.Context) (T, error)) (T, error) {
	delay := firstWait
	for failures := 1; ; failures++ {
		r.progress.Report.Calls++
		answer, err := call(ctx)
		var ofClerk *clerkauth.Error
		if err == nil || failures == maxFailures || errors.Is(err, clerkauth.ErrTooLarge) ||
			!errors.As(err, &ofClerk) || ofClerk.Kind != clerkauth.Unavailable {
			return answer, err
		}
		if err := r.pace.wait(ctx, delay); err != nil {
			return answer, err
		}
		delay = min(2*delay, maxWait)
	}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
