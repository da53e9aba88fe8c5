// Package tokentypes keeps callers away from endpoints that are not for them.
//
// An endpoint takes session tokens, unless tags of its annotation name the token
// types that it takes: tag:session_token, tag:api_key, tag:m2m_token,
// tag:oauth_token. Callers with another type get 403.
//
// [auth.Caller] decides. The middleware applies its decision to endpoints that do
// not call it. A public raw endpoint calls [auth.Raw]: Encore never writes the
// error of a middleware there.
package tokentypes

import (
	encoreauth "encore.dev/beta/auth"
	"encore.dev/middleware"

	"encore.app/auth"
)

// Check refuses callers whose token type the endpoint does not take.
//
//encore:middleware global target=all
func Check(req middleware.Request, next middleware.Next) middleware.Response {
	if _, ok := encoreauth.UserID(); !ok {
		return next(req)
	}
	api := req.Data().API // built by each call of Data
	if api != nil && api.Raw && !api.AuthRequired {
		return next(req)
	}
	if _, err := auth.CallerOf(api); err != nil {
		return middleware.Response{Err: err}
	}
	return next(req)
}
