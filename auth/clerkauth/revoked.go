package clerkauth

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
)

// Reasons of the kind Unauthenticated that follow from what the application
// reported by StoreUser, RefuseUser and RefuseSession.
const (
	ReasonUserRevoked    Reason = "user_revoked"
	ReasonSessionRevoked Reason = "session_revoked"
)

const (
	// refuseFor is for how long a user or session is refused. Clerk makes no
	// more tokens for them, and earlier tokens live for 60 seconds.
	refuseFor = 2 * time.Minute

	// maxRefused bounds how many users and sessions are refused at a time, and
	// how many admissions are remembered, at some 200 bytes each.
	maxRefused = 100_000
)

// refusals are the users and sessions that must not come in although their
// tokens are in order.
type refusals struct {
	now func() time.Time

	mu      sync.Mutex // one change at a time
	refused *otter.Cache[string, decision]
	// admitted are users who changed and are not refused, so that an older
	// refusal that arrives late cannot override it. Many users change: their
	// memory is apart, so that they push no refusal out.
	admitted *otter.Cache[string, decision]
	until    atomic.Int64 // when the last refusal ends, in nanoseconds since 1970
}

// decision is when Clerk decided on a user or session, by Clerk's clock, and
// until when that matters, by ours.
type decision struct{ at, end time.Time }

func newRefusals(o Options) *refusals {
	memory := func() *otter.Cache[string, decision] {
		return newCache(o.Now, otter.Options[string, decision]{
			MaximumSize: maxRefused,
			ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[string, decision]) time.Duration {
				return e.Value.end.Sub(o.Now())
			}),
		})
	}
	return &refusals{now: o.Now, refused: memory(), admitted: memory()}
}

// set remembers a decision, unless a newer one is known, or all tokens from
// before it have expired anyway. A refusal wins a tie.
func (r *refusals) set(id string, refused bool, at time.Time) {
	now := r.now()
	end := at.Add(refuseFor)
	if at.After(now) { // the clocks differ
		end = now.Add(refuseFor)
	}
	if id == "" || !end.After(now) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	refusal, isRefused := r.refused.GetIfPresent(id)
	admission, isAdmitted := r.admitted.GetIfPresent(id)
	switch {
	case refused && isAdmitted && admission.at.After(at),
		isRefused && refusal.at.After(at),
		!refused && isRefused && refusal.at.Equal(at):
		// what is known is newer
	case refused:
		r.refused.Set(id, decision{at, end})
		r.until.Store(max(r.until.Load(), end.UnixNano()))
	default:
		r.refused.Invalidate(id)
		if !isAdmitted || at.After(admission.at) {
			r.admitted.Set(id, decision{at, end})
		}
	}
}

// check costs one atomic read while nobody is refused.
func (r *refusals) check(c *Caller) Reason {
	until := r.until.Load()
	if until == 0 || until <= r.now().UnixNano() {
		return ""
	}
	if _, refused := r.refused.GetIfPresent(c.UserID); refused {
		return ReasonUserRevoked
	}
	if _, refused := r.refused.GetIfPresent(c.SessionID); refused {
		return ReasonSessionRevoked
	}
	return ""
}

// UserRecord is a user as an event of Clerk describes them.
type UserRecord struct {
	ID            string // user_…
	PrimaryEmail  string // "" for a user without one
	EmailVerified bool
	Banned        bool
	// UpdatedAt is Clerk's time of the record. Without it the record is not
	// used.
	UpdatedAt time.Time
}

// StoreUser takes over what Clerk reports of a user who was created or changed,
// unless something newer is known. A user who is banned is refused from the
// next request on, however good their tokens are; a later record that is not
// banned ends that. To store a record twice changes nothing.
//
// This and the methods below act on this Authenticator alone. Another instance
// of the application learns of the change when its own record is refreshed,
// after [Options].UserMaxAge, or for a token with an email claim when that
// expires after 60 seconds. To have it everywhere at once, send the change to
// every instance by a channel that each one reads in full, and call the method
// there.
func (a *Authenticator) StoreUser(u UserRecord) {
	if !isUserID(u.ID) || u.UpdatedAt.IsZero() {
		return
	}
	record := userRecord{primaryEmail: u.PrimaryEmail, emailVerified: u.EmailVerified, updatedAt: u.UpdatedAt}
	if u.Banned {
		record = userRecord{refusal: ReasonUserBanned, updatedAt: u.UpdatedAt}
	}
	a.report(u.ID, record)
}

// RefuseUser refuses a user who was deleted at the given time, by Clerk's
// clock, from the next request on, however good their tokens are. It does so
// for two minutes, in which every token from before has expired.
func (a *Authenticator) RefuseUser(userID string, at time.Time) {
	if isUserID(userID) {
		a.report(userID, userRecord{refusal: ReasonUserDeleted, updatedAt: at})
	}
}

// report takes over what Clerk said of a user. The record is as old as the
// event.
func (a *Authenticator) report(userID string, record userRecord) {
	record.checkedAt = record.updatedAt
	if now := a.options.Now(); record.checkedAt.After(now) {
		record.checkedAt = now // the clocks differ
	}
	record.answers = record.checkedAt
	a.refusals.set(userID, record.refusal != "", record.updatedAt)
	a.users.put(userID, record)
}

// RefuseSession refuses a session that was ended, removed or revoked at the
// given time: what [Authenticator.RefuseUser] does, for one sign-in of a user.
func (a *Authenticator) RefuseSession(sessionID string, at time.Time) {
	a.refusals.set(sessionID, true, at)
}
