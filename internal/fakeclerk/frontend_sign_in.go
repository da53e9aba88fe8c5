package fakeclerk

import (
	"crypto/rand"
	"fmt"
	"net/http"
)

// Ticket returns a sign-in ticket: whoever brings it to the Frontend API is signed in as the user, once. It fails
// with [ErrUnknownUser].
func (s *Server) Ticket(userID string) (string, error) {
	if _, ok := s.store.user(userID); !ok {
		return "", fmt.Errorf("make sign-in ticket: %w", ErrUnknownUser)
	}
	ticket := rand.Text()
	s.frontend.mu.Lock()
	defer s.frontend.mu.Unlock()
	s.frontend.tickets[ticket] = userID
	return ticket, nil
}

// createSignInToken answers POST /v1/sign_in_tokens, with which a backend hands out tickets.
func (s *Server) createSignInToken(r *http.Request) (any, error) {
	p, err := readParams(r)
	if err != nil {
		return nil, err
	}
	var userID string
	if err := p.read("user_id", &userID); err != nil {
		return nil, err
	}
	ticket, err := s.Ticket(userID)
	if err != nil {
		return nil, errNotFound("user", userID)
	}
	now := s.now().UnixMilli()
	return map[string]any{
		"object": "sign_in_token", "id": newID("sit"), "status": "pending", "user_id": userID, "token": ticket,
		"url":        fmt.Sprintf("https://%s/v1/tickets/accept?ticket=%s", frontendHost, ticket),
		"created_at": now, "updated_at": now,
	}, nil
}

// getTicket answers GET /ticket?email=…, or user_id= in place of email=, with a sign-in ticket as plain text.
func (s *Server) getTicket(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	user, ok := s.store.user(query.Get("user_id"))
	if !ok && !query.Has("user_id") {
		user, ok = s.store.userByEmail(query.Get("email"))
	}
	if !ok {
		http.Error(w, "no such account; there are: "+s.store.accounts(), http.StatusNotFound)
		return
	}
	ticket, err := s.Ticket(user.ID)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound) // deleted in between
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(ticket))
}

// createSignIn answers POST /v1/client/sign_ins for the strategy "ticket", the one that needs no form.
func (s *Server) createSignIn(r *http.Request, client *browserClient) (any, error) {
	p, err := readParams(r)
	if err != nil {
		return nil, err
	}
	var strategy, ticket string
	if err := p.read("strategy", &strategy); err != nil {
		return nil, err
	}
	if err := p.read("ticket", &ticket); err != nil {
		return nil, err
	}
	if strategy != "ticket" {
		return nil, errParam("form_param_value_invalid", "strategy", `fakeclerk signs in with the strategy "ticket" only`)
	}
	if len(s.activeSessions(client)) > 0 {
		const message = "You're already signed in."
		return nil, &apiError{status: http.StatusBadRequest, code: "session_exists", message: "Session already exists", longMessage: message}
	}
	userID, ok := s.frontend.tickets[ticket]
	delete(s.frontend.tickets, ticket)
	user, known := s.store.user(userID)
	if !ok || !known {
		return nil, errParam("ticket_invalid_code", "ticket", "The ticket is unknown or was used already.")
	}
	if user.Banned {
		const message = "This user is banned."
		return nil, &apiError{status: http.StatusForbidden, code: "user_banned", message: "User is banned", longMessage: message}
	}
	now := s.now()
	session, _, err := s.store.addClientSession(userID, client.id, now)
	if err != nil {
		return nil, errNotFound("user", userID)
	}
	client.sessions = append(client.sessions, session.ID)
	client.lastActive, client.updatedAt = session.ID, now
	return newSignInJSON(session), nil
}
