package auth

import (
	"net/http"

	"encore.dev/beta/auth"

	"encore.app/auth/authz"
	"encore.app/auth/clerkauth"
)

// Raw returns the caller of a `public raw` endpoint, which writes its own answers:
//
//	caller := auth.Raw(w, req, authz.Raw{Requires: []clerkauth.Requirement{clerkauth.Role("org:admin")}})
//	if caller == nil {
//		return // it is answered: 401 or 403, with WWW-Authenticate
//	}
//
// While Clerk is unavailable, Encore answers 503 before the endpoint runs. The
// endpoint has to be public: at one marked auth, Encore answers itself, without
// a challenge.
func Raw(w http.ResponseWriter, req *http.Request, endpoint authz.Raw) *clerkauth.Caller {
	if data, ok := auth.Data().(*Data); ok {
		if endpoint.Admit(w, &data.Caller, true, Log{}) {
			return &data.Caller
		}
		return nil
	}
	endpoint.Admit(w, nil, req.Header.Get("Authorization") == refused, Log{})
	return nil
}

// Authenticator returns the one of this process, for endpoints that do more with a
// caller than answer one request.
func Authenticator() (*clerkauth.Authenticator, error) { return authenticator() }

// refused stands in the header of a request whose token the auth handler refused,
// for [Raw] to tell it from one without a token.
const refused = "Bearer"

// takeToken returns the value of an Authorization header. It removes the token from
// the request's headers, which Encore's trace of the endpoint records.
func (p *Params) takeToken(headers http.Header) string {
	delete(headers, "Authorization")
	if p.WebSocketProtocol == "" {
		return p.Authorization
	}
	token, rest := clerkauth.SubprotocolToken(p.WebSocketProtocol)
	if headers != nil { // nil where a test calls the auth handler
		headers.Set("Sec-WebSocket-Protocol", rest)
	}
	if p.Authorization != "" || token == "" {
		return p.Authorization
	}
	return "Bearer " + token
}

func markRefused(headers http.Header, authorization string) {
	if _, err := clerkauth.BearerToken(authorization); err == nil && headers != nil {
		headers.Set("Authorization", refused)
	}
}
