package tools

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"encore.app/auth/clerkauth"
)

func TestWrongSettings(t *testing.T) {
	for _, value := range []string{
		"https://api.example.com", "https://api.example.com/", "https://api.example.com/mcp/", "https://api.example.com/mcp\n",
		" https://api.example.com/mcp", `"https://api.example.com/mcp"`, "api.example.com/mcp", "https://API.example.com/mcp",
		"https://*.example.com/mcp", "ftp://api.example.com/mcp", "app://api.example.com/mcp", "https://api.example.com/v1/mcp", "/mcp", "TODO",
	} {
		if _, err := New(Options{Resource: value}); err == nil || !strings.Contains(err.Error(), "examples/mcp/config.cue: the setting Resource") {
			t.Errorf("Resource %q: %v", value, err)
		}
	}
	for _, value := range []string{
		"clerk.example.com", "https://clerk.example.com/", "https://clerk.example.com\n", `"https://clerk.example.com"`, "https://Clerk.example.com",
		"https://clerk.example.com/v1", "https://clerk.example.com/.well-known/jwks.json", "https://api.clerk.com", "http://clerk.example.com",
		"pk_test_Y2xlcmsuZXhhbXBsZS5jb20k", "https://happy-cat-1.accounts.dev", "TODO",
	} {
		if _, err := New(Options{AuthorizationServer: value}); err == nil || !strings.Contains(err.Error(), "examples/mcp/config.cue: AuthorizationServer") {
			t.Errorf("AuthorizationServer %q: %v", value, err)
		}
	}
	if _, err := New(Options{RequireAudience: true}); err == nil || !strings.Contains(err.Error(), "needs Resource") {
		t.Errorf("RequireAudience alone: %v", err)
	}
}

func TestSettingsThatWork(t *testing.T) {
	for _, o := range []Options{
		{},
		{Resource: "https://api.example.com/mcp", RequireAudience: true, AuthorizationServer: "https://clerk.example.com"},
		{Resource: "http://127.0.0.1:4000/mcp", AuthorizationServer: "http://127.0.0.1:4100"},
		{AuthorizationServer: "https://app.example.com/__clerk"},
	} {
		if _, err := New(o); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// Anybody can ask for the metadata, so that their absence fills no log.
func TestMissingAuthorizationServer(t *testing.T) {
	var log bytes.Buffer
	s, err := New(Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	for range 1_000 {
		w := httptest.NewRecorder()
		s.ServeMetadata(w, httptest.NewRequest(http.MethodGet, metadataPath, nil))
		if w.Code != http.StatusInternalServerError {
			t.Fatal(w.Code)
		}
	}
	lines := strings.Count(log.String(), "\n")
	if lines < 1 || lines > 500 || !strings.Contains(log.String(), "AuthorizationServer") {
		t.Errorf("%d lines: %.200s", lines, &log)
	}
}

// Nobody keeps a request open to listen for changes: there are none, and it would
// outlive its caller.
func TestListeningEndsAtOnce(t *testing.T) {
	s, err := New(Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	const body = `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},"_meta":{` +
		`"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"x","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}`
	r := httptest.NewRequest(http.MethodPost, "/mcp", strings.NewReader(body))
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
		"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "subscriptions/listen",
	} {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	s.Serve(w, r, s.Endpoint(r), &clerkauth.Caller{TokenType: clerkauth.OAuthToken, UserID: "user_ada", Subject: "user_ada", Scopes: []string{"profile"}})
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"id":1`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
