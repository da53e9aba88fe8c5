package fakeclerk

import (
	"net/http"
	"time"
)

// Values of Session.Status.
const (
	SessionActive  = "active"
	SessionRevoked = "revoked" // by an admin, or because the user was banned
	SessionEnded   = "ended"   // signed out
)

// Session is a sign-in of a user on one client.
type Session struct {
	ID        string    `json:"id"`        // "sess_…"
	ClientID  string    `json:"client_id"` // "client_…"
	UserID    string    `json:"user_id"`
	Status    string    `json:"status"`
	CreatedAt time.Time `json:"-"`
	UpdatedAt time.Time `json:"-"`
}

// addSession starts a session on a client, revoked at once for a banned user.
func (s *Server) addSession(user *User, clientID string) *Session {
	now := s.now()
	session := &Session{
		ID: newID("sess"), ClientID: clientID, UserID: user.ID, Status: SessionActive, CreatedAt: now, UpdatedAt: now,
	}
	if user.Banned {
		session.Status = SessionRevoked
	}
	s.sessions.add(session.ID, session)
	return session
}

// tokenSession returns the one session of a user that tokens signed without a
// session id belong to, and starts another if that was revoked. A banned user
// keeps the revoked one.
func (s *Server) tokenSession(user *User) *Session {
	session, err := s.sessions.find(user.tokenSession)
	if err != nil || session.Status != SessionActive && !user.Banned {
		session = s.addSession(user, newID("client"))
		user.tokenSession = session.ID
	}
	return session
}

// endSession signs a session out. Tokens already signed stay valid until they
// expire.
func (s *Server) endSession(id string) (*Session, error) { return s.changeSession(id, SessionEnded) }

func (s *Server) changeSession(id, status string) (*Session, error) {
	session, err := s.sessions.find(id)
	if err != nil {
		return nil, err
	}
	if session.Status == SessionActive {
		session.Status, session.UpdatedAt = status, s.now()
	}
	event := newSessionResource(session)
	event.More["user"] = s.users.byKey[session.UserID]
	s.announce("session."+session.Status, event)
	return session, nil
}

// createSession is there for development instances of Clerk.
func (s *Server) createSession(_ *http.Request, p struct {
	UserID string `json:"user_id"`
}) (any, error) {
	if p.UserID == "" {
		return nil, errMissing("user_id")
	}
	user, err := s.users.find(p.UserID)
	if err != nil {
		return nil, err
	}
	if user.Banned {
		return nil, newError(http.StatusForbidden, "user_banned", "User is banned")
	}
	return s.addSession(user, newID("client")), nil
}

// createToken answers with a token that, as Clerk's, names no authorized party.
// Only an active session gives one; another is 404, one of the two errors that
// Clerk documents for the endpoint (401 is for the key).
func (s *Server) createToken(r *http.Request) (any, error) {
	session, err := s.sessions.find(r.PathValue("id"))
	if err != nil || session.Status != SessionActive {
		return nil, ErrUnknownSession
	}
	p := struct {
		Seconds int64 `json:"expires_in_seconds"`
	}{int64(s.options.TokenLifetime / time.Second)}
	if err := decode(r, &p); err != nil {
		return nil, err
	}
	t, err := s.sessionToken(session, time.Duration(p.Seconds)*time.Second, nil)
	return t.answer(err)
}
