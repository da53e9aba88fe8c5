package fakeclerk

import (
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
	ID        string // "sess_…"
	ClientID  string // "client_…"
	UserID    string
	Status    string
	CreatedAt time.Time
	UpdatedAt time.Time
}

// addSession starts a session on a client, revoked at once for a banned user.
func (s *Server) addSession(userID, clientID string) (Session, error) {
	user, ok := s.users.get(userID)
	if !ok {
		return Session{}, ErrUnknownUser
	}
	now := s.now()
	session := Session{
		ID: newID("sess"), ClientID: clientID, UserID: userID, Status: SessionActive, CreatedAt: now, UpdatedAt: now,
	}
	if user.Banned {
		session.Status = SessionRevoked
	}
	s.sessions.add(session.ID, session)
	return session, nil
}

// tokenSession returns the one session of a user that tokens signed without a
// session id belong to, and starts another if that was revoked. A banned user
// keeps the revoked one.
func (s *Server) tokenSession(userID string) (Session, error) {
	user, ok := s.users.byKey[userID]
	if !ok {
		return Session{}, ErrUnknownUser
	}
	session, ok := s.sessions.get(user.tokenSession)
	if ok && (session.Status == SessionActive || user.Banned) {
		return session, nil
	}
	session, err := s.addSession(userID, newID("client"))
	user.tokenSession = session.ID
	return session, err
}

// EndSession signs a session out. Tokens already signed stay valid until they
// expire. It fails with [ErrUnknownSession].
func (s *Server) EndSession(id string) error {
	_, err := locked(s, func() (any, error) { return s.changeSession(id, SessionEnded) })
	return err
}

func (s *Server) changeSession(id, status string) (Session, error) {
	row, ok := s.sessions.byKey[id]
	if !ok {
		return Session{}, ErrUnknownSession
	}
	if row.Status == SessionActive {
		row.Status, row.UpdatedAt = status, s.now()
	}
	s.announce("session."+row.Status, func() any {
		event := newSessionJSON(*row)
		if user, ok := s.users.get(row.UserID); ok {
			event["user"] = newUserJSON(user)
		}
		return event
	})
	return *row, nil
}
