// Package clerkapi is the HTTP client of Clerk's Backend API: the SDK's, with a
// deadline for each call, a bound for each answer, and classes of errors. It
// retries nothing.
//
//	answer                                     class
//	2xx                                        no error
//	4xx in Clerk's words                       Refused
//	401, or 403 that names our key             KeyRefused
//	429                                        RateLimited
//	anything else                              InvalidResponse
//	none in time                               Unreachable
//	none, because the caller's context ended   Canceled
//	none, because of a panic                   Panicked
//	none, because the request is impossible    InvalidRequest
package clerkapi

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
)

const (
	// CallTimeout bounds one call, connection and body included, and
	// LoadTimeout a call that loads several users. While 20,000 users arrive on
	// two processors, an answer waits for seconds until it is read.
	CallTimeout = 2500 * time.Millisecond
	LoadTimeout = 5 * time.Second

	// maxResponseBytes bounds one answer. 100 users with all the metadata that
	// Clerk allows take less.
	maxResponseBytes = 8 << 20

	// The transport sends a ping after a second of silence, and closes the
	// connection 2 seconds later. The kernel would keep a dead connection, with
	// every call on it, for about 15 minutes.
	pingAfter   = time.Second
	pingTimeout = 2 * time.Second

	// Bounds of Retry-After, for a 429 and for any other answer.
	maxRateLimitWait = 5 * time.Minute
	maxRetryAfter    = 15 * time.Second
)

// Client calls the Backend API.
type Client struct {
	api        clerk.Backend
	now        func() time.Time
	clockAhead atomic.Int64 // time.Duration, by the Date of the last answer
	called     func(error)
}

// New returns a client. Called is told the result of each call.
func New(client http.Client, url, secretKey string, now func() time.Time, called func(error)) *Client {
	c := &Client{now: now, called: called}
	client.Transport = &recorder{next: transport(client.Transport), client: c}
	// The Backend API does not redirect.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.api = clerk.NewBackend(&clerk.BackendConfig{HTTPClient: &client, URL: clerk.String(url + "/v1"), Key: clerk.String(secretKey)})
	return c
}

// transport returns the transport with pings and more connections. A transport
// of another type than the standard library's is not changed.
func transport(given http.RoundTripper) http.RoundTripper {
	if given == nil {
		given = http.DefaultTransport
	}
	standard, ok := given.(*http.Transport)
	if !ok {
		return given
	}
	standard = standard.Clone()
	if standard.MaxIdleConnsPerHost == 0 {
		standard.MaxIdleConnsPerHost = 32
	}
	if standard.HTTP2 == nil {
		standard.HTTP2 = &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout}
	}
	return standard
}

// Call makes one call. Its error is an [*Error].
func (c *Client) Call(ctx context.Context, timeout time.Duration, req *clerk.APIRequest, into clerk.ResponseReader) error {
	seen := new(response)
	timed, cancel := context.WithTimeout(context.WithValue(ctx, responseKey{}, seen), timeout)
	defer cancel()
	err := Guard(func() error { return c.api.Call(timed, req, into) })
	if err == nil && seen.status >= 200 && seen.status < 300 {
		c.called(nil)
		return nil
	}
	failure := classify(err, seen)
	switch {
	case ctx.Err() != nil:
		failure = &Error{Class: Canceled, Cause: ctx.Err()}
	case timed.Err() != nil:
		failure = &Error{Class: Unreachable, Cause: context.DeadlineExceeded}
	}
	failure.Call = req.Method + " " + Route(req.Path)
	c.called(failure)
	return failure
}

// Route is a path without the ids in it, such as
// /organizations/.../memberships/... : in Clerk's API each second part is an id.
func Route(path string) string {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	for i := 1; i < len(parts); i += 2 {
		parts[i] = "..."
	}
	return "/" + strings.Join(parts, "/")
}

// keyCodes are Clerk's words for a secret key that it does not accept:
// https://clerk.com/docs/errors/authentication
var keyCodes = []string{
	"clerk_key_invalid", "secret_key_invalid", "authentication_invalid", "authorization_header_format_invalid",
}

// classify drops the SDK's own errors, which can hold Clerk's whole answer.
func classify(err error, seen *response) *Error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return &Error{Class: InvalidResponse, Cause: ErrTooLarge}
	}
	if u := new(url.Error); errors.As(err, &u) {
		err = u.Err
	}
	code, fromClerk := clerkCode(err)
	e := &Error{Status: seen.status, Code: code, RetryAfter: min(seen.retryAfter, maxRetryAfter)}
	switch status := seen.status; {
	case !seen.sent:
		e.Class, e.Cause = InvalidRequest, err
	case status == 0, errors.Is(err, context.DeadlineExceeded): // the HTTP client's own deadline
		e.Class, e.Cause = Unreachable, err
	case status == http.StatusTooManyRequests:
		e.Class, e.RetryAfter = RateLimited, seen.retryAfter
	case status == http.StatusUnauthorized && !fromClerk,
		(status == http.StatusUnauthorized || status == http.StatusForbidden) && slices.Contains(keyCodes, code):
		e.Class = KeyRefused
	case status >= 400 && status < 500 && fromClerk:
		e.Class = Refused
	default:
		e.Class, e.Cause = InvalidResponse, fmt.Errorf("status %d", status)
	}
	return e
}

// clerkCode returns the code in an error body of Clerk's shape, and whether the
// error has that shape. It leaves out a code that is not a word of a program:
// such a code may repeat a part of the request.
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

// response is what the SDK does not pass on of an answer whose body it could not
// read, such as an error page of a proxy.
type response struct {
	sent       bool
	status     int
	retryAfter time.Duration
}

type responseKey struct{}

// recorder is an [http.RoundTripper] that fills in the [response] of the request's
// context, and bounds the body.
type recorder struct {
	next   http.RoundTripper
	client *Client
}

// RoundTrip implements [http.RoundTripper].
func (t *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	seen := req.Context().Value(responseKey{}).(*response)
	seen.sent = true
	res, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	// The Date of a cached answer is not the time.
	if date, err := http.ParseTime(res.Header.Get("Date")); err == nil && res.Header.Get("Age") == "" {
		t.client.clockAhead.Store(int64(t.client.now().Sub(date)))
	}
	seen.status, seen.retryAfter = res.StatusCode, retryAfter(res.Header, t.client.now())
	res.Body = http.MaxBytesReader(nil, res.Body, maxResponseBytes)
	return res, nil
}

// ClockAhead is how far this machine's clock is ahead of Clerk's, negative if it
// is behind.
func (c *Client) ClockAhead() time.Duration { return time.Duration(c.clockAhead.Load()) }

// retryAfter reads RFC 9110, section 10.2.3: seconds or a date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if s, err := strconv.Atoi(v); err == nil {
		return time.Duration(min(max(s, 0), int(maxRateLimitWait/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return min(max(at.Sub(now), 0), maxRateLimitWait)
	}
	return 0
}
