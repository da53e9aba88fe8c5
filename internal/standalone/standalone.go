// Package standalone serves the HTTP contract of the Encore app on net/http,
// where there is no Encore CLI. It plays the part of Encore's gateway. What an
// endpoint decides is in the packages that the Encore services call too.
package standalone

import (
	"context"
	"log/slog"
	"net/http"

	"encore.dev/beta/errs"
	"github.com/felixge/httpsnoop"
	"github.com/rs/cors"

	"encore.app/auth/authz"
	"encore.app/auth/clerkauth"
	"encore.app/examples/organization/members"
	"encore.app/examples/whoami/identity"
	"encore.app/user/profile"
	"encore.app/webhooks/clerkevent"
)

// Options configure [Handler].
type Options struct {
	Authenticator         *clerkauth.Authenticator
	WebhookSigningSecrets string       // as for clerkevent.NewReceiver
	Log                   *slog.Logger // a line a request; nil: no log
	Counters              *Counters    // at /debug/counters, for this machine; may be nil
	Extensions            []Extension  // what optional services add
	AuthorizationServer   string       // where MCP clients sign in: Clerk's Frontend API URL
}

// Extension adds the endpoints of an optional service to a server, and returns
// the service's handler of events.
type Extension func(*server) clerkevent.Handler

// Handler returns the server's handler, or an error about the signing secrets.
// As Encore does locally, it lets pages of every origin call.
func Handler(o Options) (http.Handler, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &server{Options: o}
	organization := &members.Client{Backend: o.Authenticator.Backend(), Log: o.Log}
	s.serve("GET /user/profile", authz.DefaultTokenTypes, nil, func(_ request, c caller) (any, error) { return profile.Of(c), nil })
	s.serve("GET /organization", authz.DefaultTokenTypes, nil, func(_ request, c caller) (any, error) { return members.Active(c) })
	s.serve("DELETE /organization/members/{userID}", authz.DefaultTokenTypes, members.ToRemove, func(r request, c caller) (any, error) {
		return nil, organization.Remove(r.Context(), c, r.PathValue("userID"))
	})
	whoami := func(_ request, c caller) (any, error) { return identity.Of(c, o.Log) }
	s.serve("GET /whoami", identity.ForUsersAndAPIKeys, nil, whoami)
	s.serve("GET /whoami/machine", identity.ForMachines, nil, whoami)
	s.serveLive()
	if err := s.serveMCP(); err != nil {
		return nil, err
	}
	handlers := []clerkevent.Handler{func(ctx context.Context, event *clerkevent.Event) error {
		return event.Tell(ctx, clerkevent.Direct{Authenticator: o.Authenticator})
	}}
	for _, extend := range o.Extensions {
		handlers = append(handlers, extend(s))
	}
	webhooks, err := clerkevent.NewReceiver(o.WebhookSigningSecrets, clerkevent.All(handlers...), authz.LimitLog(o.Log))
	s.mux.Handle("POST /webhooks/clerk", webhooks)
	s.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		authz.WriteError(w, &errs.Error{Code: errs.NotFound, Message: "endpoint not found"})
	})
	logged := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m := httpsnoop.CaptureMetrics(&s.mux, w, r)
		o.Log.Info("request", "method", r.Method, "route", r.Pattern, "status", m.Code, "took", m.Duration)
	})
	methods, anyOrigin := []string{"GET", "POST", "PUT", "PATCH", "DELETE"}, func(string) bool { return true }
	var all http.ServeMux
	all.Handle("/", cors.New(cors.Options{
		AllowOriginFunc: anyOrigin, AllowedMethods: methods, AllowedHeaders: []string{"*"}, AllowCredentials: true,
	}).Handler(logged))
	all.Handle("/debug/counters", o.Counters) // no page may read them
	return &all, err
}

type server struct {
	Options
	mux http.ServeMux
}

type request = *http.Request
type caller = *clerkauth.Caller

// serve adds an endpoint that Encore has as auth. It returns what is sent as
// JSON, nil for an empty body, or an *errs.Error.
func (s *server) serve(pattern string, accepted []clerkauth.TokenType, required []clerkauth.Requirement, endpoint func(request, caller) (any, error)) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		var body any
		caller, err := s.authenticate(r)
		if err == nil {
			err = authz.CheckTokenType(caller, accepted, s.Log)
		}
		if err == nil && required != nil {
			err = authz.Require(caller, s.Log, required...)
		}
		if err == nil {
			body, err = endpoint(r, caller)
		}
		if err != nil {
			authz.WriteError(w, err)
			return
		}
		authz.WriteBody(w, body)
	})
}

// authenticate does what Encore's gateway does. Without the header Encore answers
// itself: it does not call the auth handler, and logs nothing.
func (s *server) authenticate(r request) (caller, error) {
	authorization := r.Header.Get("Authorization")
	if authorization == "" {
		return nil, &errs.Error{Code: errs.Unauthenticated, Message: "missing auth param"}
	}
	caller := new(clerkauth.Caller)
	if err := authz.Authenticate(r.Context(), s.Authenticator, authorization, caller, s.Log); err != nil {
		return nil, err
	}
	return caller, nil
}
