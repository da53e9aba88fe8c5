package fakeclerk

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"encore.app/fakeclerk/faulty"
)

// surface is the part of the server that a route belongs to. It decides who may
// ask.
type surface int

const (
	backendAPI  surface = iota // whoever has the secret key; counted, limited and broken by faults
	frontendAPI                // pages of every origin
	tokens                     // no page but those of [Server.SetPageOrigins]
	control                    // no page at all
)

// handler answers a request while the server's mu is held. The answer is a
// value to send as JSON, one of the types below, nil for 204, or an error.
type handler func(*http.Request) (any, error)

type created struct{ object } // 201

func plainText(text string) faulty.Answer {
	return faulty.Answer{Status: http.StatusOK, ContentType: "text/plain; charset=utf-8", Body: []byte(text)}
}

// route is one of the server's HTTP.
type route struct {
	pattern string // its name in [Server.Requests] and [Server.SetFault]
	takes   string // its parameters, for a person
	handler handler
}

// routes are the whole of the server's HTTP.
func (s *Server) routes() []route {
	unknown := func(r *http.Request) (any, error) {
		return nil, errNotFound(fmt.Sprintf("fakeclerk has no %s %s", r.Method, r.URL.Path))
	}
	return []route{
		{"GET /v1/jwks", "", s.getJWKS},
		{"GET /v1/instance", "", s.getInstance},

		{"GET /v1/users", "user_id, email_address, username, external_id, query, banned", s.listUsers},
		{"POST /v1/users", "", with(s.createUser)},
		{"GET /v1/users/count", "", s.countUsers},
		{"GET /v1/users/{id}", "", byID(s.users.find)},
		{"PATCH /v1/users/{id}", "", s.updateUser},
		{"PATCH /v1/users/{id}/metadata", "", s.mergeMetadata},
		{"DELETE /v1/users/{id}", "", byID(s.removeUser)},
		{"POST /v1/users/{id}/ban", "", byID(s.ban)},
		{"POST /v1/users/{id}/unban", "", byID(s.unban)},
		{"GET /v1/users/{id}/organization_memberships", "role, user_id", s.ofOrganizations(s.listUserMemberships)},

		{"POST /v1/sessions", "", with(s.createSession)},
		{"GET /v1/sessions/{id}", "", byID(s.sessions.find)},
		{"POST /v1/sessions/{id}/revoke", "", byID(func(id string) (*Session, error) { return s.changeSession(id, SessionRevoked) })},
		{"POST /v1/sessions/{id}/tokens", "", s.createToken},

		{"GET /v1/organizations", "organization_id, user_id, query", s.ofOrganizations(s.listOrganizations)},
		{"POST /v1/organizations", "", s.ofOrganizations(with(s.createOrganization))},
		{"GET /v1/organizations/{id}", "", s.ofOrganizations(byID(s.organization))},
		{"GET /v1/organizations/{id}/memberships", "role, user_id", s.ofOrganizations(s.listMemberships)},
		{"GET /v1/organization_memberships", "role, user_id", s.ofOrganizations(func(r *http.Request) (any, error) { return membershipPage(r, s.memberships.rows) })},
		{"POST /v1/organizations/{id}/memberships", "", s.ofOrganizations(with(s.createMembership))},
		{"PATCH /v1/organizations/{id}/memberships/{user_id}", "", s.ofOrganizations(with(s.updateMembership))},
		{"DELETE /v1/organizations/{id}/memberships/{user_id}", "", s.ofOrganizations(s.deleteMembership)},

		{"GET /v1/api_keys", "subject, include_invalid", s.listAPIKeys},
		{"POST /v1/api_keys", "", with(s.createAPIKey)},
		{"POST /v1/api_keys/verify", "", s.verifyToken(TypeAPIKey)},
		{"GET /v1/api_keys/{id}", "", s.tokenByID(TypeAPIKey, readToken)},
		{"POST /v1/api_keys/{id}/revoke", "", s.tokenByID(TypeAPIKey, s.revokeToken)},
		{"GET /v1/m2m_tokens", "subject, revoked, expired", s.listM2MTokens},
		{"POST /v1/m2m_tokens", "token_format=jwt for a JWT", with(s.createM2MToken)},
		{"POST /v1/m2m_tokens/verify", "", s.verifyToken(TypeM2MToken)},
		{"POST /v1/m2m_tokens/{id}/revoke", "", s.tokenByID(TypeM2MToken, s.revokeToken)},
		{"POST /v1/oauth_applications/access_tokens/verify", "", s.verifyToken(TypeOAuthToken)},
		{"POST /v1/oauth_applications/{id}/revoke_token", "", with(s.revokeOAuthToken)},
		{"/v1/", "", unknown},

		{"GET /v1/environment", "", getEnvironment},
		{"PATCH /v1/environment", "", getEnvironment},
		{"POST /v1/dev_browser", "", s.createDevBrowser},
		{"GET /v1/client", "", s.forClient(s.getClient)},
		{"PUT /v1/client", "", s.forClient(s.getClient)},
		{"DELETE /v1/client", "", s.forClient(s.signOut)},
		{"POST /v1/client/sign_ins", "strategy=ticket, ticket", s.forClient(s.createSignIn)},
		{"DELETE /v1/client/sessions", "", s.forClient(s.signOut)},
		{"GET /v1/client/sessions/{id}", "", s.forSession(s.newClientSessionResource)},
		{"POST /v1/client/sessions/{id}/touch", "active_organization_id", s.forSession(s.touchSession)},
		{"POST /v1/client/sessions/{id}/tokens", "organization_id", s.forSession(s.createClientToken)},
		{"POST /v1/client/sessions/{id}/end", "", s.forSession(s.endClientSession)},
		{"POST /v1/client/sessions/{id}/remove", "", s.forSession(s.endClientSession)},
		{"/v1/client/", "", unknown},

		{"GET /.well-known/oauth-authorization-server", "", s.getOAuthMetadata},
		{"GET /.well-known/openid-configuration", "", s.getOAuthMetadata},
		{"GET /.well-known/jwks.json", "", s.getJWKS},
		{"POST /oauth/register", "", with(s.registerClient)},
		{"GET /oauth/authorize", "as of RFC 6749; the user of a test consents with user_id or email, and org", s.authorize},
		{"POST /oauth/token", "", s.exchange},
		{"GET /oauth/userinfo", "", s.getUserInfo},

		{"GET /token", "email or user_id; azp, org, claims, headers, type: go doc ./fakeclerk", s.getToken},
		{"GET /ticket", "email or user_id", s.getTicket},

		{"PUT /fakeclerk/faults", `{"route" or "user_id", "kind", "latency", "duration", "status", "retry_after", "body", "count"}`, withControl(s.putFaults)},
		{"DELETE /fakeclerk/faults", "", set(func(struct{}) { s.ClearFaults() })},
		{"GET /fakeclerk/requests", `answers {"total", "rate_limited", "routes": {"GET /v1/jwks": 1}}`, s.getRequests},
		{"DELETE /fakeclerk/requests", "", set(func(struct{}) { s.ResetRequests() })},
		{"POST /fakeclerk/keys/rotate", `{"kid"}`, withControl(s.rotateKey)},
		{"DELETE /fakeclerk/keys/{kid}", "", s.deleteKey},
		{"PUT /fakeclerk/session_token_claims", `{"metadata": "{{user.public_metadata}}"}, as in Clerk's dashboard`, withControl(s.putSessionClaims)},
		{"PUT /fakeclerk/organizations", `{"enabled"}`, set(func(p struct{ Enabled bool }) { s.noOrganizations = !p.Enabled })},
		{"PUT /fakeclerk/oauth", `{"opaque"}: whether /oauth/token issues opaque access tokens`, set(func(p struct{ Opaque bool }) { s.opaqueAccessTokens = p.Opaque })},
		{"PUT /fakeclerk/rate_limit", `{"requests", "window"}`, set(s.SetRateLimit)},
		{"PUT /fakeclerk/latency", `{"latency"}`, set(func(p struct{ Latency time.Duration }) { s.SetLatency(p.Latency) })},
		{"PUT /fakeclerk/clock", `{"offset"} of iat, nbf and exp of the tokens signed from now on`, set(func(p struct{ Offset time.Duration }) { s.clockOffset = p.Offset })},
		{"POST /fakeclerk/users", "a User", withControl(s.postUser)},
		{"POST /fakeclerk/machine_tokens", "a MachineToken", withControl(s.postMachineToken)},
		{"POST /fakeclerk/sessions/{id}/end", "signs a session out", done(func(id string) error {
			_, err := s.endSession(id)
			return err
		})},
		{"GET /fakeclerk/webhooks", `answers {"url", "messages": [{"id", "type", "attempts": [{"status"}], "delivered"}]}`, s.getWebhooks},
		{"PUT /fakeclerk/webhooks", `{"url", "hold"}`, withControl(s.putWebhooks)},
		{"POST /fakeclerk/webhooks", `{"type", "data"}: an event of any type`, withControl(s.postWebhook)},
		{"POST /fakeclerk/webhooks/{id}/resend", "", done(s.webhooks.Resend)},
		{"DELETE /fakeclerk/webhooks/{id}", "the message is lost", done(s.webhooks.Drop)},
		{"GET /{$}", "this list", s.getRoutes},
		{"/", "", unknown},
	}
}

// getRoutes lists the routes for a person.
func (s *Server) getRoutes(*http.Request) (any, error) {
	var list strings.Builder
	for _, rt := range s.routes() {
		fmt.Fprintf(&list, "%-55s %s\n", rt.pattern, rt.takes)
	}
	return plainText(list.String()), nil
}

// answer makes a handler's answer ready to send. A fault of a user may break it.
// JSON has no charset in its type: Clerk's JavaScript SDK reads a body as JSON
// only where the type is exactly "application/json".
func (s *Server) answer(h handler, r *http.Request) faulty.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	value, err := h(r)
	if err != nil {
		return *errorAnswer(err)
	}
	answer := faulty.Answer{Status: http.StatusOK, ContentType: "application/json"}
	switch special := value.(type) {
	case faulty.Answer:
		answer = special
	case nil:
		answer = faulty.Answer{Status: http.StatusNoContent}
	case created:
		answer.Status = http.StatusCreated
		answer.Body, err = s.encode(special.object)
	default:
		if r.Method == http.MethodGet {
			value, answer.Fault = s.breakUsers(value)
		}
		answer.Body, err = s.encode(value)
	}
	if err != nil {
		return *errorAnswer(err)
	}
	return answer
}

// admit asks for the secret key before anything else, as Clerk does even for
// unknown paths, and takes the request from the rate limit. Clerk does not limit
// the JWKS.
func (s *Server) admit(rt *faulty.Route, r *http.Request) error {
	key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return newError(http.StatusUnauthorized, "authorization_header_format_invalid",
			`Invalid Authorization header format. Must be "Bearer <YOUR_API_KEY>"`)
	}
	ofMachine := strings.Contains(rt.Pattern, "/m2m_tokens") && s.asker(r) != nil
	if key != s.options.SecretKey && !ofMachine {
		return errStatus(http.StatusUnauthorized)
	}
	if rt.Pattern == "GET /v1/jwks" {
		return nil
	}
	if retryAfter := s.TakeCall(s.now()); retryAfter > 0 {
		refused := errStatus(http.StatusTooManyRequests)
		refused.retryAfter = retryAfter
		return refused
	}
	return nil
}
