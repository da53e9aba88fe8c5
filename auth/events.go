package auth

import (
	"context"
	"time"

	"encore.app/auth/clerkauth"
)

// Through the endpoints below other services pass on what Clerk said, usually
// by a webhook. Each may be called twice, late and in any order. They act on
// this instance: others learn of a change within a minute, when their records
// end.

// UserUpdated stores what Clerk said of a user, unless something newer is known.
// A banned user is refused from the next request on.
//
//encore:api private sensitive
func UserUpdated(ctx context.Context, user *clerkauth.UserRecord) error {
	a, err := authenticator()
	if err != nil {
		return err
	}
	a.StoreUser(*user)
	return nil
}

// MembershipChanged ends the watches ([clerkauth.Watch]) of a user whose role in an
// organization is another now, or of all members of an organization that was deleted.
//
//encore:api private
func MembershipChanged(ctx context.Context, membership *clerkauth.MembershipRecord) error {
	a, err := authenticator()
	if err != nil {
		return err
	}
	a.StoreMembership(*membership)
	return nil
}

// Ended is a user or a session that is over.
type Ended struct {
	ID string
	At time.Time // by Clerk's clock
}

// UserDeleted refuses a deleted user from the next request on.
//
//encore:api private
func UserDeleted(ctx context.Context, user *Ended) error {
	a, err := authenticator()
	if err != nil {
		return err
	}
	a.RevokeUser(user.ID, user.At)
	return nil
}

// SessionEnded refuses a session from the next request on.
//
//encore:api private
func SessionEnded(ctx context.Context, session *Ended) error {
	a, err := authenticator()
	if err != nil {
		return err
	}
	a.RevokeSession(session.ID, session.At)
	return nil
}

// Events is the endpoints above as methods, for handlers of Clerk's events.
type Events struct{}

// UserUpdated calls [UserUpdated].
func (Events) UserUpdated(ctx context.Context, user *clerkauth.UserRecord) error {
	return UserUpdated(ctx, user)
}

// UserDeleted calls [UserDeleted].
func (Events) UserDeleted(ctx context.Context, userID string, at time.Time) error {
	return UserDeleted(ctx, &Ended{ID: userID, At: at})
}

// SessionEnded calls [SessionEnded].
func (Events) SessionEnded(ctx context.Context, sessionID string, at time.Time) error {
	return SessionEnded(ctx, &Ended{ID: sessionID, At: at})
}

// MembershipChanged calls [MembershipChanged].
func (Events) MembershipChanged(ctx context.Context, m *clerkauth.MembershipRecord) error {
	return MembershipChanged(ctx, m)
}
