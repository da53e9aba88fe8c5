package authz

import (
	"slices"

	"encore.dev"

	"encore.app/auth/clerkauth"
)

// DefaultTokenTypes lists what an endpoint takes whose annotation names no token
// type.
var DefaultTokenTypes = []clerkauth.TokenType{clerkauth.SessionToken}

// AllTokenTypes lists every token type, for an authenticator whose endpoints say
// which of them they take.
var AllTokenTypes = []clerkauth.TokenType{
	clerkauth.SessionToken, clerkauth.APIKey, clerkauth.M2MToken, clerkauth.OAuthToken,
}

// TokenTypes returns the token types that an endpoint takes, by the tags of its
// annotation: tag:session_token, tag:api_key, tag:m2m_token and tag:oauth_token.
// Without any of them it takes [DefaultTokenTypes].
func TokenTypes(tags []string) []clerkauth.TokenType {
	var types []clerkauth.TokenType
	for _, tag := range tags {
		if t := clerkauth.TokenType(tag); slices.Contains(AllTokenTypes, t) {
			types = append(types, t)
		}
	}
	if types == nil {
		return DefaultTokenTypes
	}
	return types
}

// CheckTokenType checks that the caller presented one of the token types. It
// returns nil or an [*errs.Error] with the code PermissionDenied.
func CheckTokenType(caller *clerkauth.Caller, types []clerkauth.TokenType, log Logger) error {
	if slices.Contains(types, caller.TokenType) { // every request comes here
		return nil
	}
	return Require(caller, log, clerkauth.Accepts(types...))
}

// CheckEndpoint is [CheckTokenType] for an endpoint of Encore's; api is nil
// while no endpoint is being called. A private endpoint takes every token type:
// it is called on behalf of a caller who was checked elsewhere.
func CheckEndpoint(api *encore.APIDesc, caller *clerkauth.Caller, log Logger) error {
	if api == nil || !api.Exposed {
		return nil
	}
	return CheckTokenType(caller, TokenTypes(api.Tags), log)
}
