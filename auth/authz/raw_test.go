package authz_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"encore.app/auth/authz"
	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
)

const mcp = "https://api.example.com/mcp"

// TestRawEndpoint is about the status and the challenge of each refusal (RFC 6750,
// section 3, and RFC 9728, section 5.1).
func TestRawEndpoint(t *testing.T) {
	clerk, authenticator := startRaw(t)
	issue := func(token fakeclerk.MachineToken) string {
		t.Helper()
		token.Subject = "user_ada"
		issued, err := clerk.AddMachineToken(token)
		if err != nil {
			t.Fatal(err)
		}
		return "Bearer " + issued.Token
	}
	session, err := clerk.SessionToken("user_ada")
	if err != nil {
		t.Fatal(err)
	}
	oauth := fakeclerk.TypeOAuthToken
	scoped := issue(fakeclerk.MachineToken{Type: oauth, Scopes: []string{"read"}, Audience: []string{mcp + "/"}})
	revoked := issue(fakeclerk.MachineToken{Type: oauth, Revoked: true})

	people := authz.Raw{}
	clients := authz.Raw{
		Accepts: []clerkauth.TokenType{clerkauth.OAuthToken}, Requires: []clerkauth.Requirement{clerkauth.Scope("read")},
		Audiences: []string{"https://api.example.com", mcp}, ResourceMetadata: "https://api.example.com/metadata",
	}
	const where = `resource_metadata="https://api.example.com/metadata"`
	for _, test := range []struct {
		name          string
		endpoint      authz.Raw
		authorization string
		status        int
		challenge     string
	}{
		{"no token", people, "", 401, "Bearer"},
		{"another scheme", people, "Basic YTpi", 401, "Bearer"},
		{"a token that is not good", people, "Bearer x", 401, `Bearer error="invalid_token"`},
		{"a person", people, "Bearer " + session, 200, ""},
		{"a machine where people may", people, scoped, 403, ""},
		{"no token for MCP", clients, "", 401, `Bearer ` + where},
		{"a revoked token", clients, revoked, 401, `Bearer error="invalid_token", ` + where},
		{"a person where clients may", clients, "Bearer " + session, 403, ""},
		{"the audience with a slash", clients, scoped, 200, ""},
		{"another audience", clients, issue(fakeclerk.MachineToken{Type: oauth, Scopes: []string{"read"}, Audience: []string{"https://other.example.com"}}),
			401, `Bearer error="invalid_token", ` + where},
		{"no audience", clients, issue(fakeclerk.MachineToken{Type: oauth, Scopes: []string{"read"}}), 401, `Bearer error="invalid_token", ` + where},
		{"a missing scope", clients, issue(fakeclerk.MachineToken{Type: oauth, Audience: []string{mcp}, JWT: true}),
			403, `Bearer error="insufficient_scope", scope="read", ` + where},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := serveRaw(&test.endpoint, authenticator, http.Header{"Authorization": {test.authorization}})
			if got := w.Header().Get("WWW-Authenticate"); w.Code != test.status || got != test.challenge {
				t.Errorf("got %d, %s; want %d, %s", w.Code, got, test.status, test.challenge)
			}
			if w.Code != 200 && w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("the body is %s", w.Header().Get("Content-Type"))
			}
		})
	}
}

// A page sends the token of a WebSocket as a subprotocol, which the server must not
// echo.
func TestRawEndpointTakesASubprotocol(t *testing.T) {
	clerk, authenticator := startRaw(t)
	session, err := clerk.SessionToken("user_ada")
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{"Sec-Websocket-Protocol": {"live, bearer." + session}}
	if w := serveRaw(&authz.Raw{}, authenticator, header); w.Code != 200 || header.Get("Sec-WebSocket-Protocol") != "live" {
		t.Errorf("got %d, and the protocols %q", w.Code, header.Get("Sec-WebSocket-Protocol"))
	}
	header = http.Header{"Sec-Websocket-Protocol": {"live"}}
	if w := serveRaw(&authz.Raw{}, authenticator, header); w.Code != 401 || w.Header().Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("without a token: %d, %s", w.Code, w.Header().Get("WWW-Authenticate"))
	}
}

// Clerk is unavailable: the client keeps its token.
func TestRawEndpointIsUnavailable(t *testing.T) {
	clerk, authenticator := startRaw(t)
	session, err := clerk.SessionToken("user_ada")
	if err != nil {
		t.Fatal(err)
	}
	clerk.Close()
	w := serveRaw(&authz.Raw{}, authenticator, http.Header{"Authorization": {"Bearer " + session}})
	if w.Code != 503 || w.Header().Get("WWW-Authenticate") != "" {
		t.Errorf("got %d, %q", w.Code, w.Header().Get("WWW-Authenticate"))
	}
}

func startRaw(t *testing.T) (*fakeclerk.Server, *clerkauth.Authenticator) {
	t.Helper()
	clerk, err := fakeclerk.Start(fakeclerk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { clerk.Close() })
	authenticator, err := clerkauth.New(clerkauth.Options{
		SecretKey: clerk.SecretKey(), APIURL: clerk.URL(), AcceptsToken: authz.AllTokenTypes,
		AuthorizedParties: []string{fakeclerk.DefaultAuthorizedParty}, UnknownTokensPerSecond: 1000,
	})
	if err != nil {
		t.Fatal(err)
	}
	return clerk, authenticator
}

func serveRaw(endpoint *authz.Raw, a *clerkauth.Authenticator, header http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header = header
	w := httptest.NewRecorder()
	endpoint.Authenticate(w, r, a, slog.New(slog.DiscardHandler))
	return w
}
