package authz

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"encore.dev/beta/errs"

	"encore.app/auth/clerkauth"
)

// Raw says which callers a raw endpoint accepts, and what its challenges name.
type Raw struct {
	// Accepts are the kinds of token. The default is [DefaultTokenTypes].
	Accepts []clerkauth.TokenType
	// Requires is what every caller must have.
	Requires []clerkauth.Requirement
	// Audiences are the resources for one of which an OAuth access token must have
	// been issued. When empty, the audience is not compared: many clients name none.
	Audiences []string
	// ResourceMetadata is the URL of the endpoint's metadata (RFC 9728), which
	// tells a client where to sign in. Optional.
	ResourceMetadata string
}

// Admit checks a caller who is authenticated. A nil caller has none of the tokens
// that the endpoint takes; sentToken tells whether a token was sent. Admit
// answers a request that it refuses, and returns false for it.
func (e *Raw) Admit(w http.ResponseWriter, caller *clerkauth.Caller, sentToken bool, log Logger) bool {
	if caller == nil {
		e.refuse(w, Unauthenticated(), sentToken)
		return false
	}
	accepts := e.Accepts
	if accepts == nil {
		accepts = DefaultTokenTypes
	}
	if err := CheckTokenType(caller, accepts, log); err != nil {
		WriteError(w, err)
		return false
	}
	if len(e.Audiences) > 0 && caller.TokenType == clerkauth.OAuthToken && !slices.ContainsFunc(e.Audiences, caller.IsFor) {
		processLines.write(log.Info, "not signed in", "reason", "invalid_audience")
		e.refuse(w, Unauthenticated(), true)
		return false
	}
	return len(e.Requires) == 0 || e.Require(w, caller, log, e.Requires...)
}

// Authenticate returns the caller of a request, for servers other than Encore.
// It answers a request that it refuses, and returns nil for it.
func (e *Raw) Authenticate(w http.ResponseWriter, r *http.Request, a *clerkauth.Authenticator, log Logger) *clerkauth.Caller {
	authorization := r.Header.Get("Authorization")
	if token, rest := clerkauth.SubprotocolToken(r.Header.Get("Sec-WebSocket-Protocol")); authorization == "" && token != "" {
		authorization = "Bearer " + token
		r.Header.Set("Sec-WebSocket-Protocol", rest)
	}
	if authorization == "" {
		e.refuse(w, Unauthenticated(), false)
		return nil
	}
	caller := new(clerkauth.Caller)
	err := Authenticate(r.Context(), a, authorization, caller, log)
	switch {
	case isUnauthenticated(err):
		_, malformed := clerkauth.BearerToken(authorization)
		e.refuse(w, err, malformed == nil)
		return nil
	case err != nil:
		WriteError(w, err)
		return nil
	case !e.Admit(w, caller, true, log):
		return nil
	}
	return caller
}

// Require checks what one part of an endpoint requires. It answers a request
// that it refuses, and returns false for it. The challenge of a missing scope
// names it, so that a client can ask the user for more.
func (e *Raw) Require(w http.ResponseWriter, caller *clerkauth.Caller, log Logger, requirements ...clerkauth.Requirement) bool {
	err := Require(caller, log, requirements...)
	if err == nil {
		return true
	}
	var scopes []string
	missing := false
	for _, r := range slices.Concat(e.Requires, requirements) {
		name, ok := r.ScopeName()
		missing = missing || ok && !caller.Has(r)
		if ok && !slices.Contains(scopes, name) {
			scopes = append(scopes, name)
		}
	}
	if missing {
		e.challenge(w, "insufficient_scope", scopes)
	}
	WriteError(w, err)
	return false
}

// refuse answers 401. The answer to a request without a token has no error code
// (RFC 6750, section 3.1).
func (e *Raw) refuse(w http.ResponseWriter, err error, sentToken bool) {
	code := ""
	if sentToken {
		code = "invalid_token"
	}
	// Without scopes: clients would register for these alone, and could not ask for
	// those of a tool later.
	e.challenge(w, code, nil)
	WriteError(w, err)
}

// challenge sets the header that RFC 9110, section 11.6.1, requires with a 401.
func (e *Raw) challenge(w http.ResponseWriter, code string, scopes []string) {
	var params []string
	for _, p := range []struct{ name, value string }{
		{"error", code}, {"scope", strings.Join(scopes, " ")}, {"resource_metadata", e.ResourceMetadata},
	} {
		if p.value != "" {
			params = append(params, p.name+`="`+quoted.Replace(p.value)+`"`)
		}
	}
	w.Header().Set("WWW-Authenticate", strings.TrimSpace("Bearer "+strings.Join(params, ", ")))
}

// quoted escapes a quoted-string (RFC 9110, section 5.6.4).
var quoted = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

func isUnauthenticated(err error) bool {
	var e *errs.Error
	return errors.As(err, &e) && e.Code == errs.Unauthenticated
}
