//go:build linux && !encore_local

package production

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"encore.app/fakeclerk"
)

// TestAudience is about an MCP server that takes only tokens for itself (RFC 8707).
func TestAudience(t *testing.T) {
	e := setup(t)
	const resource = "https://api.example.com/mcp"
	i := e.app.start(t, e.app.withConfig(t, "mcp", map[string]any{"Resource": resource, "RequireAudience": true, "AuthorizationServer": "https://clerk.example.com"}))
	user := e.newUsers(t, "agent", 1)
	for _, test := range []struct {
		audience  []string
		status    int
		challenge string
	}{
		{[]string{resource}, http.StatusOK, ""},
		{[]string{"https://other.example.com", resource}, http.StatusOK, ""},
		{[]string{"https://other.example.com/mcp"}, http.StatusUnauthorized, "invalid_token"},
		{nil, http.StatusUnauthorized, "invalid_token"},
	} {
		for _, jwt := range []bool{false, true} {
			token := must[fakeclerk.MachineToken](t)(e.clerk.AddMachineToken(fakeclerk.MachineToken{
				Type: fakeclerk.TypeOAuthToken, Subject: user.ids[0], Scopes: []string{"profile"}, Audience: test.audience, JWT: jwt}))
			request := must[*http.Request](t)(http.NewRequest(http.MethodPost, i.url("/mcp"),
				strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami"}}`)))
			request.Header.Set("Authorization", "Bearer "+token.Token)
			request.Header.Set("Content-Type", "application/json")
			request.Header.Set("Accept", "application/json, text/event-stream")
			response := must[*http.Response](t)(user.client.Do(request))
			body := must[[]byte](t)(io.ReadAll(response.Body))
			_ = response.Body.Close()
			challenge := response.Header.Get("WWW-Authenticate")
			say(t, response.StatusCode == test.status && strings.Contains(challenge, test.challenge) && (challenge == "" || strings.Contains(challenge, "https://api.example.com/.well-known/oauth-protected-resource/mcp")),
				"audience %v, JWT %v: %d %q %.80s", test.audience, jwt, response.StatusCode, challenge, body)
		}
	}
}
