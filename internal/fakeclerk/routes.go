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
	"sync"
	"sync/atomic"
	"time"
)

// registerRoutes is the whole of the server's HTTP.
func (s *Server) registerRoutes() {
	s.routes.init()

	s.api("GET /v1/jwks", s.getJWKS)

	s.api("GET /v1/users", s.listUsers)
	s.api("POST /v1/users", s.createUser)
	s.api("GET /v1/users/count", s.countUsers)
	s.api("GET /v1/users/{id}", s.getUser)
	s.api("PATCH /v1/users/{id}", s.updateUser)
	s.api("DELETE /v1/users/{id}", s.deleteUser)
	s.api("POST /v1/users/{id}/ban", s.banUser)
	s.api("POST /v1/users/{id}/unban", s.unbanUser)

	s.api("GET /v1/sessions", s.listSessions)
	s.api("POST /v1/sessions", s.createSession)
	s.api("GET /v1/sessions/{id}", s.getSession)
	s.api("POST /v1/sessions/{id}/revoke", s.revokeSession)
	s.api("POST /v1/sessions/{id}/tokens", s.createToken)
	s.api("POST /v1/sessions/{id}/tokens/{template}", s.createTemplateToken)

	s.organizationRoutes()
	s.frontendRoutes()

	s.api("/v1/", func(r *http.Request) (any, error) { return nil, errUnknownRoute(r) })

	s.open("GET /token", s.getToken)
	s.open("PUT /fakeclerk/faults", s.putFaults)
	s.open("DELETE /fakeclerk/faults", s.deleteFaults)
	s.open("GET /fakeclerk/requests", s.getRequests)
	s.open("DELETE /fakeclerk/requests", s.deleteRequests)
	s.open("POST /fakeclerk/keys/rotate", s.rotateKey)
	s.open("DELETE /fakeclerk/keys/{kid}", s.deleteKey)
	s.open("PUT /fakeclerk/rate_limit", s.putRateLimit)
	s.open("PUT /fakeclerk/latency", s.putLatency)
	s.open("PUT /fakeclerk/clock", s.putClock)
	s.open("POST /fakeclerk/users", s.addUser)
	s.webhookRoutes()
	s.open("/", func(w http.ResponseWriter, r *http.Request) { writeError(w, errUnknownRoute(r)) })
}

// routeTable holds the routes by their mux pattern, which is also their name in [Server.Requests] and
// [Server.SetFault].
type routeTable struct {
	mux    *http.ServeMux
	byName map[string]*route
	every  atomic.Pointer[activeFault] // the fault of every Backend API route
	users  sync.Map                    // *activeFault by user id
}

type route struct {
	name       string
	backendAPI bool
	requests   atomic.Int64
	fault      atomic.Pointer[activeFault]
}

func (t *routeTable) init() {
	t.mux = http.NewServeMux()
	t.byName = make(map[string]*route)
}

func (t *routeTable) add(pattern string, backendAPI bool) *route {
	rt := &route{name: pattern, backendAPI: backendAPI}
	t.byName[pattern] = rt
	return rt
}

func (t *routeTable) find(name string) (*route, error) {
	rt, ok := t.byName[name]
	if !ok {
		return nil, fmt.Errorf("unknown route %q; there are: %s", name, strings.Join(slices.Sorted(maps.Keys(t.byName)), ", "))
	}
	return rt, nil
}

// endpoint answers a Backend API request with a value to send as JSON, or an error: an *apiError, or
// any other for 500.
type endpoint func(*http.Request) (any, error)

// api registers a Backend API route: it is counted, may be broken by a fault, and asks for the secret key.
func (s *Server) api(pattern string, answer endpoint) {
	rt := s.routes.add(pattern, true)
	s.routes.mux.Handle(pattern, s.logged(rt, func(w http.ResponseWriter, r *http.Request) {
		rt.requests.Add(1)
		refusal := s.admit(rt, r)
		if latency := time.Duration(s.latency.Load()); latency > 0 {
			wait(r, latency)
		}
		fault, broken := s.routes.faultOf(rt)
		if broken && fault.before(w, r) {
			return
		}
		if refusal != nil {
			writeError(w, refusal)
			return
		}
		value, err := answer(r)
		if err == nil && r.Method == http.MethodGet && !broken {
			if value, fault, broken = s.breakUsers(value); broken && fault.before(w, r) {
				return
			}
		}
		var body []byte
		if err == nil {
			body, err = json.Marshal(value)
		}
		switch {
		case err != nil:
			writeError(w, err)
		case broken:
			fault.write(w, body)
		default:
			writeJSON(w, body)
		}
	}))
}

// open registers a route that asks for no key.
func (s *Server) open(pattern string, handler http.HandlerFunc) {
	rt := s.routes.add(pattern, false)
	s.routes.mux.Handle(pattern, s.logged(rt, func(w http.ResponseWriter, r *http.Request) {
		rt.requests.Add(1)
		handler(w, r)
	}))
}

// admit asks for the secret key before anything else, as Clerk does even for
// unknown paths, and takes the request from the rate limit of the key. Clerk
// does not limit the JWKS.
func (s *Server) admit(rt *route, r *http.Request) error {
	key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return errMissingKey()
	}
	if key != s.options.SecretKey {
		return errWrongKey()
	}
	if rt.name == "GET /v1/jwks" {
		return nil
	}
	if retryAfter, limited := s.rateLimiter.take(s.now()); limited {
		refusal := errStatus(http.StatusTooManyRequests)
		refusal.retryAfter = retryAfter
		return refusal
	}
	return nil
}

// logged writes the one log line of a request. It names the route rather than the path, which may carry
// whatever a client puts there.
func (s *Server) logged(rt *route, handler http.HandlerFunc) http.Handler {
	log := s.options.Logger
	if log == nil {
		return handler
	}
	_, path, found := strings.Cut(rt.name, " ")
	if !found {
		path = rt.name
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		recorder := &statusRecorder{ResponseWriter: w}
		defer func() { // deferred: a fault may abort the request by a panic
			log.LogAttrs(r.Context(), slog.LevelInfo, "fakeclerk",
				slog.String("method", r.Method), slog.String("path", path),
				slog.Int("status", recorder.status), slog.Duration("duration", time.Since(start)))
		}()
		handler(recorder, r)
	})
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

func (w *statusRecorder) Write(p []byte) (int, error) {
	w.status = cmp.Or(w.status, http.StatusOK)
	return w.ResponseWriter.Write(p)
}

// Unwrap lets [http.ResponseController] take over the connection.
func (w *statusRecorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// writeJSON sends a success. The type has no charset: Clerk's JavaScript SDK reads a body as JSON only
// where the type is exactly "application/json".
func writeJSON(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // an error means that the client is gone
}

func writeError(w http.ResponseWriter, err error) {
	var answer *apiError
	if !errors.As(err, &answer) {
		answer = errStatus(http.StatusInternalServerError)
		answer.longMessage = err.Error()
	}
	w.Header().Set("Content-Type", "application/json")
	setRetryAfter(w, answer.retryAfter)
	w.WriteHeader(answer.status)
	_, _ = w.Write(answer.body())
}

// Requests returns how often a route was asked, by its name such as "GET /v1/users/{id}", or "/v1/" for
// the Backend API routes that there are not. Requests that a fault broke count too, those that found the connection refused do not. It panics for an unknown route:
// a test that counts a misspelt one would pass for the wrong reason.
func (s *Server) Requests(route string) int {
	rt, err := s.routes.find(route)
	if err != nil {
		panic("fakeclerk: " + err.Error())
	}
	return int(rt.requests.Load())
}

// TotalRequests returns how often the Backend API was asked, all routes together.
func (s *Server) TotalRequests() int {
	total := 0
	for _, rt := range s.routes.byName {
		if rt.backendAPI {
			total += int(rt.requests.Load())
		}
	}
	return total
}

// ResetRequests sets all counts to 0, that of [Server.RateLimited] too.
func (s *Server) ResetRequests() {
	s.rateLimiter.refused.Store(0)
	for _, rt := range s.routes.byName {
		rt.requests.Store(0)
	}
}
