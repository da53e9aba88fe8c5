// Package mcp is a server for the Model Context Protocol: AI agents call its tools
// for users who signed in to them with Clerk (OAuth). The tools and their rules are
// in the package tools.
package mcp

import (
	"net/http"

	"encore.dev/config"

	"encore.app/auth"
	"encore.app/auth/clerkauth/setting"
	"encore.app/auth/preflight"
	"encore.app/examples/mcp/tools"
)

// Config is what config.cue sets.
type Config struct {
	Resource            config.String
	RequireAudience     config.Bool
	AuthorizationServer config.String
}

var cfg = config.Load[*Config]()

// Service serves the tools.
//
//encore:service
type Service struct {
	server *tools.Server
}

// initService is run by Encore when the service starts. An error stops the app.
func initService() (*Service, error) {
	authenticator, err := auth.Authenticator()
	if err != nil {
		return nil, err
	}
	options := tools.Options{
		Backend: authenticator.Backend(), Log: auth.Log{}, Resource: cfg.Resource(), RequireAudience: cfg.RequireAudience(),
		AuthorizationServer: cfg.AuthorizationServer(),
	}
	if options.AuthorizationServer == "" {
		options.AuthorizationServer = authenticator.Issuer()
	}
	if preflight.Local {
		if proxy, ok := setting.Env("CLERK_PROXY_URL"); ok {
			options.AuthorizationServer = proxy
		}
	}
	server, err := tools.New(options)
	if err != nil {
		return nil, preflight.ExitIfDeployed(err, auth.Log{})
	}
	return &Service{server: server}, nil
}

// Call is the endpoint of MCP (streamable HTTP).
//
//encore:api public raw sensitive method=GET,POST,DELETE path=/mcp
func (s *Service) Call(w http.ResponseWriter, req *http.Request) {
	endpoint := s.server.Endpoint(req)
	if caller := auth.Raw(w, req, endpoint); caller != nil {
		s.server.Serve(w, req, endpoint, caller)
	}
}

// Metadata tells clients where to sign in (RFC 9728).
//
//encore:api public raw method=GET path=/.well-known/oauth-protected-resource
func (s *Service) Metadata(w http.ResponseWriter, req *http.Request) {
	s.server.ServeMetadata(w, req)
}

// EndpointMetadata is the same at the address that belongs to the path of [Service.Call].
//
//encore:api public raw method=GET path=/.well-known/oauth-protected-resource/mcp
func (s *Service) EndpointMetadata(w http.ResponseWriter, req *http.Request) {
	s.server.ServeMetadata(w, req)
}
