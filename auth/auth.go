// Package auth decides who is calling: it holds the auth handler that Encore
// runs before every endpoint marked auth. Other services ask it with Caller.
package auth

import (
	"context"

	"encore.dev"
	"encore.dev/beta/auth"
	"encore.dev/beta/errs"
	"encore.dev/rlog"

	"encore.app/auth/clerkauth"
)

// secrets are set with `encore secret set`.
var secrets struct {
	// ClerkSecretKey is the Clerk instance's secret key, sk_test_… or sk_live_….
	ClerkSecretKey string
}

// Service authenticates requests with Clerk session tokens.
//
//encore:service
type Service struct {
	authenticator *clerkauth.Authenticator
}

// initService is run by Encore when the service starts. An error stops the app.
func initService() (*Service, error) {
	options, err := authenticatorOptions(encore.Meta().Environment)
	if err != nil {
		return nil, err
	}
	authenticator, err := clerkauth.New(options)
	if err != nil {
		return nil, err
	}
	return &Service{authenticator: authenticator}, nil
}

// Params is what Encore takes from a request for the auth handler.
type Params struct {
	Authorization string `header:"Authorization" encore:"sensitive"`
}

// Data is what the auth handler knows of a signed-in caller.
type Data struct {
	clerkauth.Caller
}

// AuthHandler accepts a Clerk session token as a bearer token.
//
//encore:authhandler
func (s *Service) AuthHandler(ctx context.Context, p *Params) (auth.UID, *Data, error) {
	// Encore redacts the token here, but would record it with the headers of
	// the endpoint's request. They are the same headers.
	encore.CurrentRequest().Headers.Del("Authorization")

	token, err := clerkauth.BearerToken(p.Authorization)
	if err != nil {
		return "", nil, toEncore(err)
	}
	caller, err := s.authenticator.Authenticate(ctx, token)
	if err != nil {
		return "", nil, toEncore(err)
	}
	return auth.UID(caller.UserID), &Data{Caller: caller}, nil
}

// Caller gives the signed-in caller of the current request, or an error with
// the code Unauthenticated. In an endpoint marked auth that happens only when
// another service calls it on nobody's behalf.
func Caller() (*Data, error) {
	data, ok := auth.Data().(*Data)
	if !ok {
		return nil, &errs.Error{Code: errs.Unauthenticated, Message: clerkauth.Unauthenticated.Message()}
	}
	return data, nil
}

// toEncore gives the answer for a request that was refused, and logs why. The
// code decides more than the status: on a public endpoint, Encore goes on after
// Unauthenticated as for a signed-out caller, and after no other code.
func toEncore(err error) error {
	e := clerkauth.AsError(err)
	code := errs.Internal
	switch e.Kind {
	case clerkauth.Unauthenticated:
		code = errs.Unauthenticated
		rlog.Info("not signed in", "reason", e.Reason)
	case clerkauth.Unavailable:
		code = errs.Unavailable
		rlog.Warn("Clerk is unavailable", "reason", e.Reason, "cause", e.Error())
	case clerkauth.Canceled:
		code = errs.Canceled
	default:
		rlog.Error("Clerk refuses this backend: set the secret ClerkSecretKey to the secret key of your Clerk instance",
			"reason", e.Reason, "cause", e.Error())
	}
	return &errs.Error{Code: code, Message: e.Kind.Message()}
}
