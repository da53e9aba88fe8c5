// Package backoff stores failures that concern one key alone, such as one
// user's record. Each key waits separately.
//
//	state    event                    next state
//	unknown  Add                      waiting, for 1 s
//	waiting  the time is over         recent
//	recent   Add                      waiting, for twice as long up to 30 s
//	recent   Clear, or 60 s are over  unknown
package backoff

import (
	"time"

	"github.com/maypok86/otter/v2"

	"encore.app/auth/clerkauth/internal/cache"
)

const (
	firstWait = time.Second
	maxWait   = 30 * time.Second

	// MaxKeys bounds how many failures are remembered, at some 300 bytes each.
	MaxKeys = 10_000
)

// Keyed is a backoff for each key.
type Keyed struct {
	now   func() time.Time
	cache cache.Cache[string, failure]
}

type failure struct {
	err   error
	count int // in a row
	until time.Time
}

// New returns a Keyed without failures.
func New(now func() time.Time) *Keyed {
	return &Keyed{now: now, cache: cache.New(now, otter.Options[string, failure]{
		MaximumSize: MaxKeys,
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[string, failure]) time.Duration {
			return e.Value.until.Sub(now()) + 2*maxWait
		}),
	})}
}

// Check returns the failure that the key still waits for, or nil, and whether the
// key has failed recently.
func (k *Keyed) Check(key string) (waiting error, recent bool) {
	known, recent := k.cache.GetIfPresent(key)
	if recent && k.now().Before(known.until) {
		return known.err, true
	}
	return nil, recent
}

// Add stores a failure. A longer retryAfter replaces the wait.
func (k *Keyed) Add(key string, err error, retryAfter time.Duration) {
	now := k.now()
	k.cache.Compute(key, func(known failure, _ bool) (failure, otter.ComputeOp) {
		if now.Before(known.until) && retryAfter == 0 {
			return known, otter.CancelOp // one of several calls at the same time
		}
		wait := min(firstWait<<min(known.count, 10), maxWait)
		return failure{err: err, count: known.count + 1, until: now.Add(max(wait, retryAfter))}, otter.WriteOp
	})
}

// Clear forgets a key's failures.
func (k *Keyed) Clear(key string) { k.cache.Invalidate(key) }
