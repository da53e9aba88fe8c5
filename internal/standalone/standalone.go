// Package standalone serves the HTTP contract of the Encore app on net/http,
// for machines without the Encore CLI. It plays the part of Encore's gateway:
// routing, CORS and the shape of answers. What an endpoint decides is in the
// packages that the Encore services call too.
package standalone

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"

	"encore.dev/beta/errs"
	"github.com/felixge/httpsnoop"
	"github.com/rs/cors"

	"encore.app/account/directory" // account:
	"encore.app/auth/access"
	"encore.app/auth/clerkauth"
	"encore.app/organization/members"
	"encore.app/user/profile"
	"encore.app/webhooks/clerkevent"
	"encore.app/whoami/identity"
)

// Options configure [Handler].
type Options struct {
	Authenticator *clerkauth.Authenticator
	// WebhookSigningSecrets are those of [clerkevent.NewReceiver].
	WebhookSigningSecrets string
	// Log gets a line a request, and never a token, key or email address. Nil
	// turns it off.
	Log *slog.Logger
	// Counters are shown to this machine at /debug/counters. They may be nil.
	Counters *clerkauth.Counters
	Account  *directory.Store // account: nil without a database
}

// Handler returns the server's handler, or an error about the signing secrets.
// As Encore does locally, it lets pages of every origin call.
func Handler(o Options) (http.Handler, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &server{Options: o}
	organization := &members.Client{Backend: o.Authenticator.Backend(), Log: o.Log}
	s.serve("GET /user/profile", access.People, nil, func(_ *http.Request, c *clerkauth.Caller) (any, error) {
		return profile.Of(c), nil
	})
	s.serve("GET /organization", access.People, nil, func(_ *http.Request, c *clerkauth.Caller) (any, error) {
		return members.Active(c)
	})
	s.serve("DELETE /organization/members/{userID}", access.People, members.ToRemove, func(r *http.Request, c *clerkauth.Caller) (any, error) {
		return nil, organization.Remove(r.Context(), c, r.PathValue("userID"))
	})
	whoami := func(_ *http.Request, c *clerkauth.Caller) (any, error) { return identity.Of(c, o.Log) }
	s.serve("GET /whoami", identity.ForEveryone, nil, whoami)
	s.serve("GET /whoami/machine", identity.ForMachines, nil, whoami)
	s.serveAccount(o.Account) // account:

	// The function does what handle of the service webhooks does.
	webhooks, err := clerkevent.NewReceiver(o.WebhookSigningSecrets, func(ctx context.Context, event *clerkevent.Event) error {
		return errors.Join(
			event.Tell(ctx, clerkevent.Direct{Authenticator: o.Authenticator}),
			o.Account.Apply(ctx, event), // account: the database
		)
	}, o.Log)
	s.mux.Handle("POST /webhooks/clerk", webhooks)
	s.mux.Handle("GET /debug/counters", o.Counters)
	s.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, &errs.Error{Code: errs.NotFound, Message: "endpoint not found"})
	})
	return cors.New(cors.Options{
		AllowOriginFunc:  func(string) bool { return true },
		AllowedMethods:   []string{"GET", "POST", "PUT", "PATCH", "DELETE"},
		AllowedHeaders:   []string{"*"},
		AllowCredentials: true,
	}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m := httpsnoop.CaptureMetrics(&s.mux, w, r)
		o.Log.Info("request", "method", r.Method, "route", r.Pattern, "status", m.Code, "took", m.Duration)
	})), err
}

type server struct {
	Options
	mux http.ServeMux
}

// serve adds an endpoint that Encore has as auth. What it returns is sent as
// JSON: nil for an empty body, or an *errs.Error.
func (s *server) serve(pattern string, accepted []clerkauth.TokenType, required []clerkauth.Requirement,
	endpoint func(*http.Request, *clerkauth.Caller) (any, error)) {
	s.mux.Handle(pattern, s.Authenticator.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, _ := clerkauth.FromContext(r.Context())
		var body any
		err := access.Admit(caller, accepted, s.Log)
		if err == nil && required != nil {
			err = access.Require(caller, s.Log, required...)
		}
		if err == nil {
			body, err = endpoint(r, caller)
		}
		if err != nil {
			writeError(w, err)
		} else if body != nil {
			write(w, http.StatusOK, body)
		}
	}), func(w http.ResponseWriter, r *http.Request, err *clerkauth.Error) {
		if r.Header.Get("Authorization") == "" { // Encore does not call the auth handler
			writeError(w, &errs.Error{Code: errs.Unauthenticated, Message: "missing auth param"})
			return
		}
		writeError(w, access.Error(err, s.Log))
	}))
}

// writeError writes an error in Encore's shape. One that is no *errs.Error is
// a mistake of ours.
func writeError(w http.ResponseWriter, err error) {
	e := &errs.Error{Code: errs.Internal, Message: "internal error"}
	errors.As(err, &e)
	write(w, e.Code.HTTPStatus(), e)
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false) // nor does Encore
	_ = encoder.Encode(body)     // the client may be gone
}
