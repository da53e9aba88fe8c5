package clerkevent

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const (
	// MaxBodyBytes is the longest webhook that is read.
	MaxBodyBytes = 1 << 20

	// minSecretBytes is the shortest secret that the Standard Webhooks
	// specification allows, once decoded.
	minSecretBytes = 24
)

// Reason is the short, stable word for why a webhook was not taken. It is for
// logs: the answer is a bare status.
type Reason string

const (
	ReasonNotConfigured    Reason = "not_configured"    // there is no signing secret (500)
	ReasonTooLarge         Reason = "too_large"         // longer than MaxBodyBytes (413)
	ReasonUnreadable       Reason = "unreadable"        // the body broke off (400)
	ReasonInvalidSignature Reason = "invalid_signature" // forged, altered, unsigned, or signed more than 5 minutes off (400)
	ReasonMalformed        Reason = "malformed"         // signed by Clerk, but not as Clerk documents its events (400)
	ReasonNotTaken         Reason = "not_taken"         // a service failed to take it; Svix sends it again (503)
)

// Receiver is an [http.Handler] that takes Clerk's webhooks. It answers 204 to
// an event that was handled, and to one of a type that is ignored.
type Receiver struct {
	verifiers []*standardwebhooks.Webhook
	handle    func(context.Context, *Event) error
	log       Logger
}

// Logger takes log lines: a message, then keys and values in turn. A
// [log/slog.Logger] is one.
type Logger interface {
	Warn(message string, keysAndValues ...any)
	Error(message string, keysAndValues ...any)
}

// NewReceiver returns a Receiver for webhooks signed with one of the secrets,
// which are separated by commas: while a secret is exchanged, both are listed.
// Without any, the receiver answers 500 to everything. An error does not repeat
// the secret.
//
// Handle is called for each verified event. It returns nil once the event is
// safe: any error is answered with 503, and Svix, which delivers for Clerk,
// repeats the event for about a day. The log gets the reason why a webhook was not
// taken, and nothing of what was in it.
func NewReceiver(signingSecrets string, handle func(context.Context, *Event) error, log Logger) (*Receiver, error) {
	r := &Receiver{handle: handle, log: log}
	for i, secret := range strings.FieldsFunc(signingSecrets, func(c rune) bool { return c == ',' || c == ' ' || c == '\n' }) {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		if err != nil || len(key) < minSecretBytes {
			return nil, fmt.Errorf("signing secret %d is not a webhook signing secret of Clerk, whsec_…", i+1)
		}
		verifier, err := standardwebhooks.NewWebhookRaw(key)
		if err != nil {
			return nil, err
		}
		r.verifiers = append(r.verifiers, verifier)
	}
	return r, nil
}

// ServeHTTP implements [http.Handler].
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	status, reason, err := r.receive(w, req)
	switch reason {
	case "":
	case ReasonNotConfigured:
		r.log.Error("webhook refused: set the secret ClerkWebhookSigningSecret to the signing secret of this endpoint in Clerk's dashboard", "reason", reason)
	case ReasonNotTaken, ReasonMalformed:
		r.log.Error("webhook refused", "reason", reason, "cause", err)
	default:
		r.log.Warn("webhook refused", "reason", reason)
	}
	w.WriteHeader(status)
}

func (r *Receiver) receive(w http.ResponseWriter, req *http.Request) (int, Reason, error) {
	if len(r.verifiers) == 0 {
		return http.StatusInternalServerError, ReasonNotConfigured, nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, MaxBodyBytes))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return http.StatusRequestEntityTooLarge, ReasonTooLarge, nil
	}
	if err != nil {
		return http.StatusBadRequest, ReasonUnreadable, err
	}
	if !r.verify(body, req.Header) {
		return http.StatusBadRequest, ReasonInvalidSignature, nil
	}
	event, err := parse(req.Header.Get("svix-id"), body)
	switch {
	case err != nil:
		return http.StatusBadRequest, ReasonMalformed, err
	case event == nil:
		return http.StatusNoContent, "", nil
	}
	if err := r.handle(req.Context(), event); err != nil {
		return http.StatusServiceUnavailable, ReasonNotTaken, err
	}
	return http.StatusNoContent, "", nil
}

// verify checks signature and timestamp. Svix's scheme is that of Standard
// Webhooks, under header names of its own.
func (r *Receiver) verify(body []byte, header http.Header) bool {
	standard := make(http.Header, 3)
	standard.Set(standardwebhooks.HeaderWebhookID, header.Get("svix-id"))
	standard.Set(standardwebhooks.HeaderWebhookTimestamp, header.Get("svix-timestamp"))
	standard.Set(standardwebhooks.HeaderWebhookSignature, header.Get("svix-signature"))
	for _, verifier := range r.verifiers {
		if verifier.Verify(body, standard) == nil {
			return true
		}
	}
	return false
}
