// Package tools has the tools of the MCP server in plain Go, and the callers
// that may use them.
package tools

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"encore.dev/beta/errs"
	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"encore.app/auth/authz"
	"encore.app/auth/clerkauth"
	"encore.app/auth/clerkauth/setting"
)

const (
	path         = "/mcp"
	metadataPath = "/.well-known/oauth-protected-resource"

	// maxBody bounds a request in bytes: the arguments of a tool are small.
	maxBody = 64 << 10
)

// The scopes of Clerk's that clients ask for: first those of every caller, and
// that of a tool once it is called.
const (
	baseScope         = "profile"
	organizationScope = "user:org:read"
)

// Options configure [New].
type Options struct {
	Backend clerk.Backend
	Log     authz.Logger

	// Resource is the public URL of the endpoint. When empty, it is what each
	// request says.
	Resource string
	// RequireAudience refuses access tokens that were not issued for Resource.
	RequireAudience bool
	// AuthorizationServer is Clerk's Frontend API URL.
	AuthorizationServer string
}

// Server is the MCP server. It keeps nothing between requests, so that any number
// of instances can serve a client.
type Server struct {
	options Options
	lines   authz.Logger // for what anybody can cause
	handler http.Handler
}

// New returns the server, or an error about the options.
func New(o Options) (*Server, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("examples/mcp/config.cue: %w", err)
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "examples/mcp", Version: "1"}, &mcp.ServerOptions{
		// Not listChanged, which the SDK would announce: a client that listens for
		// changes keeps its request open, past a ban and the end of its token.
		Capabilities: &mcp.ServerCapabilities{Tools: &mcp.ToolCapabilities{}},
	})
	s := &Server{options: o, lines: authz.LimitLog(o.Log)}
	s.add(server)
	s.handler = mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{
		Stateless: true, JSONResponse: true,
		// Its check of the Host takes a balancer on the same machine for an attack.
		// It protects a server without authentication, and this server has
		// authentication.
		DisableLocalhostProtection: true,
	})
	return s, nil
}

// check names the setting that cannot work, and what to write.
func (o *Options) check() error {
	if err := setting.Issuer(o.AuthorizationServer); err != nil {
		return fmt.Errorf("AuthorizationServer %q %w", o.AuthorizationServer, err)
	}
	if o.Resource == "" && o.RequireAudience {
		// The Host of a request is its client's to choose.
		return errors.New("RequireAudience needs Resource: write the public URL of the endpoint, such as https://api.example.com/mcp")
	}
	base, ok := strings.CutSuffix(o.Resource, path)
	if o.Resource != "" && (!ok || !strings.HasPrefix(base, "http") || strings.Contains(base, "*") || setting.Origin(base) != nil) {
		return fmt.Errorf("the setting Resource %q is not the public URL of the endpoint, such as https://api.example.com/mcp", o.Resource)
	}
	return nil
}

// Endpoint says which callers the endpoint takes: OAuth clients, for a user.
func (s *Server) Endpoint(r *http.Request) authz.Raw {
	endpoint := authz.Raw{
		Accepts:          []clerkauth.TokenType{clerkauth.OAuthToken},
		Requires:         []clerkauth.Requirement{clerkauth.Scope(baseScope)},
		ResourceMetadata: s.base(r) + metadataPath + path,
	}
	if s.options.RequireAudience {
		endpoint.Audiences = []string{s.options.Resource, s.base(r)}
	}
	return endpoint
}

// Serve answers a caller's request. The requirements of a tool are checked
// before the tool is looked at, because a client asks its user for more scopes
// on a status 403.
func (s *Server) Serve(w http.ResponseWriter, r *http.Request, endpoint authz.Raw, caller *clerkauth.Caller) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		authz.WriteError(w, &errs.Error{Code: errs.InvalidArgument, Message: "the request is too large"})
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if required := requirements[calledTool(body)]; required != nil && !endpoint.Require(w, caller, s.options.Log, required...) {
		return
	}
	s.handler.ServeHTTP(w, r.WithContext(clerkauth.NewContext(r.Context(), caller)))
}

// calledTool returns the tool that a JSON-RPC request calls. The tools check their
// requirements again: what this function cannot read is refused there.
func calledTool(body []byte) string {
	var request struct {
		Method string `json:"method"`
		Params struct {
			Name string `json:"name"`
		} `json:"params"`
	}
	if json.Unmarshal(body, &request) != nil || request.Method != "tools/call" {
		return ""
	}
	return request.Params.Name
}

// ServeMetadata answers with the metadata of the endpoint, or, at the address
// without the endpoint's path, of the whole server (RFC 9728, section 3).
func (s *Server) ServeMetadata(w http.ResponseWriter, r *http.Request) {
	if s.options.AuthorizationServer == "" {
		s.lines.Error("MCP clients cannot sign in", "hint", "set AuthorizationServer in examples/mcp/config.cue, or Issuer in auth/config.cue, to the Frontend API URL of your Clerk instance")
		authz.WriteError(w, &errs.Error{Code: errs.Internal, Message: "internal error"})
		return
	}
	resource := s.base(r)
	if strings.HasSuffix(r.URL.Path, path) {
		resource += path
	}
	authz.WriteBody(w, oauthex.ProtectedResourceMetadata{
		Resource:               resource,
		AuthorizationServers:   []string{s.options.AuthorizationServer},
		ScopesSupported:        []string{baseScope, organizationScope, "offline_access"},
		BearerMethodsSupported: []string{"header"},
		ResourceName:           "MCP server of the example",
	})
}

// base is the public URL of the server, without a path.
func (s *Server) base(r *http.Request) string {
	if s.options.Resource != "" {
		return strings.TrimSuffix(s.options.Resource, path)
	}
	scheme := "http"
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}
