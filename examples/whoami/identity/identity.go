// Package identity has the rules of the whoami endpoints in plain Go.
package identity

import (
	"encore.app/auth/authz"
	"encore.app/auth/clerkauth"
)

// The kinds of token that the endpoints take.
var (
	ForUsersAndAPIKeys = []clerkauth.TokenType{clerkauth.SessionToken, clerkauth.APIKey}
	ForMachines        = []clerkauth.TokenType{clerkauth.M2MToken, clerkauth.OAuthToken}
)

// ReadScope is what an API key needs.
const ReadScope = "whoami:read"

// Identity is the caller as the backend sees it.
type Identity struct {
	// TokenType is session_token, api_key, m2m_token or oauth_token.
	TokenType string `json:"tokenType"`
	// Subject is a user (user_…), an organization (org_…) or a machine (mch_…).
	Subject string `json:"subject"`
	// Scopes are what a machine may do. A person has none.
	Scopes []string `json:"scopes"`
}

// Of returns the caller's identity. An API key has to have [ReadScope].
func Of(caller *clerkauth.Caller, log authz.Logger) (*Identity, error) {
	if caller.TokenType == clerkauth.APIKey {
		if err := authz.Require(caller, log, clerkauth.Scope(ReadScope)); err != nil {
			return nil, err
		}
	}
	return &Identity{
		TokenType: string(caller.TokenType),
		Subject:   caller.Subject,
		Scopes:    append([]string{}, caller.Scopes...), // never null
	}, nil
}
