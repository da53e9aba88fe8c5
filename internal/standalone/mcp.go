package standalone

import (
	"net/http"

	"encore.app/auth/authz"
	"encore.app/auth/clerkauth"
	"encore.app/examples/mcp/tools"
)

// raw adds an endpoint that Encore has as public raw.
func (s *server) raw(pattern string, endpoint func(*http.Request) authz.Raw, serve func(http.ResponseWriter, *http.Request, authz.Raw, *clerkauth.Caller)) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		e := endpoint(r)
		if caller := e.Authenticate(w, r, s.Authenticator, s.Log); caller != nil {
			serve(w, r, e, caller)
		}
	})
}

// serveMCP serves the endpoints of the service mcp.
func (s *server) serveMCP() error {
	server, err := tools.New(tools.Options{
		Backend: s.Authenticator.Backend(), Log: s.Log, AuthorizationServer: s.AuthorizationServer,
	})
	if err != nil {
		return err
	}
	for _, method := range []string{"GET", "POST", "DELETE"} {
		s.raw(method+" /mcp", server.Endpoint, server.Serve)
	}
	s.mux.HandleFunc("GET /.well-known/oauth-protected-resource", server.ServeMetadata)
	s.mux.HandleFunc("GET /.well-known/oauth-protected-resource/mcp", server.ServeMetadata)
	return nil
}
