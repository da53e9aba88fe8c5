package clerkauth

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"encore.app/auth/clerkauth/internal/cache"
	"encore.app/auth/clerkauth/internal/clerkapi"
	"encore.app/auth/clerkauth/internal/usercache"
)

const (
	// maxLateTokens is how long after its decision Clerk may still have issued
	// a token to a refused user. Later tokens show that the user is back.
	maxLateTokens = 2 * time.Minute

	// keepRefusals is how long a refusal is cached. Session tokens live for a
	// minute, and those that an application has Clerk make for longer
	// (expires_in_seconds) hardly ever for more than a day.
	keepRefusals = 24 * time.Hour

	// maxRefused bounds how many users and sessions are refused at a time, and
	// how many admissions are remembered, at some 200 bytes each. The oldest
	// refusal makes room for a new one.
	maxRefused = 100_000
)

// refusals are the users and sessions that are refused although their tokens
// are valid.
type refusals struct {
	now func() time.Time

	mu      sync.RWMutex
	refused map[string]decision
	order   []string // the ids of refused, the oldest first, at most maxRefused
	// admitted are users who changed and are not refused, so that an older
	// refusal that arrives late cannot override it. Many users change: their
	// memory is apart, so that they push no refusal out.
	admitted cache.Cache[string, decision]
	until    atomic.Int64 // when the last refusal ends, in nanoseconds since 1970
}

// decision is what Clerk decided on a user or session.
type decision struct {
	at    time.Time // by Clerk's clock
	late  time.Time // tokens of a user that were issued later are not refused
	until time.Time // by this machine's clock
}

func newRefusals(o Options) *refusals {
	return &refusals{now: o.Now, refused: map[string]decision{}, admitted: cache.New(o.Now, otter.Options[string, decision]{
		MaximumSize:      maxRefused,
		ExpiryCalculator: otter.ExpiryWriting[string, decision](keepRefusals),
	})}
}

// set stores a decision, unless a newer decision is stored, or this decision is
// too old to matter. A refusal wins a tie.
func (r *refusals) set(id string, refused bool, at time.Time) {
	now := r.now()
	if id == "" || now.Sub(at) >= keepRefusals {
		return
	}
	d := decision{at: at, late: at.Add(maxLateTokens), until: now.Add(keepRefusals)}
	if at.After(now) { // the clocks differ
		d.late = now.Add(maxLateTokens)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	refusal, isRefused := r.refused[id]
	admission, isAdmitted := r.admitted.GetIfPresent(id)
	switch {
	case refused && isAdmitted && admission.at.After(at),
		isRefused && !at.After(refusal.at):
		// what is known is newer, or the same: one that is told twice takes one place
	case refused:
		if !isRefused {
			r.order = append(r.order, id)
		}
		r.refused[id] = d
		r.until.Store(d.until.UnixNano())
		if len(r.order) > maxRefused {
			delete(r.refused, r.order[0])
			r.order = r.order[1:]
		}
	default:
		delete(r.refused, id)
		if !isAdmitted || at.After(admission.at) {
			r.admitted.Set(id, d)
		}
	}
}

// check returns why a caller is refused whose token was issued at the given time,
// zero where that is not known. It costs one atomic read while there are no
// refusals.
func (r *refusals) check(c *Caller, issuedAt time.Time) Reason {
	now := r.now()
	if r.until.Load() <= now.UnixNano() {
		return ""
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if d := r.refused[c.UserID]; now.Before(d.until) && !issuedAt.After(d.late) {
		return ReasonUserRevoked
	}
	if now.Before(r.refused[c.SessionID].until) {
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
// unless something newer is known. A banned user is refused from the next request
// on; a later record that is not banned ends that.
//
// This and the methods below act on this Authenticator alone. Other instances
// notice after [Options].UserMaxAge, or for tokens with an email claim when the
// token expires, after 60 seconds. For less, send the change to every instance, and
// call the method there.
func (a *Authenticator) StoreUser(u UserRecord) {
	if !isUserID(u.ID) || u.UpdatedAt.IsZero() {
		return
	}
	record := usercache.Record{PrimaryEmail: u.PrimaryEmail, EmailVerified: u.EmailVerified, UpdatedAt: u.UpdatedAt}
	if u.Banned {
		record = usercache.Record{Refusal: usercache.Banned, UpdatedAt: u.UpdatedAt}
	}
	a.report(u.ID, record)
}

// RevokeUser refuses a user who was deleted at the given time, by Clerk's
// clock, from the next request on, however good their tokens are. The refusal
// is cached for a day and holds for tokens that were issued until two minutes
// after that time. Of more than 100,000 refusals the oldest are forgotten.
func (a *Authenticator) RevokeUser(userID string, at time.Time) {
	if isUserID(userID) {
		a.report(userID, usercache.Record{Refusal: usercache.Deleted, UpdatedAt: at})
	}
}

// report takes over what Clerk said of a user. The record is as old as the
// event.
func (a *Authenticator) report(userID string, record usercache.Record) {
	record.CheckedAt = record.UpdatedAt
	if now := a.options.Now(); record.CheckedAt.After(now) {
		record.CheckedAt = now // the clocks differ
	}
	record.RefusalCoversTokensUntil = record.CheckedAt
	a.refusals.set(userID, record.Refusal != "", record.UpdatedAt)
	a.users.Put(userID, record)
	a.watches.checkRevoked(userID)
}

// RevokeSession refuses a session that was ended, removed or revoked at the
// given time. It does what [Authenticator.RevokeUser] does, for one sign-in of
// a user, and for each of its tokens.
func (a *Authenticator) RevokeSession(sessionID string, at time.Time) {
	a.refusals.set(sessionID, true, at)
	a.watches.checkRevoked(sessionID)
}

// UnixTime returns the time of a date in Clerk's JSON, a number since 1970.
// Clerk counts milliseconds, and seconds in OAuth access tokens and in some
// published examples of webhooks. Dates before March 1973 are read as seconds.
func UnixTime(date int64) time.Time { return clerkapi.UnixTime(date) }

// MembershipRecord is a user's place in an organization as an event of Clerk
// describes it.
type MembershipRecord struct {
	OrganizationID string
	UserID         string // "" for all members of an organization that was deleted
	Role           string // such as org:admin; "" for a user who is no member any more
	// UpdatedAt is Clerk's time of the record. Tokens that were issued later have
	// the role already.
	UpdatedAt time.Time
}

// Watch is a caller whose connection stays open, such as a WebSocket. Its
// context ends when the user is banned or deleted, and when the session ends.
// It also ends when the role in the active organization changes, when that
// organization is deleted, and when the token that was sent last expires. An
// opaque token, which Clerk may revoke at any time, counts for
// [Options].OpaqueTokenMaxAge; [Watch.Renew] with the same token continues it.
type Watch struct {
	authenticator *Authenticator
	ctx           context.Context
	end           context.CancelCauseFunc

	mu      sync.Mutex
	caller  Caller
	expires time.Time
	expiry  *time.Timer
}

// Watch begins to watch a caller. Its context is derived from ctx, and
// [context.Cause] tells with an [*Error] why it ended. [Watch.Stop] has to be
// called once the connection is closed.
//
// Changes that [Authenticator.StoreUser], [Authenticator.RevokeUser],
// [Authenticator.RevokeSession] and [Authenticator.StoreMembership] report end
// the watches of this Authenticator at once. Without such reports, a watch ends
// when the token expires and Clerk issues no other.
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

// Renew continues the watch with a fresh token of the same session,
// organization and role, or of the same machine, client and scopes. A token that is refused, or of another caller, ends
// the watch. While Clerk is unavailable, the error has the Kind Unavailable,
// and the watch continues with its present token.
func (w *Watch) Renew(ctx context.Context, token string) error {
	caller, err := w.authenticator.Authenticate(ctx, token)
	if err == nil {
		w.mu.Lock()
		same := w.caller.isAs(&caller)
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

// isAs reports whether a token of the other caller may take the place of c's.
func (c *Caller) isAs(other *Caller) bool {
	return c.TokenType == other.TokenType && c.Subject == other.Subject && c.SessionID == other.SessionID &&
		c.Organization.ID == other.Organization.ID && c.Organization.Role == other.Organization.Role &&
		c.ClientID == other.ClientID && slices.Equal(c.Scopes, other.Scopes) && slices.Equal(c.Audience, other.Audience)
}

// use takes over the caller of a token. An older token than the last shortens
// nothing.
func (w *Watch) use(caller *Caller) {
	options := &w.authenticator.options
	now, expires := options.Now(), caller.ExpiresAt
	if verified := now.Add(options.OpaqueTokenMaxAge); caller.IssuedAt.IsZero() && (expires.IsZero() || verified.Before(expires)) {
		expires = verified
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if expires.Before(w.expires) {
		return
	}
	caller.copyTo(&w.caller)
	w.expires = expires
	left := expires.Add(leeway).Sub(now)
	if w.expiry == nil {
		w.expiry = time.AfterFunc(left, func() { w.end(refuse(ReasonExpired)) })
	} else if w.ctx.Err() == nil {
		w.expiry.Reset(left)
	}
}

func (w *Watch) checkRevoked() {
	w.mu.Lock()
	reason := w.authenticator.refusals.check(&w.caller, w.caller.IssuedAt)
	w.mu.Unlock()
	if reason != "" {
		w.end(refuse(reason))
	}
}

func (w *Watch) checkRole(m *MembershipRecord) {
	w.mu.Lock()
	active := w.caller.Organization
	changed := active.ID == m.OrganizationID && !m.UpdatedAt.Before(w.caller.IssuedAt.Truncate(time.Second)) &&
		(m.Role == "" || active.Role != "" && withOrg(active.Role) != withOrg(m.Role)) // an OAuth client's role is not known
	w.mu.Unlock()
	if changed {
		w.end(refuse(ReasonRoleChanged))
	}
}

// StoreMembership takes over what Clerk reports of a membership that was created,
// changed or ended, or of an organization that was deleted. It ends the watches of
// users who have another role now. Other requests have the role of their token,
// which lives for a minute.
func (a *Authenticator) StoreMembership(m MembershipRecord) {
	for _, w := range a.watches.of(cmp.Or(m.UserID, m.OrganizationID)) {
		w.checkRole(&m)
	}
}

// watches are the watches of an Authenticator by the ids of their users,
// sessions and active organizations.
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

// of returns the watches of a user, session or organization.
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

// ids never change: a fresh token is of the same session and organization.
func (w *Watch) ids() []string {
	ids := []string{cmp.Or(w.caller.UserID, w.caller.Subject), w.caller.SessionID, w.caller.Organization.ID}
	return slices.DeleteFunc(ids, func(id string) bool { return id == "" })
}
