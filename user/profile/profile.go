// Package profile has what GET /user/profile answers.
package profile

import "encore.app/auth/clerkauth"

// Profile is what signed-in users see of themselves.
type Profile struct {
	UserID string `json:"userId"`
	// Email is the primary email address, "" for a user without one.
	Email string `json:"email" encore:"sensitive"`
}

// Of returns the caller's profile.
func Of(caller *clerkauth.Caller) *Profile {
	return &Profile{UserID: caller.UserID, Email: caller.Email}
}
