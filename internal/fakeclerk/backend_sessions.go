package fakeclerk

import (
	"net/http"
	"time"
)

type sessionParams struct {
	UserID string `json:"user_id"`
}

// createSession is there for development instances of Clerk.
func (s *Server) createSession(_ *http.Request, p sessionParams) (any, error) {
	if p.UserID == "" {
		return nil, errMissing("user_id")
	}
	if user, _ := s.users.get(p.UserID); user.Banned {
		return nil, newError(http.StatusForbidden, "user_banned", "User is banned")
	}
	session, err := s.addSession(p.UserID, newID("client"))
	return newSessionJSON(session), err
}

func (s *Server) getSession(r *http.Request) (any, error) {
	session, ok := s.sessions.get(r.PathValue("id"))
	if !ok {
		return nil, ErrUnknownSession
	}
	return newSessionJSON(session), nil
}

func (s *Server) revokeSession(r *http.Request) (any, error) {
	session, err := s.changeSession(r.PathValue("id"), SessionRevoked)
	return newSessionJSON(session), err
}

// createToken answers with a token that, as Clerk's, names no authorized party.
// Only an active session gives one; another is 404, one of the two errors that
// Clerk documents for the endpoint (401 is for the key).
func (s *Server) createToken(r *http.Request) (any, error) {
	session, _ := s.sessions.get(r.PathValue("id"))
	if session.Status != SessionActive {
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

// answer signs the token for the answer to a request.
func (t *token) answer(err error) (any, error) {
	if err != nil {
		return nil, err
	}
	jwt, err := t.sign()
	return object{"object": "token", "jwt": jwt}, err
}
