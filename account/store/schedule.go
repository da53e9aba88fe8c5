package store

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
)

const (
	// lookEvery is how often an instance looks whether a reconciliation is due.
	lookEvery = 5 * time.Minute
	// retryAfter is how long it waits after a failure, twice as long after each
	// further one, at most lookEvery.
	retryAfter = 30 * time.Second
)

// KeepReconciled reconciles when the last reconciliation of any instance began
// longer ago than every, the first time at once, until ctx ends. Errors are in
// the log; the next look continues where the reconciliation stopped.
func (s *Store) KeepReconciled(ctx context.Context, backend clerk.Backend, every time.Duration) {
	retry := retryAfter
	for {
		due, err := s.reconcileDue(ctx, every)
		if err == nil && due {
			_, err = s.Reconcile(ctx, backend, &ReconcileParams{})
		}
		pause := lookEvery
		if err != nil {
			pause, retry = retry, min(2*retry, lookEvery)
		} else {
			retry = retryAfter
		}
		// Instances that started together look at different moments.
		if wait(ctx, pause-rand.N(pause/4)) != nil {
			return
		}
	}
}

func (s *Store) reconcileDue(ctx context.Context, every time.Duration) (due bool, err error) {
	err = s.use(ctx, requestTimeout, func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, `
			SELECT NOT EXISTS (SELECT FROM reconciliation
				WHERE finished_at IS NOT NULL AND started_at > clock_timestamp() - $1::interval)`, every).Scan(&due)
	})
	return due, err
}
