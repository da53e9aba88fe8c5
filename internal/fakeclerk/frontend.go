package fakeclerk

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"time"
)

// frontendHost is the Frontend API host that [Server.PublishableKey] names. Its
// suffix makes Clerk's JavaScript take the instance for a development one, which
// keeps its client in the dev browser (__clerk_db_jwt) rather than in a cookie of
// this server: one that no browser would send from a page on another host.
const frontendHost = "fakeclerk.clerk.accounts.dev"

// PublishableKey is the key that a page gives to Clerk's JavaScript (Clerk's
// CLERK_PUBLISHABLE_KEY), together with [Server.URL] as its proxyUrl.
func (s *Server) PublishableKey() string {
	return "pk_test_" + base64.StdEncoding.EncodeToString([]byte(frontendHost+"$"))
}

// browserClient is a Clerk client: one browser, and who is signed in there.
type browserClient struct {
	id            string
	sessions      []string          // ids, in order of sign-in
	lastActive    string            // the session that was touched last
	organizations map[string]string // the active ones by session id
	createdAt     time.Time
	updatedAt     time.Time
}

// forClient makes the handler of a route that a client asks. The answer to a
// change carries the client, as Clerk's does, so that the browser need not ask
// for it.
func (s *Server) forClient(answer func(*http.Request, *browserClient) (any, error)) handler {
	return func(r *http.Request) (any, error) {
		client, ok := s.clients[r.URL.Query().Get("__clerk_db_jwt")]
		if !ok {
			// This makes Clerk's JavaScript ask for another dev browser, which it has
			// to after this server was started again.
			return nil, newError(http.StatusUnauthorized, "dev_browser_unauthenticated",
				"Unable to authenticate this browser for your development instance. Check your Clerk cookies and try again.")
		}
		response, err := answer(r, client)
		if err != nil {
			return nil, err
		}
		if token, ok := response.(object); ok && token["object"] == "token" {
			return token, nil // a token comes bare
		}
		body := object{"response": response, "client": nil}
		if r.Method != http.MethodGet {
			body["client"], err = s.newClientJSON(r, client)
		}
		return body, err
	}
}

var environment = constants(`{
	"object": "environment", "id": "env_fakeclerk", "maintenance_mode": false,
	"auth_config": {"object": "auth_config", "id": "aconf_fakeclerk", "single_session_mode": true},
	"display_config": {
		"object": "display_config", "id": "display_config_fakeclerk",
		"application_name": "fakeclerk", "instance_environment_type": "development"
	},
	"organization_settings": {"object": "organization_settings", "enabled": true, "max_allowed_memberships": 5}
}`)

// getEnvironment answers GET /v1/environment: the settings of the instance.
// Clerk's JavaScript has defaults for what is not here.
func getEnvironment(*http.Request) (any, error) { return environment, nil }

// createDevBrowser answers POST /v1/dev_browser with a new client.
func (s *Server) createDevBrowser(*http.Request) (any, error) {
	now := s.now()
	client := &browserClient{
		id: newID("client"), organizations: make(map[string]string), createdAt: now, updatedAt: now,
	}
	devBrowser := newID("dvb")
	s.clients[devBrowser] = client
	return object{"object": "dev_browser", "id": devBrowser, "client_id": client.id}, nil
}

// getClient answers GET /v1/client, with null for a browser where nobody is
// signed in.
func (s *Server) getClient(r *http.Request, client *browserClient) (any, error) {
	if len(s.activeSessions(client)) == 0 {
		return nil, nil
	}
	return s.newClientJSON(r, client)
}

// newTicket returns a sign-in ticket: whoever brings it to the Frontend API is
// signed in as the user, once.
func (s *Server) newTicket(userID string) (string, error) {
	if _, ok := s.users.get(userID); !ok {
		return "", ErrUnknownUser
	}
	ticket := newID("ticket")
	s.tickets[ticket] = userID
	return ticket, nil
}

var signInConstants = constants(`{
	"object": "sign_in_attempt", "status": "complete", "supported_identifiers": [], "supported_first_factors": [],
	"supported_second_factors": [], "first_factor_verification": null, "second_factor_verification": null,
	"identifier": null, "user_data": null
}`)

// createSignIn answers POST /v1/client/sign_ins for the strategy "ticket", the
// one that needs no form.
func (s *Server) createSignIn(r *http.Request, client *browserClient) (any, error) {
	var p struct{ Strategy, Ticket string }
	if err := decode(r, &p); err != nil {
		return nil, err
	}
	if p.Strategy != "ticket" {
		return nil, errParam("form_param_value_invalid", "strategy", `fakeclerk signs in with the strategy "ticket" only`)
	}
	if len(s.activeSessions(client)) > 0 {
		return nil, newError(http.StatusBadRequest, "session_exists", "You're already signed in.")
	}
	user, known := s.users.get(s.tickets[p.Ticket])
	delete(s.tickets, p.Ticket)
	if !known {
		return nil, errParam("ticket_invalid_code", "ticket", "The ticket is unknown or was used already.")
	}
	if user.Banned {
		return nil, newError(http.StatusForbidden, "user_banned", "This user is banned.")
	}
	session, err := s.addSession(user.ID, client.id)
	client.sessions = append(client.sessions, session.ID)
	client.lastActive, client.updatedAt = session.ID, session.CreatedAt
	return resource(signInConstants, object{"id": newID("sia"), "created_session_id": session.ID}), err
}

// signOut answers DELETE /v1/client/sessions and DELETE /v1/client.
func (s *Server) signOut(r *http.Request, client *browserClient) (any, error) {
	for _, session := range s.activeSessions(client) {
		if _, err := s.changeSession(session.ID, SessionEnded); err != nil {
			return nil, err
		}
	}
	client.sessions, client.lastActive, client.updatedAt = nil, "", s.now()
	return s.newClientJSON(r, client)
}

func (s *Server) getClientSession(r *http.Request, client *browserClient) (any, error) {
	session, err := s.clientSession(r, client)
	if err != nil {
		return nil, err
	}
	return s.newClientSessionJSON(r, client, session)
}

// touchSession answers POST /v1/client/sessions/{id}/touch, which makes the
// session and perhaps an organization the active one. An empty id is the
// personal workspace.
func (s *Server) touchSession(r *http.Request, client *browserClient) (any, error) {
	session, err := s.clientSession(r, client)
	if err != nil {
		return nil, err
	}
	p := struct {
		Organization string `json:"active_organization_id"`
	}{client.organizations[session.ID]}
	if err := decode(r, &p); err != nil {
		return nil, err
	}
	if _, err := s.membership(p.Organization, session.UserID); err != nil && p.Organization != "" {
		return nil, err
	}
	client.organizations[session.ID] = p.Organization
	client.lastActive, client.updatedAt = session.ID, s.now()
	return s.newClientSessionJSON(r, client, session)
}

// createClientToken answers POST /v1/client/sessions/{id}/tokens, from which a
// page has its session tokens.
func (s *Server) createClientToken(r *http.Request, client *browserClient) (any, error) {
	session, err := s.clientSession(r, client)
	if err != nil {
		return nil, err
	}
	p := struct {
		Organization string `json:"organization_id"`
	}{client.organizations[session.ID]}
	if err := decode(r, &p); err != nil {
		return nil, err
	}
	return s.clientToken(r, session, p.Organization)
}

// clientToken signs a session token whose azp claim is the origin of the page
// that asks. A native app sends no origin, and gets a token without the claim.
func (s *Server) clientToken(r *http.Request, session Session, organization string) (any, error) {
	options := []TokenOption{
		Claim("azp", nullable(r.Header.Get("Origin"))),
		Claim("fva", s.factorVerificationAge(session)),
	}
	if _, err := s.membership(organization, session.UserID); err == nil {
		options = append(options, ActiveOrganization(organization))
	}
	t, err := s.sessionToken(session, s.options.TokenLifetime, options)
	return t.answer(err)
}

func (s *Server) factorVerificationAge(session Session) []int {
	return []int{int(s.now().Sub(session.CreatedAt).Minutes()), -1}
}

func (s *Server) endClientSession(r *http.Request, client *browserClient) (any, error) {
	session, err := s.clientSession(r, client)
	if err != nil {
		return nil, err
	}
	client.updatedAt = s.now()
	session, err = s.changeSession(session.ID, SessionEnded)
	return newSessionJSON(session), err
}

// clientSession is the session that the path names, if it is the client's and
// still active.
func (s *Server) clientSession(r *http.Request, client *browserClient) (Session, error) {
	for _, session := range s.activeSessions(client) {
		if session.ID == r.PathValue("id") {
			return session, nil
		}
	}
	return Session{}, newError(http.StatusUnauthorized, "signed_out", "You are signed out")
}

// activeSessions are the client's sessions that no sign-out, ban or deletion has
// ended.
func (s *Server) activeSessions(client *browserClient) []Session {
	var active []Session
	for _, id := range client.sessions {
		if session, ok := s.sessions.get(id); ok && session.Status == SessionActive {
			active = append(active, session)
		}
	}
	return active
}

// newClientJSON is what the browser learns about itself. Its sessions carry
// tokens for the page that asks.
func (s *Server) newClientJSON(r *http.Request, client *browserClient) (any, error) {
	sessions := []any{}
	for _, session := range s.activeSessions(client) {
		body, err := s.newClientSessionJSON(r, client, session)
		if err != nil {
			return nil, err
		}
		sessions = append(sessions, body)
	}
	return object{
		"object": "client", "id": client.id, "sessions": sessions, "sign_in": nil, "sign_up": nil,
		"last_active_session_id": nullable(client.lastActive), "cookie_expires_at": nil, "captcha_bypass": false,
		"created_at": client.createdAt.UnixMilli(), "updated_at": client.updatedAt.UnixMilli(),
	}, nil
}

// newClientSessionJSON is a session as its own browser sees it: with a token and
// the user, the memberships included, and without what is private to the
// backend.
func (s *Server) newClientSessionJSON(r *http.Request, client *browserClient, session Session) (any, error) {
	organization := client.organizations[session.ID]
	token, err := s.clientToken(r, session, organization)
	if err != nil {
		return nil, err
	}
	user, _ := s.users.get(session.UserID)
	encoded, _ := json.Marshal(newUserJSON(user)) // as for the backend
	userFields, memberships := constants(string(encoded)), []object{}
	for _, m := range s.memberships.rows {
		if m.UserID == user.ID {
			memberships = append(memberships, s.newMembershipJSON(*m))
		}
	}
	delete(userFields, "private_metadata")
	userFields["organization_memberships"] = memberships
	body := newSessionJSON(session)
	maps.Copy(body, object{
		"last_active_organization_id": nullable(organization), "factor_verification_age": s.factorVerificationAge(session),
		"user": userFields, "public_user_data": newPublicUserDataJSON(user), "last_active_token": token, "tasks": nil,
	})
	return body, nil
}
