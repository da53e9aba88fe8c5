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
	ReasonNotPublished     Reason = "not_published"     // Publish failed; Svix sends it again (503)
)

// Receiver is an [http.Handler] that takes Clerk's webhooks. It answers 204 to
// an event that was published, and to one of a type that is ignored.
type Receiver struct {
	verifiers []*standardwebhooks.Webhook
	publish   func(context.Context, *Event) error
	report    func(Reason, error)
}

// NewReceiver returns a Receiver for webhooks signed with one of the secrets,
// which are separated by commas: while a secret is exchanged, both are listed.
// Without any, the receiver answers 500 to everything. An error does not repeat
// the secret.
//
// Publish is called for each verified event, and must not return nil before the
// event is safe. Report is told why a webhook was not taken; its error, which
// may be nil, holds nothing of the webhook.
func NewReceiver(signingSecrets string, publish func(context.Context, *Event) error, report func(Reason, error)) (*Receiver, error) {
	r := &Receiver{publish: publish, report: report}
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
	if reason != "" {
		r.report(reason, err)
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
	if err := r.publish(req.Context(), event); err != nil {
		return http.StatusServiceUnavailable, ReasonNotPublished, err
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
