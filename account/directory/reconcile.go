package directory

import (
	"context"
	"errors"
	"time"

	"encore.dev/beta/errs"
	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/jackc/pgx/v5"

	"encore.app/auth/clerkauth"
)

const (
	// reconcileLock is the advisory lock of the instance that reconciles.
	reconcileLock = migrationLock + 1
	// defaultSettle is how long a row has been left alone before Clerk's "not
	// found" makes a tombstone of it. Clerk does not promise that it finds at
	// once what was just created, and a tombstone is final.
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
}

// pace is how a reconciliation asks Clerk; tests have their own.
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
}

// Difference is how one table differed from Clerk.
type Difference struct {
	Listed  int `json:"listed"` // by Clerk
	Added   int `json:"added"`
	Changed int `json:"changed"`
	Deleted int `json:"deleted"`
	// DeletedHere counts those that Clerk lists and that stay deleted: they were
	// erased here alone, or are being deleted at this moment.
	DeletedHere int `json:"deletedHere"`
	// IDs are some of those that were added, changed or deleted, at most 100.
	IDs []string `json:"ids"`
}

func (d *Difference) add(listed int, c changes) {
	d.Listed += listed
	d.Added += len(c.added)
	d.Changed += len(c.changed)
	d.Deleted += len(c.deleted)
	for _, ids := range [][]string{c.added, c.changed, c.deleted} {
		d.IDs = append(d.IDs, ids[:min(len(ids), maxExamples-len(d.IDs))]...)
	}
}

// Reconcile compares the tables with Clerk's lists and stores what differs, by
// the rule of this package: it needs no quiet moment. One instance does so at a
// time; another gets an error with the code Aborted. It asks Clerk page by page
// and waits where the budget under Clerk's rate limit has nothing left. If it
// ends early, the next call goes on from the last page that was stored.
func (s *Store) Reconcile(ctx context.Context, backend clerk.Backend, p *ReconcileParams) (*Report, error) {
	return s.reconcile(ctx, clerkAPI{backend}, p.DryRun, usualPace)
}

func (s *Store) reconcile(ctx context.Context, lists clerkLists, dryRun bool, pace pace) (*Report, error) {
	r := &reconciliation{store: s, clerk: lists, dryRun: dryRun, pace: pace}
	err := s.use(ctx, writeTimeout, func(ctx context.Context) error { return nil }) // the schema is in place
	if err != nil {
		return nil, err
	}
	if dryRun {
		err = r.run(ctx)
	} else {
		err = s.alone(ctx, func() error {
			if err := r.resume(ctx); err != nil {
				return err
			}
			return r.run(ctx)
		})
	}
	if err != nil {
		return nil, s.answerReconcile(ctx, err)
	}
	report := r.progress.Report
	report.DryRun = dryRun
	for _, d := range []*Difference{&report.Users, &report.Organizations, &report.Memberships} {
		d.IDs = append([]string{}, d.IDs...) // never null
	}
	return &report, nil
}

func (s *Store) answerReconcile(ctx context.Context, err error) error {
	var ofClerk *clerkauth.Error
	if _, ok := forClient(err); ok || !errors.As(err, &ofClerk) {
		return s.answer(ctx, err)
	}
	switch ofClerk.Kind {
	case clerkauth.Unavailable:
		s.log.Warn("the reconciliation stopped: Clerk is unavailable", "reason", ofClerk.Reason)
		return &errs.Error{Code: errs.Unavailable, Message: "Clerk is unavailable; the next reconciliation goes on from here"}
	case clerkauth.Canceled:
		return &errs.Error{Code: errs.Canceled, Message: "request canceled"}
	}
	s.log.Error("the reconciliation stopped: Clerk refuses this backend", "reason", ofClerk.Reason)
	return &errs.Error{Code: errs.Internal, Message: "internal error"}
}

// alone runs work while this instance holds the lock, which ends with its
// connection. It needs a connection of its own for as long as that takes.
func (s *Store) alone(ctx context.Context, work func() error) error {
	connection, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer connection.Release()
	var locked bool
	if err := connection.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", reconcileLock).Scan(&locked); err != nil {
		return err
	}
	if !locked {
		return &errs.Error{Code: errs.Aborted, Message: "another reconciliation is running"}
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
		defer cancel()
		if _, err := connection.Exec(ctx, "SELECT pg_advisory_unlock($1)", reconcileLock); err != nil {
			_ = connection.Conn().Close(ctx) // which unlocks as well
		}
	}()
	return work()
}

// reconciliation is one run. What is in progress is stored with each page.
type reconciliation struct {
	store    *Store
	clerk    clerkLists
	dryRun   bool
	pace     pace
	number   int64 // of the run
	progress progress
}

type progress struct {
	Phase  int    `json:"phase"`
	Place  place  `json:"place"` // in the phase's list
	Report Report `json:"report"`
}

// resume continues an unfinished run, or starts one.
func (r *reconciliation) resume(ctx context.Context) error {
	return r.store.pool.QueryRow(ctx, `
		INSERT INTO reconciliation AS old (run, started_at, progress) VALUES (1, clock_timestamp(), '{}')
		ON CONFLICT (only_row) DO UPDATE SET run = old.run + 1, finished_at = NULL,
			started_at = CASE WHEN old.finished_at IS NULL AND old.started_at > clock_timestamp() - $1::interval
				THEN old.started_at ELSE excluded.started_at END,
			progress = CASE WHEN old.finished_at IS NULL AND old.started_at > clock_timestamp() - $1::interval
				THEN old.progress ELSE excluded.progress END
		RETURNING run, progress`, resumeWithin).Scan(&r.number, &r.progress)
}

// lastPhase ends a reconciliation.
const lastPhase = 5

// run stores a page after the other. Memberships come after what they refer to.
// The last two phases describe the rows that a first request or a membership
// made, and that were not in a list.
func (r *reconciliation) run(ctx context.Context) error {
	for {
		var err error
		switch r.progress.Phase {
		case 0:
			err = r.users(ctx)
		case 1:
			err = r.organizations(ctx)
		case 2:
			err = r.memberships(ctx)
		case 3:
			err = r.undescribedUsers(ctx)
		case 4:
			err = r.undescribedOrganizations(ctx)
		case lastPhase:
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// errDryRun takes a transaction back.
var errDryRun = errors.New("dry run")

// save runs work in a transaction with the progress that it leads to: after next
// comes the following page, or with last the following phase. A dry run takes
// all of it back, and keeps the progress alone.
func (r *reconciliation) save(ctx context.Context, next place, last bool, work func(context.Context, pgx.Tx, *Report) error) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	var after progress
	err := r.store.transact(ctx, func(tx pgx.Tx) error {
		after = r.progress
		if after.Place = next; last {
			after.Phase, after.Place = after.Phase+1, place{}
		}
		if err := work(ctx, tx, &after.Report); err != nil {
			return err
		}
		if r.dryRun {
			return errDryRun
		}
		finished := after.Phase == lastPhase
		if finished {
			if err := forgetEvents(ctx, tx); err != nil {
				return err
			}
		}
		saved, err := tx.Exec(ctx, `
			UPDATE reconciliation SET progress = $2, finished_at = CASE WHEN $3 THEN clock_timestamp() END
			WHERE run = $1`, r.number, after, finished)
		if err == nil && saved.RowsAffected() == 0 {
			// This instance lost the connection that held the lock.
			return &errs.Error{Code: errs.Aborted, Message: "another reconciliation is running"}
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

// ask asks Clerk, and waits while it cannot be asked.
func ask[T any](ctx context.Context, r *reconciliation, call func(context.Context) (T, error)) (T, error) {
	delay := firstWait
	for failures := 1; ; failures++ {
		r.progress.Report.Calls++
		answer, err := call(ctx)
		var ofClerk *clerkauth.Error
		if err == nil || failures == maxFailures || !errors.As(err, &ofClerk) || ofClerk.Kind != clerkauth.Unavailable {
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
