package auth

import (
	"context"

	"encore.dev/pubsub"

	"encore.app/webhooks"
	"encore.app/webhooks/clerkevent"
)

var _ = pubsub.NewSubscription(webhooks.Events, "auth-revoke", pubsub.SubscriptionConfig[*clerkevent.Event]{
	Handler: pubsub.MethodHandler((*Service).Revoke),
})

// Revoke turns away users who were deleted, banned or signed out, from their
// next request on, and drops what is remembered of users who changed. Of several
// instances, one gets the event; the others come to know within a minute (see
// [clerkauth.Authenticator.ForgetUser] for how to tell them all). An event that
// is delivered twice changes nothing the second time.
func (s *Service) Revoke(ctx context.Context, event *clerkevent.Event) error {
	event.TellRevoker(s.authenticator)
	return nil
}
