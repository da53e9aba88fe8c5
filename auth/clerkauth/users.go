package clerkauth

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/user"
	"github.com/maypok86/otter/v2"
)

// maxUsers bounds how many users are remembered, at some 300 bytes each.
const maxUsers = 50_000

// userRecord is what is kept of a Clerk user.
type userRecord struct {
	primaryEmail string
	refusal      Reason // not empty for a user who must not come in
}

// users remembers Clerk users: fresh for maxAge, then renewed in the background
// while the old answer serves, for at most staleIfError longer.
type users struct {
	client    *user.Client
	available func() bool
	cache     *otter.Cache[string, userRecord]
	loader    otter.Loader[string, userRecord]
}

func newUsers(b *backend, o Options) (*users, error) {
	lifetime := func(e otter.Entry[string, userRecord]) time.Duration {
		if e.Value.refusal != "" {
			return o.UserMaxAge // a ban can be lifted; never stretch it
		}
		return o.UserMaxAge + o.UserStaleIfError
	}
	cache, err := otter.New(&otter.Options[string, userRecord]{
		MaximumSize:       maxUsers,
		RefreshCalculator: otter.RefreshWriting[string, userRecord](o.UserMaxAge),
		ExpiryCalculator:  otter.ExpiryWritingFunc(lifetime),
		Clock:             cacheClock(o.Now),
		Executor:          inline,
		Logger:            &otter.NoopLogger{},
	})
	if err != nil {
		return nil, err
	}
	u := &users{client: &user.Client{Backend: b}, available: b.available, cache: cache}
	u.loader = otter.LoaderFunc[string, userRecord](u.get)
	return u, nil
}

// primaryEmail gives the user's primary email address, "" for a user without
// one. It waits for Clerk only when nothing is known of the user; all who wait
// for the same user share one call.
func (u *users) primaryEmail(ctx context.Context, until time.Time, id string) (string, error) {
	entry, known := u.cache.GetEntry(id)
	record := entry.Value
	switch {
	case !known:
		loaded, err := await(ctx, until, u.load(ctx, id))
		if err = cmp.Or(err, loaded.err); err != nil {
			return "", err
		}
		record = loaded.record
	case entry.RefreshableAfter() <= 0 && u.available():
		u.load(ctx, id) // for those who come later
	}
	if record.refusal != "" {
		return "", refuse(record.refusal)
	}
	return record.primaryEmail, nil
}

type loaded struct {
	record userRecord
	err    error
}

// load gets a user in the background. What is fresh is not loaded again, and
// what is being loaded is shared.
func (u *users) load(ctx context.Context, id string) <-chan loaded {
	done := make(chan loaded, 1)
	go func() {
		record, err := u.cache.Get(context.WithoutCancel(ctx), id, u.loader)
		done <- loaded{record, err}
	}()
	return done
}

func (u *users) get(ctx context.Context, id string) (userRecord, error) {
	var record userRecord
	found, err := u.client.Get(ctx, id)
	switch {
	case errors.Is(err, errNotFound):
		record.refusal = ReasonUserDeleted
	case err != nil:
		return userRecord{}, err
	case found.ID != id:
		return userRecord{}, &Error{Kind: Unavailable, Reason: ReasonInvalidResponse, cause: errors.New("not the user asked for")}
	case found.Banned:
		record.refusal = ReasonUserBanned
	default:
		record.primaryEmail = primaryEmail(found)
	}
	return record, nil
}

func primaryEmail(u *clerk.User) string {
	if u.PrimaryEmailAddressID == nil {
		return ""
	}
	for _, address := range u.EmailAddresses {
		if address != nil && address.ID == *u.PrimaryEmailAddressID {
			return address.EmailAddress
		}
	}
	return ""
}

// inline has a cache do its upkeep on the way, which is cheaper than a goroutine
// each time.
func inline(upkeep func()) { upkeep() }

// cacheClock lets a cache live by the time of [Options].Now. Without ticks it
// cleans up on reads and writes, and owns no goroutine.
type cacheClock func() time.Time

func (c cacheClock) NowNano() int64                      { return c().UnixNano() }
func (c cacheClock) Tick(time.Duration) <-chan time.Time { return nil }
