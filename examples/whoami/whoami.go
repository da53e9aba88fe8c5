// Package whoami tells callers who they are: people, API keys and machines. It
// shows how an endpoint says which kinds of callers it takes.
package whoami

import (
	"context"

	"encore.app/auth"
	"encore.app/examples/whoami/identity"
)

// Get is for people, and for API keys with the scope whoami:read.
//
//encore:api auth method=GET path=/whoami tag:session_token tag:api_key
func Get(ctx context.Context) (*identity.Identity, error) {
	caller, err := auth.Caller()
	if err != nil {
		return nil, err
	}
	return identity.Of(caller, auth.Log{})
}

// GetMachine is for machines: other services with an M2M token, and OAuth
// clients.
//
//encore:api auth method=GET path=/whoami/machine tag:m2m_token tag:oauth_token
func GetMachine(ctx context.Context) (*identity.Identity, error) {
	caller, err := auth.Caller()
	if err != nil {
		return nil, err
	}
	return identity.Of(caller, auth.Log{})
}
