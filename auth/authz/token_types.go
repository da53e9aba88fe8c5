package authz

import (
	"slices"

	"encore.dev"

	"encore.app/auth/clerkauth"
)

// DefaultTokenTypes are the callers that an endpoint takes which declares nothing else.
var DefaultTokenTypes = []clerkauth.TokenType{clerkauth.SessionToken}

// AllTokenTypes lists every token type, for an authenticator whose endpoints say
// which of them they take.
var AllTokenTypes = []clerkauth.TokenType{
	clerkauth.SessionToken, clerkauth.APIKey, clerkauth.M2MToken, clerkauth.OAuthToken,
}

// Accepted returns the kinds of token that an endpoint takes, by the tags of
// its annotation: tag:session_token, tag:api_key, tag:m2m_token and
// tag:oauth_token. Without any of them it takes [DefaultTokenTypes].
func Accepted(tags []string) []clerkauth.TokenType {
	var accepted []clerkauth.TokenType
	for _, tag := range tags {
		if t := clerkauth.TokenType(tag); slices.Contains(AllTokenTypes, t) {
			accepted = append(accepted, t)
		}
	}
	if accepted == nil {
		return DefaultTokenTypes
	}
	return accepted
}

// Admit checks that the caller presented one of the accepted kinds of token. It
// returns nil or an [*errs.Error] with the code PermissionDenied.
func Admit(caller *clerkauth.Caller, accepted []clerkauth.TokenType, log Logger) error {
	return Require(caller, log, clerkauth.Accepts(accepted...))
}

// AdmitTo is [Admit] for an endpoint of Encore's, nil where none is being called.
// A private endpoint takes everyone: it is called on behalf of a caller who was
// admitted elsewhere.
func AdmitTo(api *encore.APIDesc, caller *clerkauth.Caller, log Logger) error {
	if api == nil || !api.Exposed {
		return nil
	}
	return Admit(caller, Accepted(api.Tags), log)
}
