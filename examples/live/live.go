// Package live keeps connections open, by WebSocket and as a stream of server-sent
// events, for as long as Clerk lets the user in. The rules are in the package feed.
//
// It has to be hosted in the same process as the service auth, which learns of bans
// and sign-outs.
package live

import (
	"context"
	"net/http"

	"encore.app/auth"
	"encore.app/auth/authz"
	"encore.app/examples/live/feed"
)

// Service holds the connections of this instance.
//
//encore:service
type Service struct {
	feed *feed.Feed
}

// initService is run by Encore when the service starts. An error stops the app.
func initService() (*Service, error) {
	authenticator, err := auth.Authenticator()
	if err != nil {
		return nil, err
	}
	return &Service{feed: feed.New(authenticator, auth.Log{})}, nil
}

// Shutdown is run by Encore when the app stops. Encore waits for streams, which are
// requests, and does not know of WebSockets.
func (s *Service) Shutdown(force context.Context) { s.feed.Close(force) }

// Socket is the WebSocket. A page sends its session token as a subprotocol:
// see [feed.Feed.ServeWebSocket].
//
//encore:api public raw sensitive method=GET path=/live/socket
func (s *Service) Socket(w http.ResponseWriter, req *http.Request) {
	if caller := auth.Raw(w, req, authz.Raw{}); caller != nil {
		s.feed.ServeWebSocket(w, req, caller)
	}
}

// Events is the stream of server-sent events. A page reads it with fetch, which
// sends an Authorization header.
//
//encore:api public raw sensitive method=GET path=/live/events
func (s *Service) Events(w http.ResponseWriter, req *http.Request) {
	if caller := auth.Raw(w, req, authz.Raw{}); caller != nil {
		s.feed.ServeEvents(w, req, caller)
	}
}
