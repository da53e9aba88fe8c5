// Package user answers questions about the signed-in user.
package user

import (
	"context"

	"encore.app/auth"
)

// Profile is what a signed-in user sees of themselves.
type Profile struct {
	UserID string `json:"userId"`
	// Email is the primary email address, "" for a user without one.
	Email string `json:"email" encore:"sensitive"`
}

// GetProfile tells callers who they are.
//
//encore:api auth method=GET path=/user/profile
func GetProfile(ctx context.Context) (*Profile, error) {
	caller, err := auth.Caller()
	if err != nil {
		return nil, err
	}
	return &Profile{UserID: caller.UserID, Email: caller.Email}, nil
}
