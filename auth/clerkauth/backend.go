package clerkauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
)

const (
	// callTimeout bounds one call to Clerk, connection and body included. Nobody
	// waits longer, so nothing is gained by a longer call.
	callTimeout = patience
	// maxResponseBytes bounds what is read of one answer.
	maxResponseBytes = 4 << 20

	firstBackoff = 500 * time.Millisecond
	maxBackoff   = 15 * time.Second
	// maxRetryAfter bounds what a 429 can make us wait.
	maxRetryAfter = 5 * time.Minute
)

// backend is the SDK's connection to Clerk's Backend API plus what the SDK
// leaves to its caller: a deadline for each call, errors sorted by [Kind], and
// one back-off for the whole process. While Clerk is failing, calls return the
// last failure at once; when the back-off is over, a single call goes out to
// see whether Clerk is back. Nothing is ever retried on behalf of a request.
type backend struct {
	api clerk.Backend
	now func() time.Time

	mu       sync.Mutex
	failure  *Error    // the last call's failure; nil while Clerk answers
	failures int       // failures in a row
	until    time.Time // no call before then
	probing  bool      // a call is out to see whether Clerk is back
}

func newBackend(o Options) *backend {
	client := *o.HTTPClient
	client.Transport = &recorder{next: client.Transport}
	// The Backend API does not redirect; whoever does is not Clerk.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &backend{
		now: o.Now,
		api: clerk.NewBackend(&clerk.BackendConfig{
			HTTPClient: &client,
			URL:        clerk.String(o.APIURL + "/v1"),
			Key:        clerk.String(o.SecretKey),
		}),
	}
}

// Call implements [clerk.Backend]. Its errors are of type *Error, except
// errNotFound and errLastAdministrator. It does not end with ctx, because what
// it fetches is shared.
func (b *backend) Call(ctx context.Context, req *clerk.APIRequest, into clerk.ResponseReader) error {
	if err := b.start(); err != nil {
		return err
	}
	seen := new(response)
	ctx = context.WithValue(context.WithoutCancel(ctx), responseKey{}, seen)
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := sortError(b.api.Call(ctx, req, into), seen)
	b.done(err, seen.retryAfter)
	return err
}

// available reports whether a call would go out now.
func (b *backend) available() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failure == nil || !b.now().Before(b.until) && !b.probing
}

func (b *backend) start() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failure == nil {
		return nil
	}
	if b.probing || b.now().Before(b.until) {
		return b.failure
	}
	b.probing = true
	return nil
}

func (b *backend) done(err error, retryAfter time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.probing = false
	var failure *Error
	if !errors.As(err, &failure) {
		b.failure, b.failures = nil, 0
		return
	}
	now := b.now()
	if b.failure != nil && now.Before(b.until) {
		return // one of many calls that were out when the back-off began
	}
	b.failure = failure
	delay := min(firstBackoff<<min(b.failures, 10), maxBackoff)
	b.until = now.Add(max(delay, min(retryAfter, maxRetryAfter)))
	b.failures++
}

// errNotFound: Clerk itself says that there is no such resource.
var errNotFound = errors.New("not found")

// sortError turns what the SDK returned into an *Error. The SDK's own errors
// are dropped, because they can hold Clerk's whole answer.
func sortError(err error, seen *response) error {
	switch status := seen.status; {
	case err == nil:
		return nil
	case status == 0:
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the URL
		}
		return &Error{Kind: Unavailable, Reason: ReasonUnreachable, cause: err}
	case status == http.StatusTooManyRequests:
		return &Error{Kind: Unavailable, Reason: ReasonRateLimited}
	case status < 500 && hasCode(err, "organization_minimum_permissions_needed"):
		return errLastAdministrator
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return &Error{Kind: Misconfigured, Reason: ReasonSecretKeyRefused}
	case status == http.StatusNotFound && hasCode(err, "resource_not_found"):
		return errNotFound
	case status >= 400 && status < 500 && isClerkError(err):
		return &Error{Kind: Misconfigured, Reason: ReasonRequestRefused, cause: fmt.Errorf("status %d", status)}
	}
	return &Error{Kind: Unavailable, Reason: ReasonInvalidResponse, cause: fmt.Errorf("status %d", seen.status)}
}

func isClerkError(err error) bool {
	var e *clerk.APIErrorResponse
	return errors.As(err, &e)
}

func hasCode(err error, code string) bool {
	var e *clerk.APIErrorResponse
	if !errors.As(err, &e) {
		return false
	}
	for _, one := range e.Errors {
		if one.Code == code {
			return true
		}
	}
	return false
}

// response is what the SDK does not pass on of an answer whose body it could
// not read: an error page of a proxy, say.
type response struct {
	status     int
	retryAfter time.Duration
}

type responseKey struct{}

// recorder is an [http.RoundTripper] that notes each answer's status and
// Retry-After in the [response] of the request's context, and bounds its body.
type recorder struct{ next http.RoundTripper }

func (t *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if seen, ok := req.Context().Value(responseKey{}).(*response); ok {
		seen.status = res.StatusCode
		seen.retryAfter = retryAfter(res.Header, time.Now())
	}
	res.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(res.Body, maxResponseBytes), res.Body}
	return res, nil
}

// retryAfter reads RFC 9110, section 10.2.3: seconds or a date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if s, err := strconv.Atoi(v); err == nil {
		return time.Duration(min(max(s, 0), int(maxRetryAfter/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return at.Sub(now)
	}
	return 0
}
