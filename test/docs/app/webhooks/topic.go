//go:build docs

package webhooks

import (
	"context"

	"encore.dev/pubsub"

	"encore.app/webhooks/clerkevent"
)

// Events has each of Clerk's events, in the order in which they arrive.
var Events = pubsub.NewTopic[*clerkevent.Event]("clerk-events", pubsub.TopicConfig{
	DeliveryGuarantee: pubsub.AtLeastOnce,
	OrderingAttribute: "subject", // one user's or organization's events in turn
})

// publish is one more of the handlers.
func publish(ctx context.Context, event *clerkevent.Event) error {
	_, err := Events.Publish(ctx, event)
	return err
}

var _ = publish
