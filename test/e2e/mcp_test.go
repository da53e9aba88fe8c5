package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"encore.app/fakeclerk"
)

// consent is a browser in which somebody chooses an account at the fake Clerk. It
// notes the scopes that are asked for.
func consent(t *testing.T, choice string, asked *[]string) auth.AuthorizationCodeFetcher {
	browser := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return func(_ context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
		address, err := url.Parse(args.URL)
		if err != nil {
			return nil, err
		}
		*asked = append(*asked, address.Query().Get("scope"))
		if got := address.Query().Get("resource"); got != w.api+"/mcp" {
			t.Errorf("the client asks for the resource %s", got)
		}
		response, err := browser.Get(args.URL + "&" + choice)
		if err != nil {
			return nil, err
		}
		response.Body.Close()
		location, err := response.Location()
		if err != nil {
			return nil, err
		}
		return &auth.AuthorizationResult{Code: location.Query().Get("code"), State: location.Query().Get("state")}, nil
	}
}

// connect is a client of the Go SDK that starts without a token.
func connect(t *testing.T, choice string, asked *[]string) *mcp.ClientSession {
	t.Helper()
	handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{Metadata: &oauthex.ClientRegistrationMetadata{
			ClientName: "e2e", RedirectURIs: []string{"http://127.0.0.1:7777/callback"}, TokenEndpointAuthMethod: "none",
		}},
		AuthorizationCodeFetcher: consent(t, choice, asked),
		ScopeFilter: func(scopes []string) []string { // at first, as little as possible
			if len(*asked) == 0 {
				return scopes[:1]
			}
			return scopes
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "e2e", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: w.api + "/mcp", OAuthHandler: handler}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	return session
}

func callTool(t *testing.T, session *mcp.ClientSession, name string) (result *mcp.CallToolResult, text string) {
	t.Helper()
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: name})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	content, err := json.Marshal(result.Content)
	if err != nil {
		t.Fatal(err)
	}
	return result, string(content)
}

func TestMCPClientOfGo(t *testing.T) {
	var asked []string
	session := connect(t, "user_id=user_ada&org=org_analytical", &asked)
	tools, err := session.ListTools(t.Context(), nil)
	if err != nil || len(tools.Tools) != 2 {
		t.Fatalf("tools: %+v, %v", tools, err)
	}
	if result, text := callTool(t, session, "whoami"); result.IsError || !strings.Contains(text, "user_ada") || strings.Contains(text, "org_analytical") {
		t.Errorf("whoami: %s", text)
	}
	if result, text := callTool(t, session, "list_members"); result.IsError || !strings.Contains(text, "user_grace") {
		t.Errorf("list_members: %s", text)
	}
	if _, text := callTool(t, session, "whoami"); !strings.Contains(text, "org_analytical") {
		t.Errorf("whoami with an organization: %s", text)
	}
	// The second sign-in is for the scope of the second tool alone.
	if len(asked) != 2 || asked[0] != "profile" || !strings.Contains(asked[1], "user:org:read") {
		t.Errorf("asked for %q", asked)
	}
}

func TestMCPToolForAdmins(t *testing.T) {
	var asked []string
	session := connect(t, "user_id=user_grace&org=org_analytical", &asked)
	if result, text := callTool(t, session, "list_members"); !result.IsError || !strings.Contains(text, "requires the role org:admin") {
		t.Errorf("a member: %s", text)
	}
}

// TestMCPClientOfTypeScript needs Node, and npm --prefix test/conformance ci.
func TestMCPClientOfTypeScript(t *testing.T) {
	_, err := exec.LookPath("node")
	if err == nil {
		_, err = os.Stat("../conformance/node_modules/@modelcontextprotocol/sdk")
	}
	if err != nil {
		if strings.Contains(os.Getenv("REQUIRED"), "node") {
			t.Fatal(err)
		}
		t.Skipf("it needs Node, and npm --prefix test/conformance ci (%v)", err)
	}
	said, err := exec.CommandContext(t.Context(), "node", "../conformance/mcp.mjs", w.api+"/mcp").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, said)
	}
}

func TestMCPChallenges(t *testing.T) {
	where := `resource_metadata="` + w.api + `/.well-known/oauth-protected-resource/mcp"`
	issue := func(token fakeclerk.MachineToken) string {
		t.Helper()
		token.Type, token.Subject = fakeclerk.TypeOAuthToken, "user_ada"
		status, body := clerk(t, http.MethodPost, "/fakeclerk/machine_tokens", token)
		var issued struct{ Token string }
		if err := json.Unmarshal(body, &issued); err != nil || issued.Token == "" {
			t.Fatalf("%d %s", status, body)
		}
		return issued.Token
	}
	const listMembers = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_members"}}`
	profile := []string{"profile"}
	apiKey := token(t, url.Values{"type": {"api_key"}, "user_id": {"user_ada"}})
	for _, test := range []struct {
		name, token, body string
		status            int
		challenge, answer string
	}{
		{"no token", "", "{}", 401, `Bearer ` + where, `"code":"unauthenticated"`},
		{"a forged token", "x", "{}", 401, `Bearer error="invalid_token", ` + where, `"code":"unauthenticated"`},
		{"a revoked token", issue(fakeclerk.MachineToken{Scopes: profile, Revoked: true}), "{}", 401, `Bearer error="invalid_token", ` + where, `"code":"unauthenticated"`},
		{"no scope", issue(fakeclerk.MachineToken{}), "{}", 403, `Bearer error="insufficient_scope", scope="profile", ` + where, `"requires the scope profile"`},
		{"a tool's scope", issue(fakeclerk.MachineToken{Scopes: profile, JWT: true}), listMembers, 403, `Bearer error="insufficient_scope", scope="profile user:org:read", ` + where, `"requires the scope user:org:read"`},
		{"another kind of token", apiKey, "{}", 403, "", `"requires the token type oauth_token"`},
	} {
		request, err := http.NewRequest(http.MethodPost, w.api+"/mcp", strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Accept", "application/json, text/event-stream")
		if test.token != "" {
			request.Header.Set("Authorization", "Bearer "+test.token)
		}
		got := do(t, request)
		if got.status != test.status || got.header.Get("WWW-Authenticate") != test.challenge || !strings.Contains(compact(got.body), test.answer) {
			t.Errorf("%s: %v %q", test.name, got, got.header.Get("WWW-Authenticate"))
		}
	}
}

// TestMCPMetadata is about the addresses at which clients look (RFC 9728, section 3).
func TestMCPMetadata(t *testing.T) {
	var server struct{ Issuer string } // the fake Clerk can also stand behind a proxy
	if _, body := clerk(t, http.MethodGet, "/.well-known/oauth-authorization-server", nil); json.Unmarshal(body, &server) != nil || server.Issuer == "" {
		t.Fatalf("%s", body)
	}
	for path, resource := range map[string]string{"": w.api, "/mcp": w.api + "/mcp"} {
		got := ask(t, "/.well-known/oauth-protected-resource"+path, "")
		var metadata oauthex.ProtectedResourceMetadata
		if err := json.Unmarshal(got.body, &metadata); err != nil || got.status != 200 || metadata.Resource != resource ||
			len(metadata.AuthorizationServers) != 1 || metadata.AuthorizationServers[0] != server.Issuer {
			t.Errorf("%q: %v, %v", path, got, err)
		}
	}
}
