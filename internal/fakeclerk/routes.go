package fakeclerk

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// surface is the part of the server that a route belongs to. It decides who may
// ask.
type surface int

const (
	backendAPI  surface = iota // whoever has the secret key; counted, limited and broken by faults
	frontendAPI                // pages of every origin
	tokens                     // no page but those of [Options].PageOrigins
	control                    // no page at all
)

// handler answers a request while the server's mu is held: with a value to send
// as JSON, one of the types below, or nil for 204; or with an error.
type handler func(*http.Request) (any, error)

type (
	created    struct{ object } // 201
	lastAnswer struct{}         // 204; the connection is closed
	plainText  string
)

// plainError is an error for a person at a command line.
type plainError struct {
	status  int
	message string
}

func (e plainError) Error() string { return e.message }

type route struct {
	pattern  string // for the mux, and its name in [Server.Requests] and [Server.SetFault]
	path     string // of pattern
	surface  surface
	handler  handler
	requests int
	fault    *activeFault
}

// registerRoutes is the whole of the server's HTTP.
func (s *Server) registerRoutes() {
	unknown := func(r *http.Request) (any, error) {
		return nil, errNotFound(fmt.Sprintf("fakeclerk has no %s %s", r.Method, r.URL.Path))
	}
	s.mux, s.routes = http.NewServeMux(), make(map[string]*route)
	for _, registered := range []struct {
		pattern string
		handler handler
	}{
		{"GET /v1/jwks", s.getJWKS},

		{"GET /v1/users", s.listUsers},
		{"POST /v1/users", with(s.createUser)},
		{"GET /v1/users/count", s.countUsers},
		{"GET /v1/users/{id}", s.getUser},
		{"PATCH /v1/users/{id}", s.updateUser},
		{"DELETE /v1/users/{id}", func(r *http.Request) (any, error) { return s.removeUser(r.PathValue("id")) }},
		{"POST /v1/users/{id}/ban", func(r *http.Request) (any, error) { return s.setBanned(r.PathValue("id"), true) }},
		{"POST /v1/users/{id}/unban", func(r *http.Request) (any, error) { return s.setBanned(r.PathValue("id"), false) }},
		{"GET /v1/users/{id}/organization_memberships", s.listUserMemberships},

		{"POST /v1/sessions", with(s.createSession)},
		{"GET /v1/sessions/{id}", s.getSession},
		{"POST /v1/sessions/{id}/revoke", s.revokeSession},
		{"POST /v1/sessions/{id}/tokens", s.createToken},

		{"GET /v1/organizations", s.listOrganizations},
		{"POST /v1/organizations", with(s.createOrganization)},
		{"GET /v1/organizations/{id}", s.getOrganization},
		{"GET /v1/organizations/{id}/memberships", s.listMemberships},
		{"GET /v1/organization_memberships", s.listAllMemberships},
		{"POST /v1/organizations/{id}/memberships", with(s.createMembership)},
		{"PATCH /v1/organizations/{id}/memberships/{user_id}", with(s.updateMembership)},
		{"DELETE /v1/organizations/{id}/memberships/{user_id}", s.deleteMembership},

		{"GET /v1/api_keys", s.listAPIKeys},
		{"POST /v1/api_keys", with(s.createAPIKey)},
		{"POST /v1/api_keys/verify", s.onSecret(TypeAPIKey, s.verifyToken)},
		{"GET /v1/api_keys/{id}", s.onToken(TypeAPIKey, s.getMachineToken)},
		{"POST /v1/api_keys/{id}/revoke", s.onToken(TypeAPIKey, s.revokeToken)},
		{"GET /v1/m2m_tokens", s.listM2MTokens},
		{"POST /v1/m2m_tokens", with(s.createM2MToken)},
		{"POST /v1/m2m_tokens/verify", s.onSecret(TypeM2MToken, s.verifyToken)},
		{"POST /v1/m2m_tokens/{id}/revoke", s.onToken(TypeM2MToken, s.revokeToken)},
		{"POST /v1/oauth_applications/access_tokens/verify", s.onSecret(TypeOAuthToken, s.verifyToken)},
		{"POST /v1/oauth_applications/{id}/revoke_token", s.onSecret(TypeOAuthToken, s.revokeOAuthToken)},
		{"/v1/", unknown},

		{"GET /v1/environment", getEnvironment},
		{"PATCH /v1/environment", getEnvironment},
		{"POST /v1/dev_browser", s.createDevBrowser},
		{"GET /v1/client", s.forClient(s.getClient)},
		{"PUT /v1/client", s.forClient(s.getClient)},
		{"DELETE /v1/client", s.forClient(s.signOut)},
		{"POST /v1/client/sign_ins", s.forClient(s.createSignIn)},
		{"DELETE /v1/client/sessions", s.forClient(s.signOut)},
		{"GET /v1/client/sessions/{id}", s.forClient(s.getClientSession)},
		{"POST /v1/client/sessions/{id}/touch", s.forClient(s.touchSession)},
		{"POST /v1/client/sessions/{id}/tokens", s.forClient(s.createClientToken)},
		{"POST /v1/client/sessions/{id}/end", s.forClient(s.endClientSession)},
		{"POST /v1/client/sessions/{id}/remove", s.forClient(s.endClientSession)},
		{"/v1/client/", unknown},

		{"GET /token", s.getToken},
		{"GET /ticket", s.getTicket},

		{"PUT /fakeclerk/faults", withControl(s.putFaults)},
		{"DELETE /fakeclerk/faults", s.deleteFaults},
		{"GET /fakeclerk/requests", s.getRequests},
		{"DELETE /fakeclerk/requests", s.deleteRequests},
		{"POST /fakeclerk/keys/rotate", withControl(s.rotateKey)},
		{"DELETE /fakeclerk/keys/{kid}", s.deleteKey},
		{"PUT /fakeclerk/rate_limit", withControl(s.putRateLimit)},
		{"PUT /fakeclerk/latency", withControl(s.putLatency)},
		{"PUT /fakeclerk/clock", withControl(s.putClock)},
		{"POST /fakeclerk/users", withControl(s.postUser)},
		{"POST /fakeclerk/machine_tokens", withControl(s.postMachineToken)},
		{"POST /fakeclerk/sessions/{id}/end", s.endSession},
		{"GET /fakeclerk/webhooks", s.getWebhooks},
		{"PUT /fakeclerk/webhooks", withControl(s.putWebhooks)},
		{"POST /fakeclerk/webhooks", withControl(s.postWebhook)},
		{"POST /fakeclerk/webhooks/{id}/resend", s.resendWebhook},
		{"DELETE /fakeclerk/webhooks/{id}", s.deleteWebhook},
		{"/", unknown},
	} {
		_, path, found := strings.Cut(registered.pattern, " ")
		if !found {
			path = registered.pattern
		}
		rt := &route{pattern: registered.pattern, path: path, surface: surfaceOf(path), handler: registered.handler}
		s.routes[rt.pattern] = rt
		s.mux.HandleFunc(rt.pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(rt, w, r) })
	}
}

// serve answers a request of a route, and writes the one log line of it. The log
// names the route rather than the path, which may carry whatever a client puts
// there.
func (s *Server) serve(rt *route, w http.ResponseWriter, r *http.Request) {
	start, recorder := time.Now(), &statusRecorder{ResponseWriter: w}
	defer func() { // deferred: a fault may abort the request by a panic
		s.options.Logger.LogAttrs(r.Context(), slog.LevelInfo, "fakeclerk",
			slog.String("method", r.Method), slog.String("path", rt.path),
			slog.Int("status", recorder.status), slog.Duration("duration", time.Since(start)))
	}()
	fault, latency, refusal := s.begin(rt, r)
	wait(r, latency)
	if fault.before(recorder, r) {
		return
	}
	if refusal != nil {
		writeError(recorder, refusal)
		return
	}
	encoded, userFault, err := s.handle(rt, r, fault == nil)
	fault = cmp.Or(fault, userFault)
	switch {
	case userFault.before(recorder, r):
	case err != nil:
		writeError(recorder, err)
	default:
		fault.write(recorder, encoded)
	}
}

// begin counts a request. For one of the Backend API it returns the fault that
// breaks it, its latency and why it is refused.
func (s *Server) begin(rt *route, r *http.Request) (*Fault, time.Duration, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rt.requests++
	if rt.surface != backendAPI {
		return nil, 0, nil
	}
	fault := rt.fault.next()
	if fault == nil {
		fault = s.fault.next()
	}
	return fault, s.latency, s.admit(rt, r)
}

// admit asks for the secret key before anything else, as Clerk does even for
// unknown paths, and takes the request from the rate limit. Clerk does not limit
// the JWKS.
func (s *Server) admit(rt *route, r *http.Request) error {
	key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return newError(http.StatusUnauthorized, "authorization_header_format_invalid",
			`Invalid Authorization header format. Must be "Bearer <YOUR_API_KEY>"`)
	}
	ofMachine := strings.Contains(rt.pattern, "/m2m_tokens") && s.asker(r) != nil
	if key != s.options.SecretKey && !ofMachine {
		return errStatus(http.StatusUnauthorized)
	}
	if rt.pattern == "GET /v1/jwks" {
		return nil
	}
	if retryAfter, limited := s.rateLimiter.take(s.now()); limited {
		refusal := errStatus(http.StatusTooManyRequests)
		refusal.retryAfter = retryAfter
		return refusal
	}
	return nil
}

// handle calls the handler of a route and encodes its answer, which a user's
// fault may break.
func (s *Server) handle(rt *route, r *http.Request, breakable bool) (encoded response, fault *Fault, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	value, err := rt.handler(r)
	if err != nil {
		return response{}, nil, err
	}
	if breakable && rt.surface == backendAPI && r.Method == http.MethodGet {
		value, fault = s.breakUsers(value)
	}
	encoded, err = encode(value)
	return encoded, fault, err
}

// response is a success, ready to send.
type response struct {
	status      int
	contentType string
	body        []byte
	last        bool // of its connection
}

// encode gives JSON no charset in its type: Clerk's JavaScript SDK reads a body
// as JSON only where the type is exactly "application/json".
func encode(value any) (encoded response, err error) {
	encoded = response{status: http.StatusOK, contentType: "application/json"}
	switch answer := value.(type) {
	case nil, lastAnswer:
		_, last := value.(lastAnswer)
		return response{status: http.StatusNoContent, last: last}, nil
	case plainText:
		return response{status: http.StatusOK, contentType: "text/plain; charset=utf-8", body: []byte(answer)}, nil
	case created:
		encoded.status, value = http.StatusCreated, answer.object
	}
	encoded.body, err = json.Marshal(value)
	return encoded, err
}

func (a response) write(w http.ResponseWriter) {
	if a.contentType != "" {
		w.Header().Set("Content-Type", a.contentType)
	}
	if a.last {
		w.Header().Set("Connection", "close")
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // an error means that the client is gone
}

func writeError(w http.ResponseWriter, err error) {
	var plain plainError
	if errors.As(err, &plain) {
		http.Error(w, plain.message, plain.status)
		return
	}
	var answer *apiError
	if !errors.As(err, &answer) {
		answer = newError(http.StatusInternalServerError, "internal_clerk_error", err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	setRetryAfter(w, answer.retryAfter)
	w.WriteHeader(answer.status)
	_, _ = w.Write(answer.body())
}

// statusRecorder remembers the status for the log; 0 means that none was sent.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (w *statusRecorder) WriteHeader(status int) {
	w.status = cmp.Or(w.status, status)
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets [http.ResponseController] take over the connection.
func (w *statusRecorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (s *Server) route(name string) (*route, error) {
	rt, ok := s.routes[name]
	if !ok {
		return nil, fmt.Errorf("unknown route %q; there are: %s", name, strings.Join(slices.Sorted(maps.Keys(s.routes)), ", "))
	}
	return rt, nil
}

// Requests returns how often a route was asked, by its name such as "GET
// /v1/users/{id}", or "/v1/" for the Backend API routes that there are not.
// Requests that a fault broke count too, those that found the connection refused
// do not. It panics for an unknown route: a test that counts a misspelt one
// would pass for the wrong reason.
func (s *Server) Requests(route string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	rt, err := s.route(route)
	if err != nil {
		panic("fakeclerk: " + err.Error())
	}
	return rt.requests
}

// TotalRequests returns how often the Backend API was asked, all routes
// together.
func (s *Server) TotalRequests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.totalRequests()
}

func (s *Server) totalRequests() int {
	total := 0
	for _, rt := range s.routes {
		if rt.surface == backendAPI {
			total += rt.requests
		}
	}
	return total
}

// ResetRequests sets all counts to 0, that of [Server.RateLimited] too.
func (s *Server) ResetRequests() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resetRequests()
}

func (s *Server) resetRequests() {
	s.rateLimiter.refused = 0
	for _, rt := range s.routes {
		rt.requests = 0
	}
}
