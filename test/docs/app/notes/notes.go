//go:build docs

// Package notes has the endpoints that the README and the documents show.
package notes

import (
	"context"

	"encore.app/auth"
	"encore.app/auth/clerkauth"
)

// Note belongs to the user who wrote it.
type Note struct {
	Text string `json:"text"`
}

//encore:api auth method=POST path=/notes
func Create(ctx context.Context, note *Note) error {
	caller, err := auth.Caller()
	if err != nil {
		return err
	}
	return store(ctx, caller.UserID, note) // or caller.Email, caller.Organization …
}

func store(context.Context, string, *Note) error { return nil }

// Clear is for admins who have verified a moment ago that it is them.
//
//encore:api auth method=DELETE path=/notes
func Clear(ctx context.Context) error {
	caller, err := auth.Require(clerkauth.Role("org:admin"), clerkauth.Reverify(clerkauth.Strict))
	if err != nil {
		return err
	}
	_ = caller
	return nil
}

// Report is for API keys with a scope.
//
//encore:api auth method=GET path=/notes/report tag:api_key
func Report(ctx context.Context) error {
	caller, err := auth.Require(clerkauth.Scope("reports:read"))
	if err != nil {
		return err
	}
	_ = caller
	return nil
}
