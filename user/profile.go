// Package user answers questions about the signed-in user.
package user

import (
	"context"

	"encore.app/auth"
	"encore.app/user/profile"
)

// GetProfile tells callers who they are.
//
//encore:api auth method=GET path=/user/profile
func GetProfile(ctx context.Context) (*profile.Profile, error) {
	caller, err := auth.Caller()
	if err != nil {
		return nil, err
	}
	return profile.Of(caller), nil
}
