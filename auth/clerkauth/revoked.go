package clerkauth

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
)

// Reasons of the kind Unauthenticated that follow from what the application
// was told by RefuseUser and RefuseSession.
const (
	ReasonUserRevoked    Reason = "user_revoked"
	ReasonSessionRevoked Reason = "session_revoked"
)

const (
	// refuseFor is for how long a user or session is refused. Clerk makes no
	// more tokens for them, and those it made live for 60 seconds.
	refuseFor = 2 * time.Minute

	// maxRefused bounds how many users and sessions are refused at a time, at
	// some 200 bytes each.
	maxRefused = 100_000
)

// refusals are the users and sessions that must not come in although their
// tokens are in order.
type refusals struct {
	now   func() time.Time
	cache *otter.Cache[string, refusal]

	mu    sync.Mutex   // one change at a time
	until atomic.Int64 // when the last of them ends, in nanoseconds since 1970
}

// refusal is what is known of one user or session. An admission is kept as
// well, lest an older event that comes late undo it.
type refusal struct {
	refused bool
	at      time.Time // when Clerk decided so
}

func newRefusals(o Options) (*refusals, error) {
	cache, err := otter.New(&otter.Options[string, refusal]{
		MaximumSize: maxRefused,
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[string, refusal]) time.Duration {
			return e.Value.at.Add(refuseFor).Sub(o.Now())
		}),
		Clock:    cacheClock(o.Now),
		Executor: inline,
		Logger:   &otter.NoopLogger{},
	})
	return &refusals{now: o.Now, cache: cache}, err
}

// set remembers a decision, unless a newer one is known, or all tokens from
// before it have expired anyway.
func (r *refusals) set(id string, refused bool, at time.Time) {
	now := r.now()
	if at.After(now) {
		at = now // the clocks differ
	}
	end := at.Add(refuseFor)
	if id == "" || !end.After(now) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, ok := r.cache.GetIfPresent(id); ok && known.at.After(at) {
		return
	}
	r.cache.Set(id, refusal{refused: refused, at: at})
	r.until.Store(max(r.until.Load(), end.UnixNano()))
}

// check costs one atomic read while nobody is refused.
func (r *refusals) check(c *Caller) Reason {
	until := r.until.Load()
	if until == 0 || until <= r.now().UnixNano() {
		return ""
	}
	if known, ok := r.cache.GetIfPresent(c.UserID); ok && known.refused {
		return ReasonUserRevoked
	}
	if known, ok := r.cache.GetIfPresent(c.SessionID); ok && known.refused {
		return ReasonSessionRevoked
	}
	return ""
}

// ForgetUser drops what is remembered of a user: the next request whose token
// has no email claim asks Clerk. It is for a user who was changed.
//
// This and the methods below act on this Authenticator alone. Another instance
// of the application learns of the change when its own memory ends: after
// [Options].UserMaxAge or, for a token with an email claim, when that expires
// after 60 seconds. To have it everywhere at once, send the change to every
// instance by a channel that each one reads in full, such as Redis Pub/Sub, and
// call the method there.
func (a *Authenticator) ForgetUser(userID string) { a.users.cache.Invalidate(userID) }

// RefuseUser refuses a user who was deleted or banned at the given time, from
// the next request on, however good their tokens are. It does so for two
// minutes, in which every token from before has expired; it bounds how many it
// remembers. A time that lies further back changes nothing more than
// [Authenticator.ForgetUser], which this includes.
func (a *Authenticator) RefuseUser(userID string, at time.Time) {
	a.refusals.set(userID, true, at)
	a.ForgetUser(userID)
}

// AdmitUser ends what [Authenticator.RefuseUser] began, for a user who is known
// not to be banned at the given time. It changes nothing if that is before the
// user was refused: events may come out of order. It includes
// [Authenticator.ForgetUser].
func (a *Authenticator) AdmitUser(userID string, at time.Time) {
	a.refusals.set(userID, false, at)
	a.ForgetUser(userID)
}

// RefuseSession refuses a session that was ended, removed or revoked at the
// given time: what [Authenticator.RefuseUser] does, for one sign-in of a user.
func (a *Authenticator) RefuseSession(sessionID string, at time.Time) {
	a.refusals.set(sessionID, true, at)
}
