// Package tokentypes keeps callers away from endpoints that are not for them.
//
// An endpoint takes session tokens, unless tags of its annotation name the token
// types that it takes: tag:session_token, tag:api_key, tag:m2m_token,
// tag:oauth_token. Callers with another type get 403.
//
// [authz.CheckEndpoint] decides, for [auth.Caller] and for this middleware, which
// covers endpoints that do not ask for their caller. A public raw endpoint calls
// [auth.Raw]: Encore never writes the error of a middleware there.
package tokentypes

import (
	encoreauth "encore.dev/beta/auth"
	"encore.dev/middleware"

	"encore.app/auth"
	"encore.app/auth/authz"
)

// Check refuses callers whose token type the endpoint does not take.
//
//encore:middleware global target=all
func Check(req middleware.Request, next middleware.Next) middleware.Response {
	if _, ok := encoreauth.UserID(); !ok {
		return next(req)
	}
	api := req.Data().API // Encore makes it anew where it is asked for
	if api != nil && api.Raw && !api.AuthRequired {
		return next(req)
	}
	data, ok := encoreauth.Data().(*auth.Data)
	if !ok {
		return middleware.Response{Err: authz.Unauthenticated()}
	}
	if err := authz.CheckEndpoint(api, &data.Caller, auth.Log{}); err != nil {
		return middleware.Response{Err: err}
	}
	return next(req)
}
