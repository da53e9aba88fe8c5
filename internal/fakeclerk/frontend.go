package fakeclerk

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// frontendHost is the Frontend API host that [Server.PublishableKey] names. Its suffix makes Clerk's JavaScript
// take the instance for a development one, which keeps its client in the dev browser (__clerk_db_jwt) rather
// than in a cookie of this server: one that no browser would send from a page on another host.
const frontendHost = "fakeclerk.clerk.accounts.dev"

// PublishableKey is the key that a page gives to Clerk's JavaScript (Clerk's CLERK_PUBLISHABLE_KEY), together
// with [Server.URL] as its proxyUrl.
func (s *Server) PublishableKey() string {
	return "pk_test_" + base64.StdEncoding.EncodeToString([]byte(frontendHost+"$"))
}

// Users returns all accounts, the oldest first.
func (s *Server) Users() []User {
	return s.store.filterUsers(nil, func(*User) bool { return true })
}

// frontendRoutes registers the part of Clerk's Frontend API with which its JavaScript signs in, keeps a session
// and its token fresh, and signs out: https://clerk.com/docs/reference/frontend-api.
func (s *Server) frontendRoutes() {
	s.frontend.clients = make(map[string]*browserClient)
	s.frontend.tickets = make(map[string]string)

	s.api("POST /v1/sign_in_tokens", s.createSignInToken)
	s.open("GET /ticket", s.getTicket)

	s.open("GET /v1/environment", s.getEnvironment)
	s.open("PATCH /v1/environment", s.getEnvironment)
	s.open("POST /v1/dev_browser", s.createDevBrowser)
	s.client("GET /v1/client", s.getClient)
	s.client("PUT /v1/client", s.getClient)
	s.client("DELETE /v1/client", s.signOut)
	s.client("DELETE /v1/client/sessions", s.signOut)
	s.client("POST /v1/client/sign_ins", s.createSignIn)
	s.client("GET /v1/client/sessions/{id}", s.getClientSession)
	s.client("POST /v1/client/sessions/{id}/touch", s.touchSession)
	s.client("POST /v1/client/sessions/{id}/tokens", s.createClientToken)
	s.client("POST /v1/client/sessions/{id}/end", s.endClientSession)
	s.client("POST /v1/client/sessions/{id}/remove", s.endClientSession)
	s.open("/v1/client/", func(w http.ResponseWriter, r *http.Request) { writeError(w, errUnknownRoute(r)) })
}

// frontendStore holds what the Frontend API knows of browsers.
type frontendStore struct {
	mu      sync.Mutex                // held for the whole of a request
	clients map[string]*browserClient // by dev browser
	tickets map[string]string         // user ids by ticket
}

// browserClient is a Clerk client: one browser, and who is signed in there.
type browserClient struct {
	id         string
	sessions   []string // ids, in order of sign-in
	lastActive string   // the session that was touched last
	// organizations are the active organizations by session id.
	organizations map[string]string
	createdAt     time.Time
	updatedAt     time.Time
}

// clientEndpoint answers a request of a client, with mu held.
type clientEndpoint func(*http.Request, *browserClient) (any, error)

// client registers a route that a client asks. The answer to a change carries the client, as Clerk's does, so
// that the browser need not ask for it.
func (s *Server) client(pattern string, answerTo clientEndpoint) {
	s.open(pattern, func(w http.ResponseWriter, r *http.Request) {
		s.frontend.mu.Lock()
		defer s.frontend.mu.Unlock()
		client, ok := s.frontend.clients[r.URL.Query().Get("__clerk_db_jwt")]
		if !ok {
			writeError(w, errDevBrowser())
			return
		}
		response, err := answerTo(r, client)
		if err != nil {
			writeError(w, err)
			return
		}
		if token, ok := response.(tokenJSON); ok {
			answer(w, token) // a token comes bare
			return
		}
		body := map[string]any{"response": response, "client": nil}
		if r.Method != http.MethodGet {
			if body["client"], err = s.newClientJSON(r, client); err != nil {
				writeError(w, err)
				return
			}
		}
		answer(w, body)
	})
}

// crossOrigin lets pages call the Frontend API. It lets every origin, as Clerk's development instances do: which
// one a token was given to stands in its azp claim, for the backend to refuse. Since browsers have cross-origin
// requests of other methods than GET and POST announced, Clerk's JavaScript names the method in the query.
func crossOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !forBrowsers(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		if origin := r.Header.Get("Origin"); origin != "" {
			w.Header().Add("Vary", "Origin")
			w.Header().Set("Access-Control-Allow-Origin", origin)
			w.Header().Set("Access-Control-Allow-Credentials", "true")
		}
		if r.Method == http.MethodOptions {
			w.Header().Set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE")
			w.Header().Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
			w.WriteHeader(http.StatusNoContent)
			return
		}
		if method := r.URL.Query().Get("_method"); r.Method == http.MethodPost && method != "" {
			r = r.Clone(r.Context())
			r.Method = method
		}
		next.ServeHTTP(w, r)
	})
}

func forBrowsers(path string) bool {
	return path == "/v1/client" || strings.HasPrefix(path, "/v1/client/") ||
		slices.Contains([]string{"/v1/environment", "/v1/dev_browser", "/ticket"}, path)
}

// getEnvironment answers GET /v1/environment: the settings of the instance. Clerk's JavaScript has defaults for
// what is not here.
func (s *Server) getEnvironment(w http.ResponseWriter, _ *http.Request) {
	answer(w, map[string]any{
		"object":           "environment",
		"id":               "env_fakeclerk",
		"maintenance_mode": false,
		"auth_config": map[string]any{
			"object": "auth_config", "id": "aconf_fakeclerk", "single_session_mode": true,
		},
		"display_config": map[string]any{
			"object": "display_config", "id": "display_config_fakeclerk",
			"application_name": "fakeclerk", "instance_environment_type": "development",
		},
		"organization_settings": map[string]any{
			"object": "organization_settings", "enabled": true, "max_allowed_memberships": 5,
		},
	})
}

// createDevBrowser answers POST /v1/dev_browser with a new client.
func (s *Server) createDevBrowser(w http.ResponseWriter, _ *http.Request) {
	now := s.now()
	client := &browserClient{
		id: newID("client"), organizations: make(map[string]string), createdAt: now, updatedAt: now,
	}
	devBrowser := newID("dvb")
	s.frontend.mu.Lock()
	s.frontend.clients[devBrowser] = client
	s.frontend.mu.Unlock()
	answer(w, map[string]string{"object": "dev_browser", "id": devBrowser, "client_id": client.id})
}

// errDevBrowser makes Clerk's JavaScript ask for another dev browser, which it has to after this server was
// started again.
func errDevBrowser() *apiError {
	return &apiError{
		status:      http.StatusUnauthorized,
		code:        "dev_browser_unauthenticated",
		message:     "Browser unauthenticated",
		longMessage: "Unable to authenticate this browser for your development instance. Check your Clerk cookies and try again.",
	}
}

func errSignedOut() *apiError {
	const message = "You are signed out"
	return &apiError{status: http.StatusUnauthorized, code: "signed_out", message: message, longMessage: message}
}
