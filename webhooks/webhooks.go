// Package webhooks receives Clerk's webhooks and publishes what they say on the
// topic Events, for every service that wants to know of users, sessions and
// organizations that changed.
package webhooks

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"encore.dev"
	"encore.dev/pubsub"
	"encore.dev/rlog"

	"encore.app/webhooks/clerkevent"
)

// secrets are set with `encore secret set`.
var secrets struct {
	// ClerkWebhookSigningSecret is the signing secret of the endpoint in Clerk's
	// dashboard, whsec_…; while it is exchanged, the old one and the new one with
	// a comma between them. It may be unset: then no webhook is taken.
	ClerkWebhookSigningSecret string
}

// Events carries Clerk's events. A subscriber may see one twice, and those of
// one user or organization in the order in which they were published: see
// [clerkevent.Event] for how to be idempotent.
var Events = pubsub.NewTopic[*clerkevent.Event]("clerk-events", pubsub.TopicConfig{
	DeliveryGuarantee: pubsub.AtLeastOnce,
	OrderingAttribute: "subject",
})

// Service takes webhooks.
//
//encore:service
type Service struct {
	receiver *clerkevent.Receiver
}

// initService is run by Encore when the service starts. An error stops the app.
func initService() (*Service, error) {
	signingSecrets := secrets.ClerkWebhookSigningSecret
	if encore.Meta().Environment.Cloud == encore.CloudLocal {
		if value, ok := os.LookupEnv("CLERK_WEBHOOK_SIGNING_SECRET"); ok {
			signingSecrets = value
		}
	}
	receiver, err := clerkevent.NewReceiver(signingSecrets, publish, report)
	if err != nil {
		return nil, fmt.Errorf("the secret ClerkWebhookSigningSecret: %w", err)
	}
	return &Service{receiver: receiver}, nil
}

// Clerk is the endpoint to name in Clerk's dashboard, under Webhooks. It answers
// 204 once the event is published; on anything else Clerk sends it again. It is
// sensitive, so that Encore's traces do not keep what is in the events.
//
//encore:api public raw sensitive method=POST path=/webhooks/clerk
func (s *Service) Clerk(w http.ResponseWriter, req *http.Request) {
	s.receiver.ServeHTTP(w, req)
}

func publish(ctx context.Context, event *clerkevent.Event) error {
	_, err := Events.Publish(ctx, event)
	return err
}

// report logs why a webhook was not taken.
func report(reason clerkevent.Reason, err error) {
	switch reason {
	case clerkevent.ReasonNotConfigured:
		rlog.Error("webhook refused: set the secret ClerkWebhookSigningSecret to the signing secret of this endpoint in Clerk's dashboard", "reason", reason)
	case clerkevent.ReasonNotPublished, clerkevent.ReasonMalformed:
		rlog.Error("webhook refused", "reason", reason, "cause", err)
	default:
		rlog.Warn("webhook refused", "reason", reason)
	}
}
