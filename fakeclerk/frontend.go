package fakeclerk

import (
	"encoding/base64"
	"maps"
	"net/http"
	"time"
)

// frontendHost is the Frontend API host that [Server.PublishableKey] names. Its
// suffix makes Clerk's JavaScript take the instance for a development instance.
// Such an instance keeps its client in the dev browser (__clerk_db_jwt) rather
// than in a cookie of this server, which no browser would send from a page on
// another host.
const frontendHost = "fakeclerk.clerk.accounts.dev"

// PublishableKey is the key that a page gives to Clerk's JavaScript (Clerk's
// CLERK_PUBLISHABLE_KEY), together with the URL as its proxyUrl.
func (s *Server) PublishableKey() string {
	return "pk_test_" + base64.StdEncoding.EncodeToString([]byte(frontendHost+"$"))
}

// browserClient is a Clerk client: one browser, and who is signed in there.
type browserClient struct {
	id            string
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
			body["client"], err = s.newClientResource(r, client)
		}
		return body, err
	}
}

// forSession makes the handler of a route whose path names a session, which has
// to be the client's and still active.
func (s *Server) forSession(answer func(*http.Request, *browserClient, *Session) (any, error)) handler {
	return s.forClient(func(r *http.Request, client *browserClient) (any, error) {
		for _, session := range s.activeSessions(client) {
			if session.ID == r.PathValue("id") {
				return answer(r, client, session)
			}
		}
		return nil, newError(http.StatusUnauthorized, "signed_out", "You are signed out")
	})
}

// activeSessions are the client's sessions that no sign-out, ban or deletion has
// ended.
func (s *Server) activeSessions(client *browserClient) []*Session {
	return s.sessions.where(func(session *Session) bool { return session.ClientID == client.id && session.Status == SessionActive })
}

// getEnvironment answers GET /v1/environment: the settings of the instance.
// Clerk's JavaScript has defaults for what is not here.
func getEnvironment(*http.Request) (any, error) {
	return object{
		"object": "environment", "id": "env_fakeclerk", "maintenance_mode": false,
		"auth_config": object{"object": "auth_config", "id": "aconf_fakeclerk", "single_session_mode": true},
		"display_config": object{
			"object": "display_config", "id": "display_config_fakeclerk",
			"application_name": "fakeclerk", "instance_environment_type": "development",
		},
		"organization_settings": object{"object": "organization_settings", "enabled": true, "max_allowed_memberships": 5},
	}, nil
}

// createDevBrowser answers POST /v1/dev_browser with a new client.
func (s *Server) createDevBrowser(*http.Request) (any, error) {
	now, devBrowser := s.now(), newID("dvb")
	client := &browserClient{id: newID("client"), organizations: make(map[string]string), createdAt: now, updatedAt: now}
	s.clients[devBrowser] = client
	return object{"object": "dev_browser", "id": devBrowser, "client_id": client.id}, nil
}

// getClient answers GET /v1/client, with null for a browser without a signed-in
// user.
func (s *Server) getClient(r *http.Request, client *browserClient) (any, error) {
	if len(s.activeSessions(client)) == 0 {
		return nil, nil
	}
	return s.newClientResource(r, client)
}

// getTicket answers GET /ticket?email=…, or user_id= in place of email=, with a
// sign-in ticket as plain text. A client that sends the ticket to the Frontend
// API is signed in as the user, once.
func (s *Server) getTicket(r *http.Request) (any, error) {
	user, err := s.named(r.URL.Query())
	if err != nil {
		return nil, err
	}
	ticket := newID("ticket")
	s.tickets[ticket] = user.ID
	return plainText(ticket), nil
}

// createSignIn answers POST /v1/client/sign_ins for the strategy "ticket",
// which needs no form.
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
	user, err := s.users.find(s.tickets[p.Ticket])
	delete(s.tickets, p.Ticket)
	if err != nil {
		return nil, errParam("ticket_invalid_code", "ticket", "The ticket is unknown or was used already.")
	}
	if user.Banned {
		return nil, newError(http.StatusForbidden, "user_banned", "This user is banned.")
	}
	session := s.addSession(user, client.id)
	client.lastActive, client.updatedAt = session.ID, session.CreatedAt
	return object{
		"object": "sign_in_attempt", "id": newID("sia"), "status": "complete", "created_session_id": session.ID,
		"identifier": nil, "user_data": nil, "supported_identifiers": []any{}, "supported_first_factors": []any{},
		"supported_second_factors": []any{}, "first_factor_verification": nil, "second_factor_verification": nil,
	}, nil
}

// signOut answers DELETE /v1/client/sessions and DELETE /v1/client.
func (s *Server) signOut(r *http.Request, client *browserClient) (any, error) {
	for _, session := range s.activeSessions(client) {
		if _, err := s.endSession(session.ID); err != nil {
			return nil, err
		}
	}
	client.lastActive, client.updatedAt = "", s.now()
	return s.newClientResource(r, client)
}

func (s *Server) endClientSession(_ *http.Request, client *browserClient, session *Session) (any, error) {
	client.updatedAt = s.now()
	return s.endSession(session.ID)
}

// touchSession answers POST /v1/client/sessions/{id}/touch, which makes the
// session and perhaps an organization the active one. An empty id is the
// personal workspace.
func (s *Server) touchSession(r *http.Request, client *browserClient, session *Session) (any, error) {
	p := struct {
		Organization string `json:"active_organization_id"`
	}{client.organizations[session.ID]}
	if err := decode(r, &p); err != nil {
		return nil, err
	}
	if _, err := s.memberships.find(memberKey{p.Organization, session.UserID}); err != nil && p.Organization != "" {
		return nil, err
	}
	client.organizations[session.ID] = p.Organization
	client.lastActive, client.updatedAt = session.ID, s.now()
	return s.newClientSessionResource(r, client, session)
}

// createClientToken answers POST /v1/client/sessions/{id}/tokens, from which a
// page has its session tokens.
func (s *Server) createClientToken(r *http.Request, client *browserClient, session *Session) (any, error) {
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
func (s *Server) clientToken(r *http.Request, session *Session, organization string) (any, error) {
	options := []TokenOption{authorizedParty(r.Header.Get("Origin")), Claim("fva", s.factorVerificationAge(session))}
	if _, err := s.memberships.find(memberKey{organization, session.UserID}); err == nil {
		options = append(options, ActiveOrganization(organization))
	}
	t, err := s.sessionToken(session, s.options.TokenLifetime, options)
	return t.answer(err)
}

func (s *Server) factorVerificationAge(session *Session) []int {
	return []int{int(s.now().Sub(session.CreatedAt).Minutes()), -1}
}

// newClientResource is the description of the client that the browser receives.
// Its sessions carry tokens for the page that asks.
func (s *Server) newClientResource(r *http.Request, client *browserClient) (any, error) {
	var sessions []any
	for _, session := range s.activeSessions(client) {
		body, err := s.newClientSessionResource(r, client, session)
		if err != nil {
			return nil, err
		}
		sessions = append(sessions, body)
	}
	return stamped(object{
		"object": "client", "id": client.id, "sessions": sessions, "sign_in": nil, "sign_up": nil,
		"last_active_session_id": nullable(client.lastActive), "cookie_expires_at": nil, "captcha_bypass": false,
	}, client.createdAt, client.updatedAt), nil
}

// clientUser is a user as the user's own browser sees it: without what is
// private to the backend.
type clientUser struct {
	userResource
	PrivateMetadata any           `json:"private_metadata,omitzero"`
	Memberships     []*Membership `json:"organization_memberships"`
}

// newClientSessionResource is a session as its own browser sees it: with a token
// and the user.
func (s *Server) newClientSessionResource(r *http.Request, client *browserClient, session *Session) (any, error) {
	organization, user := client.organizations[session.ID], s.users.byKey[session.UserID]
	token, err := s.clientToken(r, session, organization)
	if err != nil {
		return nil, err
	}
	body := newSessionResource(session)
	maps.Copy(body.More, object{
		"last_active_organization_id": nullable(organization), "factor_verification_age": s.factorVerificationAge(session),
		"user":             clientUser{userResource: newUserResource(user), Memberships: s.membershipsOf(user.ID)},
		"public_user_data": newPublicUserData(user), "last_active_token": token, "tasks": nil,
	})
	return body, nil
}
