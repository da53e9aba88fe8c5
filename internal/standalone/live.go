package standalone

import (
	"net/http"

	"encore.app/auth/authz"
	"encore.app/auth/clerkauth"
	"encore.app/examples/live/feed"
)

// serveLive serves the endpoints of the service live.
func (s *server) serveLive() {
	f := feed.New(s.Authenticator, s.Log)
	people := func(*http.Request) authz.Raw { return authz.Raw{} }
	s.raw("GET /live/socket", people, func(w http.ResponseWriter, r *http.Request, _ authz.Raw, c *clerkauth.Caller) {
		f.ServeWebSocket(w, r, c)
	})
	s.raw("GET /live/events", people, func(w http.ResponseWriter, r *http.Request, _ authz.Raw, c *clerkauth.Caller) {
		f.ServeEvents(w, r, c)
	})
}
