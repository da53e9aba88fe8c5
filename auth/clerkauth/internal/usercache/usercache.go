// Package usercache caches Clerk users.
//
//	record                        a request               in the background
//	none, or older than below     waits for a load        -
//	age < maxAge                  is served               -
//	age < maxAge + staleIfError   is served, stale        a refresh
//	refusal, age < maxAge         is refused              -
//	refusal, and a newer token    waits for a load        -
//
// The age counts from the last time at which Clerk confirmed the record.
package usercache

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"encore.app/auth/clerkauth/internal/batch"
	"encore.app/auth/clerkauth/internal/cache"
)

const (
	// maxUsers bounds how many users are remembered, at some 400 bytes each.
	maxUsers = 50_000

	// refreshRetry is the least time between two refreshes of one user, on
	// average: the first may have been dropped.
	refreshRetry = 5 * time.Second
)

// Why a user is refused. The words are reasons of clerkauth.
const (
	Unknown = "unknown_user" // Clerk does not have the user, and did not before
	Deleted = "user_deleted"
	Banned  = "user_banned"
)

// Record is what is kept of a Clerk user.
type Record struct {
	PrimaryEmail  string
	EmailVerified bool
	Refusal       string // "" for a user who is not refused

	// UpdatedAt is the time of the user's last change, by Clerk's clock. For a
	// deleted user it is the time as of which that is known.
	UpdatedAt time.Time
	// CheckedAt is the last time at which Clerk confirmed the record.
	CheckedAt time.Time
	// RefusalCoversTokensUntil is the latest time of issue of a token that is
	// refused from the cache. Clerk issues no tokens to refused users: a newer
	// token forces a load.
	RefusalCoversTokensUntil time.Time
}

// Entry is a Record in the cache.
type Entry struct {
	Record
	refreshAt atomic.Int64 // no refresh before then, in nanoseconds since 1970
	removed   atomic.Bool  // from the cache, which may hold a newer entry
}

// Cache caches users.
type Cache struct {
	now                  func() time.Time
	maxAge, staleIfError time.Duration
	stale                func()
	cache                cache.Cache[string, *Entry]
	// Loader loads users. It is set before the first call of Find, and stores with
	// Put.
	Loader *batch.Loader[Record]
}

// New returns a Cache without a Loader. Stale is told of each request that is
// served a stale record.
func New(maxAge, staleIfError time.Duration, now func() time.Time, stale func()) *Cache {
	c := &Cache{now: now, maxAge: maxAge, staleIfError: staleIfError, stale: stale}
	c.cache = cache.New(now, otter.Options[string, *Entry]{
		MaximumSize: maxUsers,
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[string, *Entry]) time.Duration {
			return max(c.lifetime(&e.Value.Record, now()), 1)
		}),
		OnAtomicDeletion: func(e otter.DeletionEvent[string, *Entry]) { e.Value.removed.Store(true) },
	})
	return c
}

// lifetime is for how much longer a record serves. A refusal is never served
// stale, because a ban can be lifted.
func (c *Cache) lifetime(r *Record, now time.Time) time.Duration {
	lifetime := c.maxAge
	if r.Refusal == "" {
		lifetime += c.staleIfError
	}
	return lifetime - now.Sub(r.CheckedAt)
}

// Find returns the record of the user of a token, which may be a refusal. The
// entry that the same token found last is kept in last.
func (c *Cache) Find(ctx context.Context, id string, issuedAt time.Time, last *atomic.Pointer[Entry]) (*Record, error) {
	now := c.now()
	entry := c.entry(id, last, now)
	if entry == nil || entry.Refusal != "" && issuedAt.After(entry.RefusalCoversTokensUntil) {
		return c.load(ctx, id, issuedAt, entry, now)
	}
	if entry.Refusal == "" && now.Sub(entry.CheckedAt) >= c.maxAge {
		c.stale()
		c.refresh(id, entry, now)
	}
	return &entry.Record, nil
}

// entry reads the cache when a token is used for the first time and when a record
// was replaced, about once a minute for an active user. So a full cache keeps
// those who come often rather than those who send much.
func (c *Cache) entry(id string, last *atomic.Pointer[Entry], now time.Time) *Entry {
	if entry := last.Load(); entry != nil && !entry.removed.Load() && c.lifetime(&entry.Record, now) > 0 {
		return entry
	}
	entry, _ := c.cache.GetIfPresent(id)
	last.Store(entry)
	return entry
}

func (c *Cache) load(ctx context.Context, id string, issuedAt time.Time, entry *Entry, now time.Time) (*Record, error) {
	record, err := c.Loader.Load(ctx, id, func() (Record, bool) {
		if newer, ok := c.cache.GetIfPresent(id); ok && newer != entry {
			return newer.Record, true
		}
		return Record{}, false
	})
	if err != nil {
		return nil, err
	}
	if record.Refusal != "" && issuedAt.After(record.RefusalCoversTokensUntil) && !record.CheckedAt.Before(now) {
		record.RefusalCoversTokensUntil = issuedAt // the user was loaded after the token arrived
		record = c.Put(id, record)
	}
	return &record, nil
}

// refresh starts one refresh of a stale entry for all requests that see it.
func (c *Cache) refresh(id string, entry *Entry, now time.Time) {
	due := entry.refreshAt.Load()
	retry := time.Duration((0.5 + rand.Float64()) * float64(refreshRetry))
	if now.UnixNano() >= due && entry.refreshAt.CompareAndSwap(due, now.Add(retry).UnixNano()) {
		c.Loader.Refresh(id)
	}
}

// Put stores a record unless the cache has a newer record, and returns the
// record that counts. Newer is decided by Clerk's clock alone. Of two records
// of the same time the record that was checked later counts, and a refusal wins
// a tie.
func (c *Cache) Put(id string, record Record) Record {
	kept := record
	c.cache.Compute(id, func(known *Entry, found bool) (*Entry, otter.ComputeOp) {
		if found && kept.Refusal == Unknown && known.Refusal != Unknown {
			kept.Refusal = Deleted // Clerk had the user before
		}
		if found && known.supersedes(&record) {
			kept = known.Record
			if known.Refusal == "" && record.CheckedAt.After(kept.CheckedAt) {
				kept.CheckedAt = record.CheckedAt // Clerk has no newer record
			}
			if record.RefusalCoversTokensUntil.After(kept.RefusalCoversTokensUntil) {
				kept.RefusalCoversTokensUntil = record.RefusalCoversTokensUntil
			}
		}
		if c.lifetime(&kept, c.now()) <= 0 {
			return nil, otter.InvalidateOp
		}
		return &Entry{Record: kept}, otter.WriteOp
	})
	return kept
}

func (r *Record) supersedes(other *Record) bool {
	if r.Refusal == Unknown && other.CheckedAt.After(r.CheckedAt) {
		return false // UpdatedAt is no time of Clerk's: a replica of Clerk's may have been behind
	}
	if c := r.UpdatedAt.Compare(other.UpdatedAt); c != 0 {
		return c > 0
	}
	if c := r.CheckedAt.Compare(other.CheckedAt); c != 0 {
		return c > 0
	}
	return r.Refusal != "" && other.Refusal == ""
}
