package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestKindsOfCallers goes through every kind of token at endpoints that take
// different ones.
func TestKindsOfCallers(t *testing.T) {
	machine := func(kind string, more ...string) string {
		t.Helper()
		query := url.Values{"type": {kind}, "user_id": {"user_ada"}}
		for i := 0; i < len(more); i += 2 {
			query.Set(more[i], more[i+1])
		}
		return token(t, query)
	}
	session := token(t, url.Values{"user_id": {"user_ada"}})
	apiKey, m2m, oauth := machine("api_key", "scopes", "whoami:read"), machine("m2m_token"), machine("oauth_token")
	const requiresMachine = `{"code":"permission_denied","message":"requires the token type m2m_token or oauth_token","details":null}`
	const requiresPerson = `{"code":"permission_denied","message":"requires the token type session_token","details":null}`

	for _, test := range []struct {
		name, path, token string
		status            int
		body              string // "" is not compared
	}{
		{"a person, where people may", "/whoami", session, 200, `{"tokenType":"session_token","subject":"user_ada","scopes":[]}`},
		{"an API key with the scope", "/whoami", apiKey, 200, ""},
		{"an API key without the scope", "/whoami", machine("api_key", "scopes", "other"), 403, `{"code":"permission_denied","message":"requires the scope whoami:read","details":null}`},
		{"an M2M token, where people and API keys may", "/whoami", m2m, 403, ""},
		{"an M2M token, where machines may", "/whoami/machine", m2m, 200, ""},
		{"an OAuth access token, where machines may", "/whoami/machine", oauth, 200, ""},
		{"a person, where machines may", "/whoami/machine", session, 403, requiresMachine},
		{"an API key, where it may not", "/whoami/machine", apiKey, 403, requiresMachine},
		{"an API key at an endpoint that says nothing", "/user/profile", apiKey, 403, requiresPerson},
		{"an M2M token at an endpoint that says nothing", "/user/profile", m2m, 403, requiresPerson},
		{"an OAuth access token at an endpoint that says nothing", "/user/profile", oauth, 403, requiresPerson},
		{"an unknown API key", "/whoami", "ak_" + strings.Repeat("x", 32), 401, notSignedIn},
		{"an unknown M2M token", "/whoami/machine", "mt_" + strings.Repeat("x", 32), 401, notSignedIn},
		{"an unknown OAuth access token", "/whoami/machine", "oat_" + strings.Repeat("x", 32), 401, notSignedIn},
	} {
		got := call(t, http.MethodGet, test.path, test.token)
		if got.status != test.status || test.body != "" && compact(got.body) != test.body {
			t.Errorf("%s: %v, want %d %s", test.name, got, test.status, test.body)
		}
	}
}

// An endpoint whose author declared nothing never sees a machine, not even if
// it does not ask who calls. Only the app that is started here has one.
func TestUndeclaredEndpoint(t *testing.T) {
	if !w.undeclared {
		t.Skip("the server under test has no such endpoint")
	}
	for kind, status := range map[string]int{"": 200, "api_key": 403, "m2m_token": 403, "oauth_token": 403} {
		query := url.Values{"user_id": {"user_ada"}}
		if kind != "" {
			query.Set("type", kind)
		}
		if got := call(t, http.MethodGet, "/undeclared", token(t, query)); got.status != status {
			t.Errorf("%q: %v, want %d", kind, got, status)
		}
	}
}
