// Package tokentypes keeps callers away from endpoints that are not for them.
//
// An endpoint takes people with a session token, unless tags of its annotation
// name the kinds of token that it takes: tag:session_token, tag:api_key,
// tag:m2m_token, tag:oauth_token. Whoever has another kind is answered with 403.
//
// This guards what is reachable from outside. A private endpoint is called on
// behalf of whatever caller was admitted there. A public raw endpoint says with
// auth.Raw whom it takes: Encore never writes the error of a middleware there.
package tokentypes

import (
	encoreauth "encore.dev/beta/auth"
	"encore.dev/middleware"

	"encore.app/auth"
	"encore.app/auth/authz"
	"encore.app/auth/clerkauth"
)

// AdmitMachines refuses a machine at every endpoint that does not name its kind.
//
//encore:middleware global target=all
func AdmitMachines(req middleware.Request, next middleware.Next) middleware.Response {
	data, ok := encoreauth.Data().(*auth.Data)
	if ok && data.TokenType != clerkauth.SessionToken {
		return admit(data, req, next)
	}
	return next(req)
}

// AdmitPeople refuses people at an endpoint that names machines only. Elsewhere
// their requests do without Encore's look-up of the tags, which is not cheap.
//
//encore:middleware global target=tag:api_key,tag:m2m_token,tag:oauth_token
func AdmitPeople(req middleware.Request, next middleware.Next) middleware.Response {
	data, ok := encoreauth.Data().(*auth.Data)
	if ok && data.TokenType == clerkauth.SessionToken {
		return admit(data, req, next)
	}
	return next(req)
}

func admit(data *auth.Data, req middleware.Request, next middleware.Next) middleware.Response {
	if api := req.Data().API; api.Raw && !api.AuthRequired {
		return next(req)
	}
	if err := authz.AdmitTo(req.Data().API, &data.Caller, auth.Log{}); err != nil {
		return middleware.Response{Err: err}
	}
	return next(req)
}
