package clerkauth

import (
	"time"

	"github.com/maypok86/otter/v2"
)

const (
	firstFailureWait = time.Second
	maxFailureWait   = 30 * time.Second

	// maxFailures bounds how many failures are remembered, at some 300 bytes
	// each.
	maxFailures = 10_000
)

// failures remembers what failed on its own account: the record of one user,
// or one thing that the application asks for. Each waits for itself.
type failures struct {
	now   func() time.Time
	cache *otter.Cache[string, ownFailure]
}

type ownFailure struct {
	err   *Error
	count int // in a row
	until time.Time
}

func newFailures(now func() time.Time) *failures {
	return &failures{now: now, cache: newCache(now, otter.Options[string, ownFailure]{
		MaximumSize: maxFailures,
		// Kept for a while longer, so that the waits grow.
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[string, ownFailure]) time.Duration {
			return e.Value.until.Sub(now()) + 2*maxFailureWait
		}),
	})}
}

// of returns the failure that the owner still has to wait for, or nil, and
// whether the owner has failed lately at all.
func (f *failures) of(owner string) (failure *Error, onRecord bool) {
	known, onRecord := f.cache.GetIfPresent(owner)
	if onRecord && f.now().Before(known.until) {
		return known.err, true
	}
	return nil, onRecord
}

// add remembers a failure: the owner waits 1 s, then 2 s, up to 30 s, or for
// as long as Clerk says.
func (f *failures) add(owner string, err *Error) {
	now := f.now()
	f.cache.Compute(owner, func(known ownFailure, _ bool) (ownFailure, otter.ComputeOp) {
		if now.Before(known.until) && err.retryAfter == 0 {
			return known, otter.CancelOp // one of several calls that were out at once
		}
		wait := min(firstFailureWait<<min(known.count, 10), maxFailureWait)
		return ownFailure{err: err, count: known.count + 1, until: now.Add(max(wait, err.retryAfter))}, otter.WriteOp
	})
}

func (f *failures) clear(owner string) { f.cache.Invalidate(owner) }
