package fakeclerk

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// defaultWebhookSigningSecret is known to everybody, as befits a fake.
var defaultWebhookSigningSecret = "whsec_" + base64.StdEncoding.EncodeToString([]byte("fakeclerk webhook secret"))

// svixRetries are the waits between Svix's attempts: https://docs.svix.com/retries.
var svixRetries = []time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 10 * time.Hour,
}

const (
	// attemptTimeout is how long Svix waits for an answer.
	attemptTimeout = 15 * time.Second
	// maxMessages bounds how many messages are kept, the newest, unless they are
	// held.
	maxMessages = 1000
)

// WebhookMessage is an event on its way to [Options].WebhookURL.
type WebhookMessage struct {
	ID        string           `json:"id"` // "msg_…", the header svix-id
	Type      string           `json:"type"`
	Attempts  []WebhookAttempt `json:"attempts"`
	Delivered bool             `json:"delivered"` // an attempt was answered with a status from 200 to 299
	Body      []byte           `json:"-"`

	dropped bool
}

// WebhookAttempt is one request of a message.
type WebhookAttempt struct {
	// Status is the HTTP status, or 0 where no answer came.
	Status int `json:"status"`
}

// webhookSender sends events as Svix does for Clerk: signed, at least once, and
// again where the answer is not a success. First attempts go out one after the
// other; what is repeated comes late, out of order.
type webhookSender struct {
	signer  *standardwebhooks.Webhook
	client  *http.Client
	ctx     context.Context // done once the server closes
	cancel  context.CancelFunc
	running sync.WaitGroup
	turn    <-chan struct{} // closed after the first attempt of the newest message
}

func (w *webhookSender) open(secret string) error {
	signer, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return fmt.Errorf("webhook signing secret: %w", err)
	}
	first := make(chan struct{})
	close(first)
	w.signer, w.turn = signer, first
	w.client = &http.Client{
		Transport:     http.DefaultTransport.(*http.Transport).Clone(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // Svix follows none
		Timeout:       attemptTimeout,
	}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return nil
}

// post sends a message once and returns the status of the answer, or 0.
func (w *webhookSender) post(url, id string, body []byte) int {
	r, err := http.NewRequestWithContext(w.ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0
	}
	r.Header = w.sign(id, time.Now(), body) // not Options.Now: Svix has a clock of its own
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Svix-Webhooks/1.0 (fakeclerk)")
	response, err := w.client.Do(r)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxBody)) // so that the connection is kept
	return response.StatusCode
}

func (w *webhookSender) sign(id string, at time.Time, body []byte) http.Header {
	signature, err := w.signer.Sign(id, at, body)
	if err != nil { // HMAC does not fail
		panic("fakeclerk: sign webhook: " + err.Error())
	}
	header := http.Header{}
	header.Set("svix-id", id)
	header.Set("svix-timestamp", strconv.FormatInt(at.Unix(), 10))
	header.Set("svix-signature", signature)
	return header
}

// deliver sends a message in the background, after those that were delivered
// before, and again after each of [Options].WebhookRetries until it arrives.
func (s *Server) deliver(message *WebhookMessage) {
	w := &s.webhooks
	if w.ctx.Err() != nil {
		return
	}
	turn, done := w.turn, make(chan struct{})
	w.turn = done
	w.running.Go(func() {
		<-turn
		over := s.attempt(message)
		close(done)
		for _, wait := range s.options.WebhookRetries {
			if over {
				return
			}
			select {
			case <-time.After(wait):
				over = s.attempt(message)
			case <-w.ctx.Done():
				return
			}
		}
	})
}

// attempt sends a message once, without mu, and reports whether that was the
// last attempt.
func (s *Server) attempt(message *WebhookMessage) bool {
	s.mu.Lock()
	url, dropped := s.webhookURL, message.dropped
	s.mu.Unlock()
	if dropped || s.webhooks.ctx.Err() != nil {
		return true
	}
	status := s.webhooks.post(url, message.ID, message.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.webhooks.ctx.Err() == nil {
		message.Attempts = append(message.Attempts, WebhookAttempt{Status: status})
		message.Delivered = message.Delivered || status/100 == 2
		s.options.Logger.LogAttrs(s.webhooks.ctx, slog.LevelInfo, "fakeclerk webhook", slog.String("type", message.Type),
			slog.Int("attempt", len(message.Attempts)), slog.Int("status", status))
	}
	return status/100 == 2
}

// closeWebhooks gives up what is not delivered, and waits for the goroutines.
func (s *Server) closeWebhooks() {
	s.mu.Lock()
	s.webhooks.cancel()
	s.mu.Unlock() // from here on none is started
	s.webhooks.running.Wait()
	s.webhooks.client.CloseIdleConnections()
}

// announce sends an event about a change that was just made.
func (s *Server) announce(eventType string, data func() any) {
	if s.webhookURL == "" && !s.webhooksHeld {
		return
	}
	if _, err := s.sendWebhook(eventType, data()); err != nil {
		panic("fakeclerk: announce " + eventType + ": " + err.Error()) // a resource of this package always encodes
	}
}

// SendWebhook sends an event of any type to [Options].WebhookURL, as Clerk does
// on its own for what changes, and returns its id (svix-id). It does not wait
// for the delivery, which [Server.Webhooks] shows. Without a URL nothing is
// sent.
func (s *Server) SendWebhook(eventType string, data any) (string, error) {
	return locked(s, func() (string, error) { return s.sendWebhook(eventType, data) })
}

func (s *Server) sendWebhook(eventType string, data any) (string, error) {
	body, err := json.Marshal(object{
		"object":           "event",
		"type":             eventType,
		"timestamp":        s.now().UnixMilli(),
		"instance_id":      s.options.KeyID,
		"data":             data,
		"event_attributes": object{"http_request": object{"client_ip": "", "user_agent": ""}},
	})
	if err != nil {
		return "", fmt.Errorf("encode webhook: %w", err)
	}
	message := &WebhookMessage{ID: newID("msg"), Type: eventType, Body: body}
	if s.webhookURL == "" && !s.webhooksHeld {
		return message.ID, nil
	}
	s.messages = append(s.messages, message)
	if !s.webhooksHeld {
		s.messages = s.messages[max(0, len(s.messages)-maxMessages):]
		s.deliver(message)
	}
	return message.ID, nil
}

// HoldWebhooks keeps new messages back, for a test that delivers each itself:
// late, in another order, more than once ([Server.DeliverWebhook]) or never
// ([Server.DropWebhook]). Without a URL they are held too. HoldWebhooks(false)
// sends what was not delivered, in order.
func (s *Server) HoldWebhooks(hold bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holdWebhooks(hold)
}

func (s *Server) holdWebhooks(hold bool) {
	if s.webhooksHeld && !hold && s.webhookURL != "" {
		for _, message := range s.messages {
			if !message.Delivered {
				s.deliver(message)
			}
		}
	}
	s.webhooksHeld = hold
}

// message finds a message by its id.
func (s *Server) message(id string) (*WebhookMessage, error) {
	i := slices.IndexFunc(s.messages, func(m *WebhookMessage) bool { return m.ID == id })
	if i < 0 {
		return nil, ErrUnknownMessage
	}
	return s.messages[i], nil
}

// DeliverWebhook sends a message once, held or not, delivered or not, and waits
// for the answer: its status, or 0 where none came. It fails with
// [ErrUnknownMessage].
func (s *Server) DeliverWebhook(id string) (status int, err error) {
	s.mu.Lock()
	message, err := s.message(id)
	s.mu.Unlock()
	if err != nil {
		return 0, err
	}
	s.attempt(message)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(message.Attempts) == 0 {
		return 0, nil
	}
	return message.Attempts[len(message.Attempts)-1].Status, nil
}

// DropWebhook forgets a message: it is lost. It fails with [ErrUnknownMessage].
func (s *Server) DropWebhook(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropWebhook(id)
}

func (s *Server) dropWebhook(id string) error {
	message, err := s.message(id)
	if err != nil {
		return err
	}
	message.dropped = true
	s.messages = slices.DeleteFunc(s.messages, func(m *WebhookMessage) bool { return m == message })
	return nil
}

// Webhooks returns the newest messages, the oldest first, with the attempts that
// were made so far.
func (s *Server) Webhooks() []WebhookMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	messages := make([]WebhookMessage, len(s.messages))
	for i, message := range s.messages {
		messages[i] = *message
		messages[i].Attempts = slices.Clone(message.Attempts)
	}
	return messages
}

// WebhookSigningSecret is the secret that signs webhooks (Clerk's
// CLERK_WEBHOOK_SIGNING_SECRET).
func (s *Server) WebhookSigningSecret() string { return s.options.WebhookSigningSecret }

// SignWebhook returns the headers svix-id, svix-timestamp and svix-signature for
// a body, for tests that send a webhook of their own: an old one, or one with
// another body.
func (s *Server) SignWebhook(id string, at time.Time, body []byte) http.Header {
	return s.webhooks.sign(id, at, body)
}

func (s *Server) getWebhooks(*http.Request) (any, error) {
	return object{"messages": append([]*WebhookMessage{}, s.messages...)}, nil
}

type webhookParams struct {
	URL  *string         `json:"url"`
	Hold *bool           `json:"hold"`
	Type string          `json:"type"`
	Data json.RawMessage `json:"data"`
}

// putWebhooks sends events to another URL from now on, repeated ones included,
// or with "" no new ones; and holds them.
func (s *Server) putWebhooks(_ *http.Request, body webhookParams) (any, error) {
	if body.URL != nil {
		s.webhookURL = *body.URL
	}
	if body.Hold != nil {
		s.holdWebhooks(*body.Hold)
	}
	return nil, nil
}

func (s *Server) postWebhook(_ *http.Request, body webhookParams) (any, error) {
	id, err := s.sendWebhook(body.Type, body.Data)
	return object{"id": id}, err
}

// resendWebhook sends a message again under the same id, delivered or not, as
// the button in Clerk's dashboard does.
func (s *Server) resendWebhook(r *http.Request) (any, error) {
	message, err := s.message(r.PathValue("id"))
	if err == nil {
		s.deliver(message)
	}
	return nil, err
}

func (s *Server) deleteWebhook(r *http.Request) (any, error) {
	return nil, s.dropWebhook(r.PathValue("id"))
}
