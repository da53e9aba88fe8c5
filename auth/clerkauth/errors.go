package clerkauth

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"encore.app/auth/clerkauth/internal/batch"
	"encore.app/auth/clerkauth/internal/clerkapi"
)

// Kind says what a failed [Authenticator.Authenticate] means for the caller's
// request. There are four kinds because a server has four different answers.
type Kind uint8

const (
	// Unauthenticated: the token does not sign a caller in (HTTP 401).
	Unauthenticated Kind = iota + 1
	// Unavailable: Clerk could not be called and its answer is not cached (HTTP
	// 503). Never a reason to sign anyone out.
	Unavailable
	// Misconfigured: Clerk refuses our own secret key or our request, or no
	// request can be made, which only the operator can mend (HTTP 500).
	Misconfigured
	// Canceled: the request's own context ended first.
	Canceled
)

// Reason is the short, stable word for why a request was refused. It is meant
// for logs and metrics; what an attacker is told should not depend on it.
type Reason string

// Reasons of the kind Unauthenticated.
const (
	ReasonMissingToken      Reason = "missing_token"
	ReasonTooLarge          Reason = "too_large"                // longer than MaxTokenBytes, or its header than 1 KiB
	ReasonMalformed         Reason = "malformed"                // not a JWT in the compact serialization of RFC 7515
	ReasonMalformedClaims   Reason = "malformed_claims"         // signed by Clerk, but a claim is not of the type it must have
	ReasonNotSessionToken   Reason = "not_session_token"        // another kind of JWT: template, OAuth, machine
	ReasonInvalidAlgorithm  Reason = "invalid_algorithm"        // alg is not RS256
	ReasonUnknownKey        Reason = "unknown_key"              // kid is not in the instance's JWKS
	ReasonInvalidSignature  Reason = "invalid_signature"        // signed by somebody else, or altered
	ReasonExpired           Reason = "expired"                  // exp has passed
	ReasonNotActiveYet      Reason = "not_active_yet"           // nbf is in the future
	ReasonIssuedInFuture    Reason = "issued_in_future"         // iat is in the future
	ReasonInvalidIssuer     Reason = "invalid_issuer"           // iss is not the configured Frontend API
	ReasonInvalidAuthorized Reason = "invalid_authorized_party" // azp is not listed
	ReasonMissingAuthorized Reason = "missing_authorized_party" // azp is absent
	ReasonInvalidSubject    Reason = "invalid_subject"          // sub is not a user id
	ReasonMissingSession    Reason = "missing_session"          // sid is absent
	ReasonSessionPending    Reason = "session_pending"          // sts is pending: sign-in has tasks left
	ReasonUnknownUser       Reason = "unknown_user"             // Clerk does not have the user, and did not while this process ran
	ReasonUserDeleted       Reason = "user_deleted"             // Clerk had the user, or an event reported the deletion
	ReasonUserBanned        Reason = "user_banned"

	// Of machine tokens.
	ReasonTokenTypeMismatch   Reason = "token_type_mismatch"  // not a kind of Options.AcceptsToken
	ReasonUnknownSecret       Reason = "unknown_secret"       // Clerk does not know the API key or opaque token
	ReasonVerificationRefused Reason = "verification_refused" // for a reason that is not the token's: API keys are switched off, say
	ReasonRevoked             Reason = "revoked"

	// By what StoreUser, RevokeUser and RevokeSession reported.
	ReasonUserRevoked    Reason = "user_revoked"
	ReasonSessionRevoked Reason = "session_revoked"

	// Of a Watch alone.
	ReasonRoleChanged   Reason = "role_changed"   // in the organization that is active for the caller
	ReasonCallerChanged Reason = "caller_changed" // the fresh token is of another session, organization or role
)

// Reasons of the kinds Unavailable, Misconfigured and Canceled.
const (
	ReasonUnreachable      Reason = "clerk_unreachable"      // no answer in time
	ReasonRateLimited      Reason = "clerk_rate_limited"     // 429; Retry-After is obeyed
	ReasonInvalidResponse  Reason = "clerk_invalid_response" // 5xx, or an answer that is not Clerk's
	ReasonSecretKeyRefused Reason = "secret_key_refused"     // 401 or 403 for our own secret key
	ReasonRequestRefused   Reason = "request_refused"        // another 4xx: for keys most likely a wrong API URL, for a user their record
	ReasonInvalidRequest   Reason = "invalid_request"        // a setting makes every request to Clerk impossible
	ReasonRateLimitShare   Reason = "rate_limit_share"       // not asked, to stay below Clerk's rate limit
	ReasonPanic            Reason = "panic"                  // a fault of this program, or of the Options' HTTPClient
	ReasonUnknownError     Reason = "unknown_error"          // not an error of this package: see AsError
	ReasonCanceled         Reason = "canceled"
)

// Error is what [Authenticator.Authenticate] returns instead of a caller.
// Its text holds no token, key, claim value or email address.
type Error struct {
	Kind   Kind
	Reason Reason

	cause      error
	evidence   []any         // names and values in turn: see Evidence
	retryAfter time.Duration // as Clerk says, within bounds
}

// Error implements error.
func (e *Error) Error() string {
	if e.cause != nil {
		return "clerkauth: " + string(e.Reason) + ": " + e.cause.Error()
	}
	return "clerkauth: " + string(e.Reason)
}

// Unwrap gives the cause, such as a network error or [context.Canceled].
func (e *Error) Unwrap() error { return e.cause }

// AsError returns err as an *Error, which every error of
// [Authenticator.Authenticate] is. An error from elsewhere becomes
// Misconfigured: what is not understood must not sign anyone out or in.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Kind: Misconfigured, Reason: ReasonUnknownError, cause: err}
}

func refuse(r Reason, evidence ...any) *Error {
	return &Error{Kind: Unauthenticated, Reason: r, evidence: evidence}
}

// APIError is Clerk's refusal of what a call of [Backend] asked for. It says
// nothing of Clerk's health or of our secret key.
type APIError struct {
	Status int    // 4xx
	Code   string // Clerk's word for it, such as resource_not_found
}

// Error implements error.
func (e *APIError) Error() string {
	return fmt.Sprintf("clerkauth: Clerk refused the request: status %d, %s", e.Status, e.Code)
}

func (e *APIError) evidence() []any { return []any{"status", e.Status, "code", e.Code} }

// Is makes an APIError an [ErrNotFound] if it is one.
func (e *APIError) Is(target error) bool {
	return target == ErrNotFound && e.Status == http.StatusNotFound && e.Code == "resource_not_found"
}

var (
	// ErrNotFound is matched by [errors.Is]: Clerk has no such thing.
	ErrNotFound = errors.New("not found")
	// ErrTooLarge is matched by [errors.Is]: Clerk's answer is longer than 8 MiB. A
	// caller can ask for less at a time.
	ErrTooLarge = clerkapi.ErrTooLarge
)

var (
	errRateLimitShare = &Error{Kind: Unavailable, Reason: ReasonRateLimitShare}
	errLate           = &Error{Kind: Unavailable, Reason: ReasonUnreachable, cause: batch.ErrLate}
)

func canceled(ctx context.Context) *Error {
	return &Error{Kind: Canceled, Reason: ReasonCanceled, cause: ctx.Err()}
}

// exported returns an error of the internal packages as an *Error or *APIError.
func exported(err error) error {
	var known *Error
	var e *clerkapi.Error
	switch {
	case errors.As(err, &known):
		return err
	case errors.As(err, &e) && e.Class == clerkapi.Refused:
		return &APIError{Status: e.Status, Code: e.Code}
	case errors.As(err, &e):
		return exportedFailure(e)
	case errors.Is(err, batch.ErrRateLimit):
		return errRateLimitShare
	case errors.Is(err, batch.ErrLate):
		return errLate
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &Error{Kind: Canceled, Reason: ReasonCanceled, cause: err}
	}
	return err
}

func exportedFailure(e *clerkapi.Error) *Error {
	failure := &Error{Kind: Unavailable, Reason: Reason(e.Class), cause: e.Cause, retryAfter: e.RetryAfter}
	switch e.Class {
	case clerkapi.KeyRefused:
		failure.Kind = Misconfigured
		failure.evidence = []any{"code", e.Code}
	case clerkapi.InvalidRequest:
		failure.Kind = Misconfigured
	case clerkapi.Canceled:
		failure.Kind = Canceled
		return failure
	case clerkapi.InvalidResponse:
		if e.Status != 0 {
			failure.evidence = []any{"status", e.Status}
		}
	}
	if e.Call != "" {
		failure.evidence = append(failure.evidence, "call", e.Call)
	}
	return failure
}

// userError returns the failure to load a user as an *Error.
func userError(err error) *Error {
	err = exported(err)
	var refused *APIError
	if errors.As(err, &refused) {
		return &Error{Kind: Unavailable, Reason: ReasonRequestRefused, cause: refused}
	}
	return AsError(err)
}

const (
	// maxEvidenceBytes bounds each text of [Error.Evidence], before control
	// characters are written out.
	maxEvidenceBytes = 120
	// maxEvidenceKeys is how many key ids are named. Clerk lists one or two.
	maxEvidenceKeys = 5
)

// Evidence returns the facts behind a refusal, such as the azp of a token whose
// origin is not listed. Names and values alternate, for a line of a log. A
// value is a number, a bool or printable ASCII text of bounded length. No text
// has the part of an address before its "@", or a URL's query. Where
// [Error.Unverified] holds, anybody may have written the text.
func (e *Error) Evidence() []any {
	evidence := slices.Clone(e.evidence)
	for i := 1; i < len(evidence); i += 2 {
		switch value := evidence[i].(type) {
		case string:
			evidence[i] = printable(value)
		case *keySet:
			evidence[i] = value.ids()
		}
	}
	return evidence
}

// Lookup returns one value of the evidence unchanged, nil if it is missing.
func (e *Error) Lookup(name string) any {
	for i := 1; i < len(e.evidence); i += 2 {
		if e.evidence[i-1] == name {
			return e.evidence[i]
		}
	}
	return nil
}

// Unverified reports whether a token was refused before its signature was
// verified: then anybody can cause the refusal.
func (e *Error) Unverified() bool {
	switch e.Reason {
	case ReasonMissingToken, ReasonTooLarge, ReasonMalformed, ReasonNotSessionToken, ReasonInvalidAlgorithm,
		ReasonUnknownKey, ReasonInvalidSignature, ReasonTokenTypeMismatch, ReasonUnknownSecret, ReasonVerificationRefused:
		return true
	}
	return false
}

// printable makes text from outside fit for a log.
func printable(s string) string {
	const more = "..."
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		s = more + s[at:]
	}
	s, _, cut := strings.Cut(strings.ReplaceAll(s, "#", "?"), "?")
	if len(s) > maxEvidenceBytes {
		s, cut = s[:maxEvidenceBytes], true
	}
	quoted := strconv.QuoteToASCII(s)
	s = quoted[1 : len(quoted)-1]
	if cut {
		s += more
	}
	return s
}

// ids lists the key ids of a set.
func (s *keySet) ids() string {
	ids := slices.Sorted(maps.Keys(s.byID))
	for i := range ids {
		ids[i] = printable(ids[i])
	}
	if len(ids) > maxEvidenceKeys {
		ids = append(ids[:maxEvidenceKeys], "...")
	}
	return strings.Join(ids, " ")
}

// malformedClaim names the claim that could not be read, "" if it is not known.
func malformedClaim(err error) string {
	var mismatch *json.SemanticError
	if errors.As(err, &mismatch) {
		return strings.TrimPrefix(string(mismatch.JSONPointer), "/")
	}
	return ""
}

func refuseMalformed(text string) *Error {
	if what := sent(text); what != "" {
		return refuse(ReasonMalformed, "sent", what)
	}
	return refuse(ReasonMalformed)
}

// sent says what a text is that came in a token's place, "" if that is not known.
// Frontends send each of these by an ordinary mistake.
func sent(text string) string {
	switch text {
	case "undefined", "null", "NaN", "true", "false", "[object Object]", "[object Promise]":
		return "Bearer " + text
	}
	for _, known := range []struct{ prefix, what string }{
		{"pk_", "a publishable key"},
		{"sk_", "a secret key"},
		{"whsec_", "a webhook signing secret"},
		{"sess_", "a session id"},
		{"user_", "a user id"},
		{"Bearer ", "the word Bearer twice"},
		{`"`, "a token in quotes"},
		{"'", "a token in quotes"},
		{"$", "a placeholder"},
		{"<", "a placeholder"},
		{"{", "a placeholder"},
		{"async ", "a function"},
		{"function", "a function"},
		{"() =>", "a function"},
	} {
		if strings.HasPrefix(text, known.prefix) {
			return known.what
		}
	}
	if dots := strings.Count(text, "."); strings.HasPrefix(text, "ey") && dots != 2 {
		return "a JWT with " + strconv.Itoa(dots+1) + " parts instead of 3"
	}
	return ""
}
