package clerkauth

import (
	"context"
	"net/http"
	"strings"
)

// Middleware returns a handler that authenticates each request by its
// Authorization header, and calls next with the caller in the request's context
// ([FromContext]).
//
// A request without a caller goes to refuse, which answers it. If refuse is nil
// the answer is a status and an empty body: see [Error.HTTPStatus]. To also
// serve requests that nobody is signed in for, have refuse call the handler
// itself when the Kind is Unauthenticated:
//
//	func(w http.ResponseWriter, r *http.Request, err *clerkauth.Error) {
//		if err.Kind == clerkauth.Unauthenticated {
//			page.ServeHTTP(w, r)
//			return
//		}
//		w.WriteHeader(err.HTTPStatus())
//	}
func (a *Authenticator) Middleware(next http.Handler, refuse func(http.ResponseWriter, *http.Request, *Error)) http.Handler {
	if refuse == nil {
		refuse = refuseEmpty
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, err := BearerToken(r.Header.Get("Authorization"))
		if err != nil {
			refuse(w, r, AsError(err))
			return
		}
		caller, err := a.Authenticate(r.Context(), token)
		if err != nil {
			refuse(w, r, AsError(err))
			return
		}
		next.ServeHTTP(w, r.WithContext(NewContext(r.Context(), &caller)))
	})
}

func refuseEmpty(w http.ResponseWriter, _ *http.Request, err *Error) {
	status := err.HTTPStatus()
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer") // RFC 9110, section 11.6.1
	}
	w.WriteHeader(status)
}

// statusClientClosedRequest is nginx's word to its log for a client that is
// gone; it never reaches one.
const statusClientClosedRequest = 499

// HTTPStatus returns the status that answers a request that failed with e: 401
// for Unauthenticated, 503 for Unavailable, 500 for Misconfigured, and 499,
// which nobody reads any more, for Canceled.
func (e *Error) HTTPStatus() int {
	switch e.Kind {
	case Unauthenticated:
		return http.StatusUnauthorized
	case Unavailable:
		return http.StatusServiceUnavailable
	case Canceled:
		return statusClientClosedRequest
	}
	return http.StatusInternalServerError
}

type contextKey struct{}

// NewContext returns a context that carries the caller. [Authenticator.Middleware]
// does this for each request; a test of a handler can do it without a token.
func NewContext(ctx context.Context, caller *Caller) context.Context {
	return context.WithValue(ctx, contextKey{}, caller)
}

// FromContext returns the caller of the request that ctx belongs to, and false
// if nobody was authenticated.
func FromContext(ctx context.Context) (*Caller, bool) {
	caller, ok := ctx.Value(contextKey{}).(*Caller)
	return caller, ok && caller != nil
}

// BearerToken gives the token of an Authorization header's value. The scheme is
// matched without regard to case (RFC 9110, section 11.1); a value of another
// scheme, or without a token, is an [*Error] with ReasonMissingToken.
func BearerToken(authorization string) (string, error) {
	scheme, token, _ := strings.Cut(authorization, " ")
	token = strings.TrimLeft(token, " ")
	if strings.EqualFold(scheme, "Bearer") && token != "" {
		return token, nil
	}
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		return "", refuse(ReasonMissingToken, "sent", "Bearer without a token")
	case strings.HasPrefix(authorization, "ey"):
		return "", refuse(ReasonMissingToken, "sent", "a token without Bearer")
	case strings.HasPrefix(token, "ey"):
		return "", refuse(ReasonMissingToken, "sent", "a token with another scheme than Bearer")
	}
	return "", refuse(ReasonMissingToken)
}
