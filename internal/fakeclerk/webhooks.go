package fakeclerk

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
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
	// maxMessages bounds how many messages are kept, the newest.
	maxMessages = 1000
)

// ErrUnknownMessage is the error of resending a message that was never sent, or too long ago.
var ErrUnknownMessage = errors.New("unknown webhook message")

// WebhookMessage is an event on its way to [Options].WebhookURL.
type WebhookMessage struct {
	ID        string           `json:"id"` // "msg_…", the header svix-id
	Type      string           `json:"type"`
	Attempts  []WebhookAttempt `json:"attempts"`
	Delivered bool             `json:"delivered"` // an attempt was answered with a status from 200 to 299

	body []byte
}

// WebhookAttempt is one request of a message.
type WebhookAttempt struct {
	// Status is the HTTP status, or 0 where no answer came.
	Status int `json:"status"`
}

// webhookSender sends events as Svix does for Clerk: signed, at least once, and again where the answer is
// not a success. First attempts go out one after the other; what is repeated comes late, out of order.
type webhookSender struct {
	secret  string
	signer  *standardwebhooks.Webhook
	client  *http.Client
	retries []time.Duration
	log     *slog.Logger
	ctx     context.Context
	cancel  context.CancelFunc
	working sync.WaitGroup

	mu       sync.Mutex
	url      string
	closed   bool
	turn     <-chan struct{} // closed after the first attempt of the newest message
	messages []*WebhookMessage
}

// open makes the sender ready. Until then, nothing is announced: the first accounts are not news.
func (w *webhookSender) open(options Options) error {
	signer, err := standardwebhooks.NewWebhook(options.WebhookSigningSecret)
	if err != nil {
		return fmt.Errorf("webhook signing secret: %w", err)
	}
	w.secret, w.signer = options.WebhookSigningSecret, signer
	w.client = &http.Client{
		Transport:     http.DefaultTransport.(*http.Transport).Clone(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // Svix follows none
		Timeout:       attemptTimeout,
	}
	w.retries, w.log = options.WebhookRetries, options.Logger
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	first := make(chan struct{})
	close(first)
	w.turn = first
	w.setURL(options.WebhookURL)
	return nil
}

// close gives up what is not delivered, and waits for the goroutines.
func (w *webhookSender) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.cancel()
	w.working.Wait()
	w.client.CloseIdleConnections()
}

func (w *webhookSender) setURL(url string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.url = url
}

// send starts the delivery of a new message, or of an old one again.
func (w *webhookSender) send(message *WebhookMessage, isNew bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.url == "" {
		return
	}
	if isNew {
		w.messages = append(w.messages, message)
		w.messages = w.messages[max(0, len(w.messages)-maxMessages):]
	}
	turn, done := w.turn, make(chan struct{})
	w.turn = done
	w.working.Go(func() { w.deliver(message, turn, done) })
}

func (w *webhookSender) deliver(message *WebhookMessage, turn <-chan struct{}, done chan<- struct{}) {
	<-turn
	ok := w.attempt(message)
	close(done)
	for _, wait := range w.retries {
		if ok {
			return
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-w.ctx.Done():
			timer.Stop()
			return
		}
		ok = w.attempt(message)
	}
}

// attempt sends the message once and reports whether it arrived.
func (w *webhookSender) attempt(message *WebhookMessage) bool {
	w.mu.Lock()
	url := w.url
	w.mu.Unlock()
	status, err := w.post(url, message)
	delivered := status >= 200 && status < 300
	if w.ctx.Err() != nil {
		return delivered // the server is closing
	}
	w.mu.Lock()
	message.Attempts = append(message.Attempts, WebhookAttempt{Status: status})
	message.Delivered = message.Delivered || delivered
	attempts := len(message.Attempts)
	w.mu.Unlock()
	w.log.LogAttrs(w.ctx, slog.LevelInfo, "fakeclerk webhook", slog.String("type", message.Type),
		slog.Int("attempt", attempts), slog.Int("status", status), slog.Bool("answered", err == nil))
	return delivered
}

func (w *webhookSender) post(url string, message *WebhookMessage) (int, error) {
	r, err := http.NewRequestWithContext(w.ctx, http.MethodPost, url, bytes.NewReader(message.body))
	if err != nil {
		return 0, err
	}
	r.Header = w.sign(message.ID, time.Now(), message.body) // not Options.Now: Svix has a clock of its own
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Svix-Webhooks/1.0 (fakeclerk)")
	response, err := w.client.Do(r)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxBody)) // so that the connection is kept
	return response.StatusCode, nil
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

// announce sends an event about a change that was just made.
func (s *Server) announce(eventType string, data any) {
	if s.webhooks.ctx == nil {
		return // the first accounts
	}
	if _, err := s.SendWebhook(eventType, data); err != nil {
		panic("fakeclerk: announce " + eventType + ": " + err.Error()) // a resource of this package always encodes
	}
}

// SendWebhook sends an event of any type to [Options].WebhookURL, as Clerk does on its own for what
// changes, and returns its id (svix-id). It does not wait for the delivery, which [Server.Webhooks] shows.
// Without a URL nothing is sent.
func (s *Server) SendWebhook(eventType string, data any) (string, error) {
	now := s.now()
	body, err := json.Marshal(map[string]any{
		"object":           "event",
		"type":             eventType,
		"timestamp":        now.UnixMilli(),
		"instance_id":      s.options.KeyID,
		"data":             data,
		"event_attributes": map[string]any{"http_request": map[string]string{"client_ip": "", "user_agent": ""}},
	})
	if err != nil {
		return "", fmt.Errorf("encode webhook: %w", err)
	}
	message := &WebhookMessage{ID: newID("msg"), Type: eventType, body: body}
	s.webhooks.send(message, true)
	return message.ID, nil
}

// ResendWebhook sends a message again under the same id, delivered or not, as the button in Clerk's
// dashboard does. It fails with [ErrUnknownMessage].
func (s *Server) ResendWebhook(id string) error {
	s.webhooks.mu.Lock()
	i := slices.IndexFunc(s.webhooks.messages, func(m *WebhookMessage) bool { return m.ID == id })
	var message *WebhookMessage
	if i >= 0 {
		message = s.webhooks.messages[i]
	}
	s.webhooks.mu.Unlock()
	if message == nil {
		return ErrUnknownMessage
	}
	s.webhooks.send(message, false)
	return nil
}

// Webhooks returns the newest messages, the oldest first, with the attempts that were made so far.
func (s *Server) Webhooks() []WebhookMessage {
	s.webhooks.mu.Lock()
	defer s.webhooks.mu.Unlock()
	messages := make([]WebhookMessage, len(s.webhooks.messages))
	for i, message := range s.webhooks.messages {
		messages[i] = *message
		messages[i].Attempts = slices.Clone(message.Attempts)
	}
	return messages
}

// SetWebhookURL sends events to another URL from now on, repeated ones included; "" sends no new ones.
func (s *Server) SetWebhookURL(url string) { s.webhooks.setURL(url) }

// WebhookSigningSecret is the secret that signs webhooks (Clerk's CLERK_WEBHOOK_SIGNING_SECRET).
func (s *Server) WebhookSigningSecret() string { return s.webhooks.secret }

// SignWebhook returns the headers svix-id, svix-timestamp and svix-signature for a body, for tests that
// send a webhook of their own: an old one, or one with another body.
func (s *Server) SignWebhook(id string, at time.Time, body []byte) http.Header {
	return s.webhooks.sign(id, at, body)
}

func (s *Server) webhookRoutes() {
	s.open("GET /fakeclerk/webhooks", s.getWebhooks)
	s.open("PUT /fakeclerk/webhooks", s.putWebhooks)
	s.open("POST /fakeclerk/webhooks", s.postWebhook)
	s.open("POST /fakeclerk/webhooks/{id}/resend", s.resendWebhook)
	s.open("POST /fakeclerk/sessions/{id}/end", s.endSession)
}

// getWebhooks answers GET /fakeclerk/webhooks: [Server.Webhooks].
func (s *Server) getWebhooks(w http.ResponseWriter, _ *http.Request) {
	answer(w, map[string]any{"messages": s.Webhooks()})
}

// putWebhooks answers PUT /fakeclerk/webhooks {"url"}: [Server.SetWebhookURL].
func (s *Server) putWebhooks(w http.ResponseWriter, r *http.Request) {
	var body struct {
		URL string `json:"url"`
	}
	if err := readControl(r, &body); err != nil {
		writeError(w, err)
		return
	}
	s.SetWebhookURL(body.URL)
	w.WriteHeader(http.StatusNoContent)
}

// postWebhook answers POST /fakeclerk/webhooks {"type","data"}: [Server.SendWebhook].
func (s *Server) postWebhook(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Type string          `json:"type"`
		Data json.RawMessage `json:"data"`
	}
	if err := readControl(r, &body); err != nil {
		writeError(w, err)
		return
	}
	id, err := s.SendWebhook(body.Type, body.Data)
	if err != nil {
		writeError(w, errBody(err))
		return
	}
	answer(w, map[string]string{"id": id})
}

// resendWebhook answers POST /fakeclerk/webhooks/{id}/resend: [Server.ResendWebhook].
func (s *Server) resendWebhook(w http.ResponseWriter, r *http.Request) {
	if err := s.ResendWebhook(r.PathValue("id")); err != nil {
		writeError(w, errNotFound("webhook message", r.PathValue("id")))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// endSession answers POST /fakeclerk/sessions/{id}/end: [Server.EndSession].
func (s *Server) endSession(w http.ResponseWriter, r *http.Request) {
	if err := s.EndSession(r.PathValue("id")); err != nil {
		writeError(w, errNotFound("session", r.PathValue("id")))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// sessionEventJSON is a session with its user, as in Clerk's session events.
type sessionEventJSON struct {
	sessionJSON
	User *userJSON `json:"user"`
}

// announceSession sends "session.revoked" and the like.
func (s *Server) announceSession(session Session) {
	event := sessionEventJSON{sessionJSON: newSessionJSON(session)}
	if user, ok := s.store.user(session.UserID); ok {
		data := newUserJSON(user)
		event.User = &data
	}
	s.announce("session."+session.Status, event)
}
