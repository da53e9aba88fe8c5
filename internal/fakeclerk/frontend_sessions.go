package fakeclerk

import "net/http"

// getClient answers GET /v1/client, with null for a browser where nobody is signed in.
func (s *Server) getClient(r *http.Request, client *browserClient) (any, error) {
	if len(s.activeSessions(client)) == 0 {
		return nil, nil
	}
	return s.newClientJSON(r, client)
}

// signOut answers DELETE /v1/client/sessions and DELETE /v1/client.
func (s *Server) signOut(r *http.Request, client *browserClient) (any, error) {
	for _, session := range s.activeSessions(client) {
		if _, err := s.changeSession(session.ID, SessionEnded); err != nil {
			return nil, err
		}
	}
	client.sessions, client.lastActive = nil, ""
	client.updatedAt = s.now()
	return s.newClientJSON(r, client)
}

// getClientSession answers GET /v1/client/sessions/{id}.
func (s *Server) getClientSession(r *http.Request, client *browserClient) (any, error) {
	session, err := s.clientSession(r, client)
	if err != nil {
		return nil, err
	}
	return s.newClientSessionJSON(r, client, session)
}

// touchSession answers POST /v1/client/sessions/{id}/touch, which makes the session and perhaps an organization
// the active one. An empty id is the personal workspace.
func (s *Server) touchSession(r *http.Request, client *browserClient) (any, error) {
	session, err := s.clientSession(r, client)
	if err != nil {
		return nil, err
	}
	p, err := readParams(r)
	if err != nil {
		return nil, err
	}
	organization := client.organizations[session.ID]
	if err := p.read("active_organization_id", &organization); err != nil {
		return nil, err
	}
	if _, ok := s.Membership(organization, session.UserID); !ok && organization != "" {
		return nil, errNotFound("organization", organization)
	}
	client.organizations[session.ID] = organization
	client.lastActive = session.ID
	client.updatedAt = s.now()
	return s.newClientSessionJSON(r, client, session)
}

// createClientToken answers POST /v1/client/sessions/{id}/tokens, from which a page has its session tokens.
func (s *Server) createClientToken(r *http.Request, client *browserClient) (any, error) {
	session, err := s.clientSession(r, client)
	if err != nil {
		return nil, err
	}
	p, err := readParams(r)
	if err != nil {
		return nil, err
	}
	organization := client.organizations[session.ID]
	if err := p.read("organization_id", &organization); err != nil {
		return nil, err
	}
	jwt, err := s.signClientToken(r, session, organization)
	if err != nil {
		return nil, err
	}
	return tokenJSON{Object: "token", JWT: jwt}, nil
}

// signClientToken signs a session token whose azp claim is the origin of the page that asks. A native app sends
// no origin, and gets a token without the claim.
func (s *Server) signClientToken(r *http.Request, session Session, organization string) (string, error) {
	user, ok := s.store.user(session.UserID)
	if !ok {
		return "", errSignedOut()
	}
	options := []TokenOption{
		Claim("azp", emptyAsNil(r.Header.Get("Origin"))),
		Claim("fva", []int{int(s.now().Sub(session.CreatedAt).Minutes()), -1}),
	}
	if _, member := s.Membership(organization, user.ID); member {
		options = append(options, ActiveOrganization(organization))
	}
	return s.signSessionToken(session, user, s.options.TokenLifetime, options...)
}

// endClientSession answers POST /v1/client/sessions/{id}/end and …/remove.
func (s *Server) endClientSession(r *http.Request, client *browserClient) (any, error) {
	session, err := s.clientSession(r, client)
	if err != nil {
		return nil, err
	}
	if session, err = s.changeSession(session.ID, SessionEnded); err != nil {
		return nil, err
	}
	client.updatedAt = s.now()
	return newSessionJSON(session), nil
}

// clientSession is the session that the path names, if it is the client's and still active.
func (s *Server) clientSession(r *http.Request, client *browserClient) (Session, error) {
	for _, session := range s.activeSessions(client) {
		if session.ID == r.PathValue("id") {
			return session, nil
		}
	}
	return Session{}, errSignedOut()
}

// activeSessions are the client's sessions that no sign-out, ban or deletion has ended.
func (s *Server) activeSessions(client *browserClient) []Session {
	var active []Session
	for _, id := range client.sessions {
		if session, ok := s.store.session(id); ok && session.Status == SessionActive {
			active = append(active, session)
		}
	}
	return active
}
