package clerkevent

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"encore.app/auth/clerkauth/setting"
)

const (
	// minSecretBytes is the shortest secret that the Standard Webhooks
	// specification allows, once decoded.
	minSecretBytes = 24
	// tolerance is how far the time of a webhook may be off, as that
	// specification's libraries have it.
	tolerance = 5 * time.Minute
	// Svix sends a signature of 47 characters for each secret of the endpoint.
	maxIDBytes, maxSignatureBytes = 256, 2048
)

// Reason is the short, stable word for why a webhook was not taken. It is for
// logs: the answer is a bare status.
type Reason string

const (
	ReasonNotConfigured    Reason = "not_configured"    // there is no signing secret (500)
	ReasonUnsigned         Reason = "unsigned"          // a header of Svix is missing or unusable (400)
	ReasonInvalidTimestamp Reason = "invalid_timestamp" // signed more than 5 minutes ago or ahead (400)
	ReasonInvalidSignature Reason = "invalid_signature" // forged, altered, or signed with another secret (400)
	ReasonTooLarge         Reason = "too_large"         // longer than MaxBodyBytes (413)
	ReasonTooSlow          Reason = "too_slow"          // the body took longer than 5 seconds (408)
	ReasonUnreadable       Reason = "unreadable"        // the body broke off (400)
	ReasonOverloaded       Reason = "overloaded"        // displaced by newer webhooks; Svix sends it again (503)
	ReasonMalformed        Reason = "malformed"         // signed by Clerk, but not as Clerk documents its events: skipped (204)
	ReasonNotTaken         Reason = "not_taken"         // a service failed to take it; Svix sends it again (503)
)

// Receiver is an [http.Handler] that takes Clerk's webhooks. It answers 204 to
// an event that was handled, and to one that is skipped.
type Receiver struct {
	verifiers []*standardwebhooks.Webhook
	handle    func(context.Context, *Event) error
	log       Logger
	intake    *intake
	skipped   atomic.Int64
}

// Logger takes log lines: a message, then keys and values in turn. A
// [log/slog.Logger] is one.
type Logger interface {
	Warn(message string, keysAndValues ...any)
	Error(message string, keysAndValues ...any)
}

// NewReceiver returns a Receiver for webhooks signed with one of the secrets,
// which are separated by commas: while a secret is exchanged, both are listed.
// Without any, or with the word none in their place, the receiver answers 500 to
// everything. An error does not repeat the secret.
//
// Handle is called for each verified event. It returns nil once the event is
// safe: any error is answered with 503, and Svix, which delivers for Clerk,
// repeats the event for about a day. The log gets the reason why a webhook was not
// taken, and nothing of what was in it but ids.
func NewReceiver(signingSecrets string, handle func(context.Context, *Event) error, log Logger) (*Receiver, error) {
	r := &Receiver{handle: handle, log: log, intake: newIntake()}
	secrets := setting.List(signingSecrets)
	if len(secrets) == 1 && strings.EqualFold(secrets[0], "none") {
		return r, nil
	}
	for i, secret := range secrets {
		secret, err := setting.Secret(secret, "whsec_")
		if err != nil {
			return nil, fmt.Errorf("signing secret %d %w", i+1, err)
		}
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		if err != nil || len(key) < minSecretBytes {
			return nil, fmt.Errorf("signing secret %d is incomplete: write all of the signing secret of this endpoint in Clerk's dashboard, whsec_…", i+1)
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
	// The deadline also ends what the server itself reads after a refusal.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(readTimeout))
	refused := r.receive(w, req)
	if refused == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	write, message := r.log.Warn, "webhook refused"
	switch refused.reason {
	case ReasonNotConfigured, ReasonNotTaken:
		write = r.log.Error
	case ReasonMalformed:
		write, message = r.log.Error, "webhook skipped"
	}
	write(message, append([]any{"reason", refused.reason}, refused.details...)...)
	w.WriteHeader(refused.status)
}

// refusal is why a webhook was not taken.
type refusal struct {
	status  int
	reason  Reason
	details []any // for the log: keys and values in turn
}

func (r *Receiver) receive(w http.ResponseWriter, req *http.Request) *refusal {
	if len(r.verifiers) == 0 {
		return &refusal{http.StatusInternalServerError, ReasonNotConfigured, []any{"hint", secretHint}}
	}
	if refused := checkHeaders(req.Header); refused != nil {
		return refused
	}
	var event *Event
	refused := r.intake.read(w, req, func(body []byte) *refusal {
		if !r.verify(body, req.Header) {
			return &refusal{http.StatusBadRequest, ReasonInvalidSignature, []any{"hint", "if Clerk sent it: " + secretHint}}
		}
		parsed, wrong := parse(req.Header.Get("svix-id"), body)
		if wrong != nil {
			return &refusal{http.StatusNoContent, ReasonMalformed, []any{
				"type", wrong.eventType, "event", req.Header.Get("svix-id"), "id", wrong.record,
				"field", wrong.field, "fault", wrong.fault, "skipped", r.skipped.Add(1),
			}}
		}
		event = parsed
		return nil
	})
	if refused != nil || event == nil {
		return refused
	}
	if err := r.handle(req.Context(), event); err != nil {
		return &refusal{http.StatusServiceUnavailable, ReasonNotTaken, []any{"type", event.Type, "event", event.ID, "cause", err}}
	}
	return nil
}

const secretHint = "set the secret ClerkWebhookSigningSecret to the signing secret of this endpoint in Clerk's dashboard"

// checkHeaders refuses what cannot be signed by Clerk before its body is read.
func checkHeaders(header http.Header) *refusal {
	for name, limit := range map[string]int{"svix-id": maxIDBytes, "svix-timestamp": maxIDBytes, "svix-signature": maxSignatureBytes} {
		if value := header.Get(name); value == "" || len(value) > limit {
			return &refusal{http.StatusBadRequest, ReasonUnsigned, []any{"header", name}}
		}
	}
	seconds, err := strconv.ParseInt(header.Get("svix-timestamp"), 10, 64)
	if err != nil {
		return &refusal{http.StatusBadRequest, ReasonUnsigned, []any{"header", "svix-timestamp"}}
	}
	if age := time.Since(time.Unix(seconds, 0)); age.Abs() > tolerance {
		return &refusal{http.StatusBadRequest, ReasonInvalidTimestamp, []any{
			"age_seconds", int64(age / time.Second), "hint", "if Clerk sent it just now, set this machine's clock",
		}}
	}
	return nil
}

// verify checks the signature. Svix's scheme is that of Standard Webhooks, under
// header names of its own.
func (r *Receiver) verify(body []byte, header http.Header) bool {
	standard := make(http.Header, 3)
	standard.Set(standardwebhooks.HeaderWebhookID, header.Get("svix-id"))
	standard.Set(standardwebhooks.HeaderWebhookTimestamp, header.Get("svix-timestamp"))
	standard.Set(standardwebhooks.HeaderWebhookSignature, header.Get("svix-signature"))
	for _, verifier := range r.verifiers {
		if verifier.VerifyIgnoringTimestamp(body, standard) == nil {
			return true // checkHeaders has checked the time
		}
	}
	return false
}
