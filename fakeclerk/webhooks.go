package fakeclerk

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"encore.app/fakeclerk/fakesvix"
)

// defaultWebhookSigningSecret is known to everybody, as befits a fake.
var defaultWebhookSigningSecret = "whsec_" + base64.StdEncoding.EncodeToString([]byte("fakeclerk webhook secret"))

// SendWebhook sends an event of any type to [Options].WebhookURL, as Clerk does
// on its own for what changes, and returns its id (svix-id). It does not wait
// for the delivery, which [Server.Webhooks] shows. Without a URL nothing is
// sent.
func (s *Server) SendWebhook(eventType string, data any) (string, error) {
	body, err := s.encode(object{
		"object":           "event",
		"type":             eventType,
		"timestamp":        s.now().UnixMilli(),
		"instance_id":      s.options.InstanceID,
		"data":             data,
		"event_attributes": object{"http_request": object{"client_ip": "", "user_agent": ""}},
	})
	if err != nil {
		return "", fmt.Errorf("encode webhook: %w", err)
	}
	return s.webhooks.Send(eventType, body), nil
}

// events are the types that the server sends on its own.
var events = []string{
	"organization.created", "organization.deleted", "organization.updated",
	"organizationMembership.created", "organizationMembership.deleted", "organizationMembership.updated",
	"session.ended", "session.revoked",
	"user.created", "user.deleted", "user.updated",
}

// announce sends an event about a change that was just made. It panics for a
// type that is not in events, from which the page of the coverage is made.
func (s *Server) announce(eventType string, data any) {
	if !slices.Contains(events, eventType) {
		panic("fakeclerk: " + eventType + " is not in events")
	}
	if s.webhooks.Idle() {
		return
	}
	if _, err := s.SendWebhook(eventType, data); err != nil {
		panic("fakeclerk: announce " + eventType + ": " + err.Error()) // a resource of this package always encodes
	}
}

// Webhooks returns the newest messages, the oldest first, with the attempts that
// were made so far.
func (s *Server) Webhooks() []fakesvix.Message { return s.webhooks.Messages() }

// WebhookSigningSecret is the secret that signs webhooks (Clerk's
// CLERK_WEBHOOK_SIGNING_SECRET).
func (s *Server) WebhookSigningSecret() string { return s.options.WebhookSigningSecret }

// SignWebhook returns the headers svix-id, svix-timestamp and svix-signature for
// a body, for tests that send their own webhook, such as an old webhook, or a
// webhook with another body.
func (s *Server) SignWebhook(id string, at time.Time, body []byte) http.Header {
	return s.webhooks.Sign(id, at, body)
}

func (s *Server) getWebhooks(*http.Request) (any, error) {
	return object{"url": s.webhooks.URL(), "messages": s.webhooks.Messages()}, nil
}

// putWebhooks sends events to another URL from now on, and holds them.
func (s *Server) putWebhooks(_ *http.Request, p struct {
	URL  *string
	Hold *bool
}) (any, error) {
	if p.URL != nil {
		s.webhooks.SetURL(*p.URL)
	}
	if p.Hold != nil {
		s.webhooks.Hold(*p.Hold)
	}
	return nil, nil
}

func (s *Server) postWebhook(_ *http.Request, p struct {
	Type string
	Data jsontext.Value
}) (any, error) {
	id, err := s.SendWebhook(p.Type, p.Data)
	return object{"id": id}, err
}
