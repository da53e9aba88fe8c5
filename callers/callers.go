// Package callers keeps callers away from endpoints that are not for them.
//
// An endpoint takes people with a session token, unless tags of its annotation
// name the kinds of token that it takes: tag:session_token, tag:api_key,
// tag:m2m_token, tag:oauth_token. Whoever has another kind is answered with 403.
//
// This guards what is reachable from outside. A private endpoint is called on
// behalf of whatever caller was admitted there.
package callers

import (
	encoreauth "encore.dev/beta/auth"
	"encore.dev/middleware"

	"encore.app/auth"
	"encore.app/auth/access"
)

// Admit refuses every caller whose kind of token the endpoint does not take.
//
// It is one middleware for all endpoints: Encore refuses a target that matches no
// endpoint, and an app need not have any with these tags.
//
//encore:middleware global target=all
func Admit(req middleware.Request, next middleware.Next) middleware.Response {
	data, ok := encoreauth.Data().(*auth.Data)
	if !ok {
		return next(req) // nobody is signed in: for Encore to decide
	}
	if err := access.AdmitTo(req.Data().API, &data.Caller, auth.Log{}); err != nil {
		return middleware.Response{Err: err}
	}
	return next(req)
}
