package clerkauth

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/maypok86/otter/v2"
)

const (
	// maxUsers bounds how many users are remembered, at some 400 bytes each.
	maxUsers = 50_000

	// refreshRetry is the least time between two refreshes of one user, on
	// average: the first may have been dropped.
	refreshRetry = 5 * time.Second
)

// userRecord is what is kept of a Clerk user.
type userRecord struct {
	primaryEmail  string
	emailVerified bool
	refusal       Reason // not empty for a user who must not come in

	// updatedAt is when the user was changed, by Clerk's clock, and for a user
	// who is gone the time as of which that is known.
	updatedAt time.Time
	// checkedAt is as of when the record is known to be true.
	checkedAt time.Time
	// answers is until when a token may have been issued that the refusal
	// answers. Clerk issues no tokens to those who must not come in, so that a
	// newer token is a reason to ask again.
	answers time.Time
}

// userEntry is a userRecord in memory.
type userEntry struct {
	userRecord
	refreshAt atomic.Int64 // no refresh before then, in nanoseconds since 1970
	removed   atomic.Bool  // from the cache, which may hold a newer entry
}

// users remembers Clerk users: fresh for maxAge, then refreshed in the
// background while the stale record serves, for at most staleIfError longer.
type users struct {
	now                  func() time.Time
	maxAge, staleIfError time.Duration
	counts               counts
	cache                *otter.Cache[string, *userEntry]
	loader               *loader
}

func newUsers(b *Backend, o Options) *users {
	u := &users{
		now: o.Now, maxAge: o.UserMaxAge, staleIfError: o.UserStaleIfError,
		counts: counts{o.Observer}, loader: newLoader(b, o),
	}
	u.cache = newCache(o.Now, otter.Options[string, *userEntry]{
		MaximumSize: maxUsers,
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[string, *userEntry]) time.Duration {
			return max(u.lifetime(&e.Value.userRecord, u.now()), 1)
		}),
		OnAtomicDeletion: func(e otter.DeletionEvent[string, *userEntry]) { e.Value.removed.Store(true) },
	})
	u.loader.put = u.put
	return u
}

// lifetime is for how much longer a record serves. A refusal is never
// stretched, because a ban can be lifted.
func (u *users) lifetime(r *userRecord, now time.Time) time.Duration {
	lifetime := u.maxAge
	if r.refusal == "" {
		lifetime += u.staleIfError
	}
	return lifetime - now.Sub(r.checkedAt)
}

// find returns a user who may come in. It waits for Clerk only when nothing is
// known of the user, or when the token was issued after what is known. The entry
// that the same token found last is kept in last.
func (u *users) find(ctx context.Context, until time.Time, id string, issuedAt time.Time, last *atomic.Pointer[userEntry]) (*userRecord, error) {
	now := u.now()
	entry := u.entry(id, last, now)
	if entry == nil || entry.refusal != "" && issuedAt.After(entry.answers) {
		return u.load(ctx, until, id, issuedAt, entry)
	}
	if entry.refusal != "" {
		return nil, refuse(entry.refusal)
	}
	if now.Sub(entry.checkedAt) >= u.maxAge {
		u.counts.add(CountStale, "user", 1)
		u.refresh(id, entry, now)
	}
	return &entry.userRecord, nil
}

// entry returns what is known of a user, or nil. It asks the cache when a token
// is used for the first time and when a record was replaced, about once a minute
// for an active user: so the cache, when it is full, keeps those who come often
// rather than those who send much.
func (u *users) entry(id string, last *atomic.Pointer[userEntry], now time.Time) *userEntry {
	if entry := last.Load(); entry != nil && !entry.removed.Load() && u.lifetime(&entry.userRecord, now) > 0 {
		return entry
	}
	entry, _ := u.cache.GetIfPresent(id)
	last.Store(entry)
	return entry
}

// load loads a user of whom no more is known than the entry, which may be nil.
func (u *users) load(ctx context.Context, until time.Time, id string, issuedAt time.Time, entry *userEntry) (*userRecord, error) {
	ld, err := u.loader.join(id, issuedAt, func() (userRecord, bool) {
		if newer, ok := u.cache.GetIfPresent(id); ok && newer != entry {
			return newer.userRecord, true
		}
		return userRecord{}, false
	})
	if err != nil {
		return nil, err
	}
	record, err := u.loader.wait(ctx, until, ld)
	if err != nil {
		return nil, err
	}
	if record.refusal != "" {
		return nil, refuse(record.refusal)
	}
	return &record, nil
}

// refresh starts a refresh of a stale entry, one of all requests that see it.
func (u *users) refresh(id string, entry *userEntry, now time.Time) {
	due := entry.refreshAt.Load()
	retry := time.Duration((0.5 + rand.Float64()) * float64(refreshRetry))
	if now.UnixNano() >= due && entry.refreshAt.CompareAndSwap(due, now.Add(retry).UnixNano()) {
		u.loader.refresh(id)
	}
}

// put stores a record unless a newer one is known, and returns the one that
// counts. Newer is decided by Clerk's clock alone. Of two records of the same
// time the one that was checked later counts, and a refusal wins a tie.
func (u *users) put(id string, record userRecord) userRecord {
	kept := record
	u.cache.Compute(id, func(known *userEntry, found bool) (*userEntry, otter.ComputeOp) {
		if found && kept.refusal == ReasonUnknownUser && known.refusal != ReasonUnknownUser {
			kept.refusal = ReasonUserDeleted // Clerk had the user before
		}
		if found && known.supersedes(&record) {
			kept = known.userRecord
			if known.refusal == "" && record.checkedAt.After(kept.checkedAt) {
				kept.checkedAt = record.checkedAt // Clerk knows nothing newer
			}
			if record.answers.After(kept.answers) {
				kept.answers = record.answers
			}
		}
		if u.lifetime(&kept, u.now()) <= 0 {
			return nil, otter.InvalidateOp
		}
		return &userEntry{userRecord: kept}, otter.WriteOp
	})
	return kept
}

func (r *userRecord) supersedes(other *userRecord) bool {
	if c := r.updatedAt.Compare(other.updatedAt); c != 0 {
		return c > 0
	}
	if c := r.checkedAt.Compare(other.checkedAt); c != 0 {
		return c > 0
	}
	return r.refusal != "" && other.refusal == ""
}

// clerkUser is the part of Clerk's User that is used. Nothing else is decoded,
// so that a surprise in it costs nothing.
type clerkUser struct {
	ID                    string  `json:"id"`
	Banned                bool    `json:"banned"`
	PrimaryEmailAddressID *string `json:"primary_email_address_id"`
	EmailAddresses        []struct {
		ID           string `json:"id"`
		EmailAddress string `json:"email_address"`
		Verification *struct {
			Status string `json:"status"`
		} `json:"verification"`
	} `json:"email_addresses"`
	UpdatedAt int64 `json:"updated_at"`
}

var errUnreadable = errors.New("a user that cannot be read")

// parseUser reads one user. With an error, the id is returned if it can be
// read.
func parseUser(raw []byte) (id string, record userRecord, err error) {
	lenient := json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	var found clerkUser
	if err := json.Unmarshal(raw, &found, lenient); err != nil {
		var only struct {
			ID string `json:"id"`
		}
		_ = json.Unmarshal(raw, &only, lenient)
		return only.ID, userRecord{}, errUnreadable
	}
	record.updatedAt = UnixTime(found.UpdatedAt)
	if found.Banned {
		record.refusal = ReasonUserBanned
		return found.ID, record, nil
	}
	for _, address := range found.EmailAddresses {
		if primary := found.PrimaryEmailAddressID; primary != nil && address.ID == *primary {
			record.primaryEmail = address.EmailAddress
			record.emailVerified = address.Verification != nil && address.Verification.Status == "verified"
			break
		}
	}
	return found.ID, record, nil
}
