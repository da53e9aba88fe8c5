package clerkauth

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// Reasons of the kind Unauthenticated with which a [Watch] ends, beside those of
// [Authenticator.Authenticate].
const (
	ReasonRoleChanged   Reason = "role_changed"   // in the organization that is active for the caller
	ReasonCallerChanged Reason = "caller_changed" // the fresh token is of another session, organization or role
)

// MembershipRecord is a user's place in an organization as an event of Clerk
// describes it.
type MembershipRecord struct {
	OrganizationID string
	UserID         string
	Role           string // such as org:admin; "" for a user who is no member any more
	// UpdatedAt is Clerk's time of the record. Tokens that were issued later have
	// the role already.
	UpdatedAt time.Time
}

// Watch is a caller whose connection stays open, such as a WebSocket. Its context
// ends when the user is banned or deleted, when the session ends, when the role in
// the active organization changes, and when the token expires that was sent last.
type Watch struct {
	authenticator *Authenticator
	ctx           context.Context
	end           context.CancelCauseFunc

	mu       sync.Mutex
	caller   Caller
	issuedAt time.Time // of the caller's token
	expiry   *time.Timer
}

// Watch begins to watch a caller. Its context is derived from ctx, and
// [context.Cause] tells with an [*Error] why it ended. [Watch.Stop] has to be
// called once the connection is closed.
//
// What [Authenticator.StoreUser], [Authenticator.RevokeUser],
// [Authenticator.RevokeSession] and [Authenticator.StoreMembership] report ends the
// watches of this Authenticator at once. Without such reports, a watch ends when the
// token expires and Clerk issues no other.
func (a *Authenticator) Watch(ctx context.Context, caller *Caller) *Watch {
	w := &Watch{authenticator: a}
	w.ctx, w.end = context.WithCancelCause(ctx)
	w.use(caller)
	a.watches.add(w)
	w.checkRevoked() // what was reported before it was added
	return w
}

// Context ends with the caller.
func (w *Watch) Context() context.Context { return w.ctx }

// Caller returns the caller as of the token that was sent last.
func (w *Watch) Caller() Caller {
	w.mu.Lock()
	defer w.mu.Unlock()
	var own Caller
	w.caller.copyTo(&own)
	return own
}

// Stop ends the watch.
func (w *Watch) Stop() {
	w.end(context.Canceled)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.authenticator.watches.remove(w)
	if w.expiry != nil {
		w.expiry.Stop()
	}
}

// Renew goes on with a fresh token of the same session, organization and role. A
// token that is refused, or of another caller, ends the watch. While Clerk cannot be
// asked, the error has the Kind Unavailable, and the watch goes on with the token
// that it has.
func (w *Watch) Renew(ctx context.Context, token string) error {
	caller, err := w.authenticator.Authenticate(ctx, token)
	if err == nil {
		w.mu.Lock()
		same := w.caller.TokenType == caller.TokenType && w.caller.Subject == caller.Subject && w.caller.SessionID == caller.SessionID &&
			w.caller.Organization.ID == caller.Organization.ID && w.caller.Organization.Role == caller.Organization.Role
		w.mu.Unlock()
		if same {
			w.use(&caller)
			w.checkRevoked()
			return context.Cause(w.ctx)
		}
		err = refuse(ReasonCallerChanged)
	}
	if AsError(err).Kind == Unauthenticated {
		w.end(err)
	}
	return err
}

// use takes over the caller of a token. An older token than the last shortens
// nothing.
func (w *Watch) use(caller *Caller) {
	now := w.authenticator.options.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if caller.ExpiresAt.Before(w.caller.ExpiresAt) {
		return
	}
	caller.copyTo(&w.caller)
	w.issuedAt = caller.IssuedAt
	if w.issuedAt.IsZero() { // an opaque token, which Clerk has verified lately
		w.issuedAt = now
	}
	if caller.ExpiresAt.IsZero() {
		return
	}
	left := caller.ExpiresAt.Add(leeway).Sub(now)
	if w.expiry == nil {
		w.expiry = time.AfterFunc(left, func() { w.end(refuse(ReasonExpired)) })
	} else if w.ctx.Err() == nil {
		w.expiry.Reset(left)
	}
}

func (w *Watch) checkRevoked() {
	w.mu.Lock()
	reason := w.authenticator.refusals.check(&w.caller, w.issuedAt)
	w.mu.Unlock()
	if reason != "" {
		w.end(refuse(reason))
	}
}

func (w *Watch) checkRole(m *MembershipRecord) {
	w.mu.Lock()
	active := w.caller.Organization
	changed := active.ID == m.OrganizationID && !m.UpdatedAt.Before(w.issuedAt.Truncate(time.Second)) &&
		(m.Role == "" || active.Role != "" && withOrg(active.Role) != withOrg(m.Role)) // an OAuth client's role is not known
	w.mu.Unlock()
	if changed {
		w.end(refuse(ReasonRoleChanged))
	}
}

// StoreMembership takes over what Clerk reports of a membership that was created,
// changed or ended: it ends the watches of the user whose role is another now. Typed
// requests have the role of their token, which lives for a minute.
func (a *Authenticator) StoreMembership(m MembershipRecord) {
	for _, w := range a.watches.of(m.UserID) {
		w.checkRole(&m)
	}
}

// watches are the watches of an Authenticator by the ids of their users and
// sessions.
type watches struct {
	mu   sync.Mutex
	byID map[string][]*Watch
}

func (s *watches) add(w *Watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID == nil {
		s.byID = map[string][]*Watch{}
	}
	for _, id := range w.ids() {
		s.byID[id] = append(s.byID[id], w)
	}
}

func (s *watches) remove(w *Watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range w.ids() {
		s.byID[id] = slices.DeleteFunc(s.byID[id], func(other *Watch) bool { return other == w })
		if len(s.byID[id]) == 0 {
			delete(s.byID, id)
		}
	}
}

// of returns the watches of a user or session.
func (s *watches) of(id string) []*Watch {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.byID[id])
}

// checkRevoked ends the watches of a user or session that was revoked.
func (s *watches) checkRevoked(id string) {
	for _, w := range s.of(id) {
		w.checkRevoked()
	}
}

// ids never change: a fresh token is of the same session.
func (w *Watch) ids() []string {
	if w.caller.SessionID == "" {
		return []string{cmp.Or(w.caller.UserID, w.caller.Subject)}
	}
	return []string{w.caller.UserID, w.caller.SessionID}
}
