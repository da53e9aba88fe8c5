// Package webhooks receives Clerk's webhooks and hands what they say to the
// services that want to know of users, sessions and organizations that changed.
package webhooks

import (
	"context"
	"fmt"
	"net/http"

	"encore.app/auth"
	"encore.app/auth/authz"
	"encore.app/auth/clerkauth/setting"
	"encore.app/auth/preflight"
	"encore.app/webhooks/clerkevent"
)

// secrets are set with `encore secret set`.
var secrets struct {
	// ClerkWebhookSigningSecret is the signing secret of the endpoint in Clerk's
	// dashboard, whsec_…; while it is rotated, the old one and the new one with
	// a comma between them. Unset or none: no webhook is taken. Encore Cloud wants
	// every secret set, so that none says it is left out deliberately.
	ClerkWebhookSigningSecret string
}

// Service takes webhooks.
//
//encore:service
type Service struct {
	receiver *clerkevent.Receiver
}

// initService is run by Encore when the service starts. An error stops the app.
func initService() (*Service, error) {
	signingSecrets := secrets.ClerkWebhookSigningSecret
	if preflight.Local {
		if value, ok := setting.Env("CLERK_WEBHOOK_SIGNING_SECRET"); ok {
			signingSecrets = value
		}
	}
	receiver, err := clerkevent.NewReceiver(signingSecrets, clerkevent.All(handlers...), authz.LimitLog(auth.Log{}))
	if err != nil {
		return nil, preflight.ExitIfDeployed(fmt.Errorf("the secret ClerkWebhookSigningSecret (CLERK_WEBHOOK_SIGNING_SECRET): %w", err), auth.Log{})
	}
	return &Service{receiver: receiver}, nil
}

// Clerk is the endpoint to name in Clerk's dashboard, under Webhooks. It answers
// 204 once every service has taken the event; on anything else Clerk sends it
// again.
//
//encore:api public raw sensitive method=POST path=/webhooks/clerk
func (s *Service) Clerk(w http.ResponseWriter, req *http.Request) {
	// Encore 1.58 records the body of a raw endpoint in its traces, sensitive or
	// not, unless the recording ends before the body is read.
	if body, ok := req.Body.(interface{ FinishCapturing() ([]byte, bool) }); ok {
		body.FinishCapturing()
	}
	s.receiver.ServeHTTP(w, req)
}

// handlers take every event, in this order. A file of this folder adds the
// handler of a service, as account.go does.
//
// An event may come twice, late and out of order, and a later handler may fail
// after an earlier one succeeded: each handler has to be idempotent. An error
// makes Clerk send the event again, for about a day.
var handlers = []clerkevent.Handler{
	func(ctx context.Context, event *clerkevent.Event) error { return event.Tell(ctx, auth.Events{}) },
}
