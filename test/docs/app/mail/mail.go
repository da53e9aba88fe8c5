//go:build docs

// Package mail greets new users.
package mail

import (
	"context"

	"encore.app/webhooks/clerkevent"
)

// ClerkEvent takes an event of Clerk's. It is sensitive, so that traces do not
// keep what the event says of a user.
//
//encore:api private sensitive
func ClerkEvent(ctx context.Context, event *clerkevent.Event) error {
	if event.Type != clerkevent.UserCreated {
		return nil
	}
	return greet(ctx, event.ID, event.User)
}

func greet(context.Context, string, *clerkevent.User) error { return nil }
