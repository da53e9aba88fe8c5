//go:build docs

// Package audit subscribes to Clerk's events.
package audit

import (
	"context"

	"encore.dev/pubsub"

	"encore.app/webhooks"
	"encore.app/webhooks/clerkevent"
)

var _ = pubsub.NewSubscription(webhooks.Events, "audit", pubsub.SubscriptionConfig[*clerkevent.Event]{
	Handler: func(ctx context.Context, event *clerkevent.Event) error { return ClerkEvent(ctx, event) },
})

// ClerkEvent keeps who did what.
//
//encore:api private sensitive
func ClerkEvent(ctx context.Context, event *clerkevent.Event) error { return nil }
