// Package fakesvix sends webhooks as Svix does for Clerk: signed, at least once,
// and again until the answer is a success. First attempts go out one after the
// other; what is repeated comes late, out of order. A test can hold messages
// back, and send each itself: late, in another order, more than once, or never.
package fakesvix

import (
	"bytes"
	"context"
	"crypto/rand"
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

// Retries are the waits between Svix's attempts: https://docs.svix.com/retries.
var Retries = []time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 10 * time.Hour,
}

const (
	// attemptTimeout is how long Svix waits for an answer.
	attemptTimeout = 15 * time.Second
	// maxMessages bounds how many messages are kept, the newest, unless they are
	// held.
	maxMessages = 1000
)

// ErrUnknownMessage is the error for the id of no message.
var ErrUnknownMessage = errors.New("no webhook message was found")

// Message is an event that is being sent.
type Message struct {
	ID        string    `json:"id"` // "msg_…", the header svix-id
	Type      string    `json:"type"`
	Attempts  []Attempt `json:"attempts"`
	Delivered bool      `json:"delivered"` // an attempt was answered with a status from 200 to 299
	Body      []byte    `json:"-"`

	dropped bool
}

// Attempt is one request of a message.
type Attempt struct {
	// Status is the HTTP status, or 0 where no answer came.
	Status int `json:"status"`
}

// Sender sends webhooks to one URL. Its methods may be called from several
// goroutines.
type Sender struct {
	signer  *standardwebhooks.Webhook
	retries []time.Duration
	log     *slog.Logger
	client  *http.Client
	ctx     context.Context // done once the sender closes
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex
	url      string
	held     bool
	messages []*Message
	turn     <-chan struct{} // closed after the first attempt of the newest message
}

// New returns a sender that signs with a secret, "whsec_" and base64, and
// repeats a message after each of the waits.
func New(secret string, retries []time.Duration, log *slog.Logger) (*Sender, error) {
	signer, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return nil, fmt.Errorf("webhook signing secret: %w", err)
	}
	first := make(chan struct{})
	close(first)
	s := &Sender{signer: signer, retries: retries, log: log, turn: first, client: &http.Client{
		Transport:     http.DefaultTransport.(*http.Transport).Clone(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // Svix follows none
		Timeout:       attemptTimeout,
	}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// SetURL sends to another URL from now on, repeated messages included. With ""
// no new ones are made.
func (s *Sender) SetURL(url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.url = url
}

// URL is where messages are sent, "" for nowhere.
func (s *Sender) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.url
}

// Idle reports whether a message would go nowhere: there is no URL, and messages
// are not held.
func (s *Sender) Idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.url == "" && !s.held
}

// Hold keeps new messages back, also without a URL. Hold(false) sends the
// undelivered events, the oldest first.
func (s *Sender) Hold(hold bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held && !hold && s.url != "" {
		for _, message := range s.messages {
			if !message.Delivered {
				s.deliver(message)
			}
		}
	}
	s.held = hold
}

// Send sends a message in the background, unless the sender is idle, and returns
// its id.
func (s *Sender) Send(eventType string, body []byte) (id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	message := &Message{ID: "msg_" + rand.Text(), Type: eventType, Body: body}
	switch {
	case s.held:
		s.messages = append(s.messages, message)
	case s.url != "":
		s.messages = append(s.messages, message)
		s.messages = s.messages[max(0, len(s.messages)-maxMessages):]
		s.deliver(message)
	}
	return message.ID
}

// Resend sends a message again under the same id, held or not, delivered or not.
func (s *Sender) Resend(id string) error {
	return s.find(id, s.deliver)
}

// Drop forgets a message: it is lost.
func (s *Sender) Drop(id string) error {
	return s.find(id, func(message *Message) {
		message.dropped = true
		s.messages = slices.DeleteFunc(s.messages, func(m *Message) bool { return m == message })
	})
}

func (s *Sender) find(id string, do func(*Message)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.messages, func(m *Message) bool { return m.ID == id })
	if i < 0 {
		return ErrUnknownMessage
	}
	do(s.messages[i])
	return nil
}

// Messages returns the newest messages, the oldest first, with the attempts that
// were made so far.
func (s *Sender) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	messages := make([]Message, len(s.messages))
	for i, message := range s.messages {
		messages[i] = *message
		messages[i].Attempts = slices.Clone(message.Attempts)
	}
	return messages
}

// Sign returns the headers svix-id, svix-timestamp and svix-signature.
func (s *Sender) Sign(id string, at time.Time, body []byte) http.Header {
	signature, err := s.signer.Sign(id, at, body)
	if err != nil { // HMAC does not fail
		panic("fakesvix: sign webhook: " + err.Error())
	}
	header := http.Header{}
	header.Set("svix-id", id)
	header.Set("svix-timestamp", strconv.FormatInt(at.Unix(), 10))
	header.Set("svix-signature", signature)
	return header
}

// Close gives up what is not delivered, and waits for all goroutines.
func (s *Sender) Close() {
	s.mu.Lock()
	s.cancel()
	s.mu.Unlock() // from here on no goroutine is started
	s.running.Wait()
	s.client.CloseIdleConnections()
}

// deliver sends a message after those that were sent before, and again after
// each wait until it arrives. The caller holds mu.
func (s *Sender) deliver(message *Message) {
	if s.ctx.Err() != nil {
		return
	}
	turn, done := s.turn, make(chan struct{})
	s.turn = done
	s.running.Go(func() {
		<-turn
		over := s.attempt(message)
		close(done)
		for _, wait := range s.retries {
			if over {
				return
			}
			select {
			case <-time.After(wait):
				over = s.attempt(message)
			case <-s.ctx.Done():
				return
			}
		}
	})
}

// attempt sends a message once, without mu, and reports whether that was the
// last attempt.
func (s *Sender) attempt(message *Message) bool {
	s.mu.Lock()
	url, dropped := s.url, message.dropped
	s.mu.Unlock()
	if dropped || s.ctx.Err() != nil {
		return true
	}
	status := s.post(url, message.ID, message.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() == nil {
		message.Attempts = append(message.Attempts, Attempt{Status: status})
		message.Delivered = message.Delivered || status/100 == 2
		s.log.LogAttrs(s.ctx, slog.LevelInfo, "fakeclerk webhook", slog.String("type", message.Type),
			slog.Int("attempt", len(message.Attempts)), slog.Int("status", status))
	}
	return status/100 == 2
}

// post sends a message once and returns the status of the answer, or 0.
func (s *Sender) post(url, id string, body []byte) int {
	r, err := http.NewRequestWithContext(s.ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0
	}
	r.Header = s.Sign(id, time.Now(), body)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Svix-Webhooks/1.0 (fakeclerk)")
	response, err := s.client.Do(r)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<20)) // so that the connection is kept
	return response.StatusCode
}
