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
	ID        string // "sess_…"
	ClientID  string // "client_…"
	UserID    string
	Status    string
	CreatedAt time.Time
	UpdatedAt time.Time
}

func newSession(user *User, now time.Time) *Session {
	session := &Session{
		ID: newID("sess"), ClientID: newID("client"), UserID: user.ID,
		Status: SessionActive, CreatedAt: now, UpdatedAt: now,
	}
	if user.Banned {
		session.Status = SessionRevoked
	}
	return session
}

func (session *Session) end(status string, now time.Time) {
	if session.Status == SessionActive {
		session.Status, session.UpdatedAt = status, now
	}
}

// EndSession signs a session out. Tokens already signed stay valid until they expire. It fails with
// [ErrUnknownSession].
func (s *Server) EndSession(id string) error {
	_, err := s.changeSession(id, SessionEnded)
	return err
}

func (s *Server) changeSession(id, status string) (Session, error) {
	session, ok := s.store.endSession(id, status, s.now())
	if !ok {
		return Session{}, ErrUnknownSession
	}
	s.announceSession(session)
	return session, nil
}

// sessionJSON is Clerk's Session resource: https://clerk.com/docs/reference/backend-api/model/session.
// Times are in milliseconds since 1970.
type sessionJSON struct {
	Object                   string         `json:"object"`
	ID                       string         `json:"id"`
	ClientID                 string         `json:"client_id"`
	UserID                   string         `json:"user_id"`
	Status                   string         `json:"status"`
	LastActiveOrganizationID *string        `json:"last_active_organization_id"`
	Actor                    map[string]any `json:"actor"`
	LastActiveAt             int64          `json:"last_active_at"`
	ExpireAt                 int64          `json:"expire_at"`
	AbandonAt                int64          `json:"abandon_at"`
	CreatedAt                int64          `json:"created_at"`
	UpdatedAt                int64          `json:"updated_at"`
}

// Clerk's defaults for a session.
const (
	sessionLifetime = 7 * 24 * time.Hour
	sessionAbandon  = 30 * 24 * time.Hour
)

func newSessionJSON(session Session) sessionJSON {
	return sessionJSON{
		Object:       "session",
		ID:           session.ID,
		ClientID:     session.ClientID,
		UserID:       session.UserID,
		Status:       session.Status,
		LastActiveAt: session.UpdatedAt.UnixMilli(),
		ExpireAt:     session.CreatedAt.Add(sessionLifetime).UnixMilli(),
		AbandonAt:    session.CreatedAt.Add(sessionAbandon).UnixMilli(),
		CreatedAt:    session.CreatedAt.UnixMilli(),
		UpdatedAt:    session.UpdatedAt.UnixMilli(),
	}
}

// listSessions answers GET /v1/sessions: an array, or with paginated=true, which both SDKs send, an
// object with the total.
func (s *Server) listSessions(r *http.Request) (any, error) {
	query := r.URL.Query()
	sessions := s.store.filterSessions(func(session Session) bool {
		return (!query.Has("user_id") || query.Get("user_id") == session.UserID) &&
			(!query.Has("client_id") || query.Get("client_id") == session.ClientID) &&
			(!query.Has("status") || query.Get("status") == session.Status)
	})
	total := len(sessions)
	sessions, err := page(sessions, query)
	if err != nil {
		return nil, err
	}
	list := make([]sessionJSON, len(sessions))
	for i, session := range sessions {
		list[i] = newSessionJSON(session)
	}
	if query.Get("paginated") == "true" {
		return map[string]any{"data": list, "total_count": total}, nil
	}
	return list, nil
}

// createSession answers POST /v1/sessions, which Clerk has for development instances.
func (s *Server) createSession(r *http.Request) (any, error) {
	p, err := readParams(r)
	if err != nil {
		return nil, err
	}
	var userID string
	if err := p.read("user_id", &userID); err != nil {
		return nil, err
	}
	if userID == "" {
		return nil, errParam("form_param_missing", "user_id", "user_id must be included.")
	}
	user, ok := s.store.user(userID)
	if !ok {
		return nil, errNotFound("user", userID)
	}
	if user.Banned {
		const message = "User is banned"
		return nil, &apiError{status: http.StatusForbidden, code: "user_banned", message: message, longMessage: message}
	}
	session, _, err := s.store.addSession(userID, s.now())
	if err != nil {
		return nil, errNotFound("user", userID) // deleted in between
	}
	return newSessionJSON(session), nil
}

// getSession answers GET /v1/sessions/{id}.
func (s *Server) getSession(r *http.Request) (any, error) {
	id := r.PathValue("id")
	session, ok := s.store.session(id)
	if !ok {
		return nil, errNotFound("session", id)
	}
	return newSessionJSON(session), nil
}

// revokeSession answers POST /v1/sessions/{id}/revoke.
func (s *Server) revokeSession(r *http.Request) (any, error) {
	id := r.PathValue("id")
	session, err := s.changeSession(id, SessionRevoked)
	if err != nil {
		return nil, errNotFound("session", id)
	}
	return newSessionJSON(session), nil
}

// createToken answers POST /v1/sessions/{id}/tokens.
func (s *Server) createToken(r *http.Request) (any, error) {
	session, user, lifetime, err := s.tokenRequest(r)
	if err != nil {
		return nil, err
	}
	jwt, err := s.signSessionToken(session, user, lifetime)
	if err != nil {
		return nil, err
	}
	return tokenJSON{Object: "token", JWT: jwt}, nil
}

// createTemplateToken answers POST /v1/sessions/{id}/tokens/{template}.
func (s *Server) createTemplateToken(r *http.Request) (any, error) {
	_, user, lifetime, err := s.tokenRequest(r)
	if err != nil {
		return nil, err
	}
	name := r.PathValue("template")
	template, ok := s.options.JWTTemplates[name]
	if !ok {
		return nil, errNotFound("JWT template", name)
	}
	jwt, err := s.signTemplateToken(template, user, lifetime)
	if err != nil {
		return nil, err
	}
	return tokenJSON{Object: "token", JWT: jwt}, nil
}

type tokenJSON struct {
	Object string `json:"object"`
	JWT    string `json:"jwt"`
}

// tokenRequest reads a request for a token. Only an active session of a user who is not banned gives
// one; another is 404, one of the two errors that Clerk documents for the endpoint (401 is for the key).
func (s *Server) tokenRequest(r *http.Request) (Session, User, time.Duration, error) {
	id := r.PathValue("id")
	session, ok := s.store.session(id)
	if !ok || session.Status != SessionActive {
		return Session{}, User{}, 0, errNotFound("active session", id)
	}
	user, ok := s.store.user(session.UserID)
	if !ok || user.Banned {
		return Session{}, User{}, 0, errNotFound("active session", id)
	}
	p, err := readParams(r)
	if err != nil {
		return Session{}, User{}, 0, err
	}
	seconds := int64(s.options.TokenLifetime / time.Second)
	if err := p.read("expires_in_seconds", &seconds); err != nil {
		return Session{}, User{}, 0, err
	}
	return session, user, time.Duration(seconds) * time.Second, nil
}
