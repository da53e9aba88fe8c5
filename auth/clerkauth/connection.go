package clerkauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	"golang.org/x/net/http/httpguts"
)

// maxResponseBytes bounds what is read of one answer: 100 users with all the
// metadata that Clerk allows take less.
const maxResponseBytes = 8 << 20

const (
	// A connection on which nothing arrives for pingAfter is sent a ping, and
	// is closed without an answer within pingTimeout. The kernel would keep a
	// connection that died silently for about 15 minutes, with every call on
	// it.
	pingAfter   = time.Second
	pingTimeout = 2 * time.Second
)

// NewTransport returns the transport that an [Authenticator] uses by default:
// that of the standard library, except that it keeps more connections open and
// notices within 3 seconds when one is dead. It is for a transport that differs
// in something else, say in its proxy or its root certificates.
func NewTransport() *http.Transport {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 32
	transport.HTTP2 = &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout}
	return transport
}

// connection is the SDK's connection to Clerk's Backend API plus what the SDK
// leaves to its caller: a deadline for each call, a bound for each answer, and
// errors sorted by what they mean. It retries nothing.
type connection struct {
	api    clerk.Backend
	counts counts
	clock  *clock
}

func newConnection(o Options) *connection {
	client := *o.HTTPClient
	next := client.Transport
	if next == nil {
		next = NewTransport()
	}
	measured := &clock{now: o.Now}
	client.Transport = &recorder{next: next, clock: measured}
	// The Backend API does not redirect.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &connection{
		counts: counts{o.Observer},
		clock:  measured,
		api: clerk.NewBackend(&clerk.BackendConfig{
			HTTPClient: &client,
			URL:        clerk.String(o.APIURL + "/v1"),
			Key:        clerk.String(o.SecretKey),
		}),
	}
}

// call makes one call. The error is an *Error, or an *APIError if Clerk refuses
// the thing asked for.
func (c *connection) call(ctx context.Context, req *clerk.APIRequest, into clerk.ResponseReader) error {
	seen := new(response)
	timed, cancel := withCallTimeout(context.WithValue(ctx, responseKey{}, seen))
	defer cancel()
	_, err := guarded(func() (struct{}, error) { return struct{}{}, c.api.Call(timed, req, into) })
	switch {
	case err != nil && ctx.Err() != nil:
		err = canceled(ctx)
	case err != nil && timed.Err() != nil:
		err = &Error{Kind: Unavailable, Reason: ReasonUnreachable, cause: context.DeadlineExceeded}
	case err == nil && !seen.succeeded(): // the SDK takes every status below 400 for success
		err = invalidResponse(seen)
	default:
		err = sortError(err, seen)
	}
	var failure *Error
	if errors.As(err, &failure) && failure.Kind != Canceled {
		failure.evidence = append(failure.evidence, "call", req.Method+" "+route(req.Path))
	}
	c.counts.add(CountCalls, callResult(err), 1)
	return err
}

// route is a path without the ids in it, such as
// /organizations/.../memberships/... : in Clerk's API each second part is an id.
func route(path string) string {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	for i := 1; i < len(parts); i += 2 {
		parts[i] = "..."
	}
	return "/" + strings.Join(parts, "/")
}

func callResult(err error) string {
	var refused *APIError
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, ErrNotFound):
		return "not_found"
	case errors.As(err, &refused):
		return "refused"
	}
	return failed(err)
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

// ErrNotFound: Clerk has no such thing. It is matched by [errors.Is].
var ErrNotFound = errors.New("not found")

// ErrTooLarge: Clerk's answer is longer than 8 MiB, and was not read to its end.
// It is matched by [errors.Is]; a caller can ask for less at a time.
var ErrTooLarge = errors.New("an answer of more than 8 MiB")

// keyCodes are Clerk's words for a secret key that it does not accept:
// https://clerk.com/docs/errors/authentication
var keyCodes = []string{
	"clerk_key_invalid", "secret_key_invalid", "authentication_invalid", "authorization_header_format_invalid",
}

// sortError turns the SDK's error into one of ours. The SDK's own errors are
// dropped, because they can hold Clerk's whole answer.
func sortError(err error, seen *response) error {
	if err == nil {
		return nil
	}
	var known *Error
	if errors.As(err, &known) {
		return known // a panic
	}
	if !seen.sent {
		return invalidRequest(err)
	}
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return &Error{Kind: Unavailable, Reason: ReasonInvalidResponse, cause: ErrTooLarge}
	}
	code, fromClerk := clerkCode(err)
	switch status := seen.status; {
	case status == 0, errors.Is(err, context.DeadlineExceeded):
		return &Error{Kind: Unavailable, Reason: ReasonUnreachable, cause: withoutURL(err)}
	case status == http.StatusTooManyRequests:
		return &Error{Kind: Unavailable, Reason: ReasonRateLimited, retryAfter: min(seen.retryAfter, maxRateLimitWait)}
	case status == http.StatusUnauthorized && !fromClerk,
		(status == http.StatusUnauthorized || status == http.StatusForbidden) && slices.Contains(keyCodes, code):
		return &Error{Kind: Misconfigured, Reason: ReasonSecretKeyRefused, retryAfter: min(seen.retryAfter, maxRetryAfter),
			evidence: []any{"code", code}}
	case status >= 400 && status < 500 && fromClerk:
		return &APIError{Status: status, Code: code}
	}
	return invalidResponse(seen)
}

func invalidResponse(seen *response) *Error {
	return &Error{
		Kind: Unavailable, Reason: ReasonInvalidResponse, retryAfter: min(seen.retryAfter, maxRetryAfter),
		cause: fmt.Errorf("status %d", seen.status), evidence: []any{"status", seen.status},
	}
}

// invalidRequest is the failure of a request that never left this process.
func invalidRequest(err error) *Error {
	failure := &Error{Kind: Misconfigured, Reason: ReasonInvalidRequest, cause: withoutURL(err)}
	var header *headerError
	if errors.As(err, &header) {
		failure.evidence = []any{"header", header.name}
	}
	return failure
}

func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// headerError is a header whose value no request can carry. The standard library
// finds that as well, with an error like that of a broken connection.
type headerError struct{ name string }

func (e *headerError) Error() string {
	return "a character that the header " + e.name + " cannot carry"
}

func checkHeader(header http.Header) error {
	for name, values := range header {
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				return &headerError{name}
			}
		}
	}
	return nil
}

// clock compares this machine's clock with Clerk's, by the Date of answers.
type clock struct {
	now   func() time.Time
	ahead atomic.Int64 // time.Duration, as of the last answer
}

func (c *clock) compare(h http.Header) {
	// The Date of a cached answer is not the time.
	if date, err := http.ParseTime(h.Get("Date")); err == nil && h.Get("Age") == "" {
		c.ahead.Store(int64(c.now().Sub(date)))
	}
}

// clockAhead is how far this machine's clock is ahead of Clerk's, negative if it
// is behind, and 0 if that is not known or within the leeway.
func (c *connection) clockAhead() time.Duration {
	if ahead := time.Duration(c.clock.ahead.Load()); ahead.Abs() > leeway {
		return ahead
	}
	return 0
}

// clerkCode returns the code in an error body of Clerk's shape, and whether the
// error has one. A code is a word of a program: anything else is left out,
// since it may repeat what was asked.
func clerkCode(err error) (code string, fromClerk bool) {
	var e *clerk.APIErrorResponse
	if !errors.As(err, &e) {
		return "", false
	}
	if len(e.Errors) == 0 {
		return "", true
	}
	code = e.Errors[0].Code
	isWord := func(r rune) bool { return 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '_' }
	if len(code) > 64 || strings.ContainsFunc(code, func(r rune) bool { return !isWord(r) }) {
		return "", true
	}
	return code, true
}

// response is what the SDK does not pass on of an answer whose body it could
// not read: an error page of a proxy, say.
type response struct {
	sent       bool
	status     int
	retryAfter time.Duration
}

func (r *response) succeeded() bool { return r.status >= 200 && r.status < 300 }

type responseKey struct{}

// recorder is an [http.RoundTripper] that notes each answer's status and
// Retry-After in the [response] of the request's context, and bounds its body.
type recorder struct {
	next  http.RoundTripper
	clock *clock
}

func (t *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := checkHeader(req.Header); err != nil {
		return nil, err
	}
	seen, ok := req.Context().Value(responseKey{}).(*response)
	if ok {
		seen.sent = true
	}
	res, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	t.clock.compare(res.Header)
	if ok {
		seen.status = res.StatusCode
		seen.retryAfter = retryAfter(res.Header, time.Now())
	}
	res.Body = http.MaxBytesReader(nil, res.Body, maxResponseBytes)
	return res, nil
}

// retryAfter reads RFC 9110, section 10.2.3: seconds or a date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if s, err := strconv.Atoi(v); err == nil {
		return time.Duration(min(max(s, 0), int(maxRateLimitWait/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}
