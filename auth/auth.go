// Package auth decides who is calling: it holds the auth handler that Encore
// runs before every endpoint marked auth. Other services call [Caller] or
// [Require] for the caller's identity and rights.
package auth

import (
	"context"
	"sync"

	"encore.dev"
	"encore.dev/beta/auth"
	"encore.dev/rlog"

	"encore.app/auth/authz"
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
	a, err := authenticator()
	if err != nil {
		return nil, err
	}
	return &Service{authenticator: a}, nil
}

// authenticator is the one of this process. Services that call Clerk share its
// connection, and with it one budget under Clerk's rate limit.
var authenticator = sync.OnceValues(func() (*clerkauth.Authenticator, error) {
	return settings(encore.Meta().Environment).Authenticator(observer{}, Log{})
})

// Backend returns the connection to Clerk's Backend API, on which every client
// of Clerk's Go SDK works. Its calls never take from those that sign users in.
func Backend() (*clerkauth.Backend, error) {
	a, err := authenticator()
	if err != nil {
		return nil, err
	}
	return a.Backend(), nil
}

// Params is what Encore takes from a request for the auth handler.
type Params struct {
	Authorization string `header:"Authorization" encore:"sensitive"`
	// WebSocketProtocol has the token of a page that opens a WebSocket: see
	// [clerkauth.SubprotocolToken].
	WebSocketProtocol string `header:"Sec-WebSocket-Protocol" encore:"sensitive,optional"`
}

// MarshalJSON keeps the token out of traces. Those of encore run ignore the word
// sensitive above.
func (*Params) MarshalJSON() ([]byte, error) { return []byte("{}"), nil }

// Data is what the auth handler returns for a signed-in caller. Encore's traces
// record auth data as JSON, which leaves out the caller's email address. Calls
// between services carry it all: there Encore goes by the tag auth-json.
type Data struct {
	clerkauth.Caller `json:"-"`
}

// AuthHandler accepts a Clerk session token as a bearer token.
//
//encore:authhandler
func (s *Service) AuthHandler(ctx context.Context, p *Params) (auth.UID, *Data, error) {
	authorization := p.takeToken(encore.CurrentRequest().Headers)
	data := new(Data)
	if err := authz.Authenticate(ctx, s.authenticator, authorization, &data.Caller, Log{}); err != nil {
		markRefused(encore.CurrentRequest().Headers, authorization)
		return "", nil, err
	}
	return auth.UID(data.Subject), data, nil
}

// Caller returns the signed-in caller of the current request: a person, unless
// tags of the endpoint name other token types (see the package tokentypes). The
// error has the code Unauthenticated if the request has no signed-in caller. In
// an endpoint marked auth, this happens only when another service calls it
// without a caller.
func Caller() (*clerkauth.Caller, error) { return CallerOf(encore.CurrentRequest().API) }

// CallerOf is [Caller] for the endpoint that is being called, for code that has its
// description: Encore builds the current request again for each call.
func CallerOf(api *encore.APIDesc) (*clerkauth.Caller, error) {
	data, ok := auth.Data().(*Data)
	if !ok {
		return nil, authz.Unauthenticated()
	}
	if err := authz.CheckEndpoint(api, &data.Caller, Log{}); err != nil {
		return nil, err
	}
	return &data.Caller, nil
}

// Require is [Caller] for an endpoint that not every caller may use. It is the
// line with which the endpoint says what a caller must have:
//
//	caller, err := auth.Require(clerkauth.Role("org:admin"))
//
// A caller who lacks something gets the code PermissionDenied (403). If only a
// recent verification is lacking, the error's details hold what Clerk's
// useReverification looks for.
func Require(requirements ...clerkauth.Requirement) (*clerkauth.Caller, error) {
	caller, err := Caller()
	if err != nil {
		return nil, err
	}
	if err := authz.Require(caller, Log{}, requirements...); err != nil {
		return nil, err
	}
	return caller, nil
}

// Log is Encore's log, for plain Go packages, of the request being served.
type Log struct{}

// Info, Warn and Error implement [authz.Logger].
func (Log) Info(message string, keysAndValues ...any)  { rlog.Info(message, keysAndValues...) }
func (Log) Warn(message string, keysAndValues ...any)  { rlog.Warn(message, keysAndValues...) }
func (Log) Error(message string, keysAndValues ...any) { rlog.Error(message, keysAndValues...) }
