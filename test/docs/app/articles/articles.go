//go:build docs

// Package articles has the endpoint whose tests docs/testing.md shows.
package articles

import (
	"context"

	"encore.app/auth"
	"encore.app/auth/clerkauth"
)

//encore:api auth method=POST path=/articles/:id/publish
func Publish(ctx context.Context, id string) error {
	if _, err := auth.Require(clerkauth.Claim("metadata.role", "admin")); err != nil {
		return err
	}
	return publish(ctx, id)
}

func publish(context.Context, string) error { return nil }
