package clerkauth

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"

	"encore.app/auth/clerkauth/internal/backoff"
	"encore.app/auth/clerkauth/internal/batch"
	"encore.app/auth/clerkauth/internal/breaker"
	"encore.app/auth/clerkauth/internal/clerkapi"
	"encore.app/auth/clerkauth/internal/ratelimit"
	"encore.app/auth/clerkauth/internal/usercache"
)

// Backend is the process's connection to Clerk's Backend API. Every client of
// Clerk's SDK works on it:
//
//	members := organizationmembership.Client{Backend: authenticator.Backend()}
//
// Each call has a deadline of 2.5 seconds. Calls stay within
// [Options].RateLimitShare, and sign-ins come first: an [*Error] with
// [ReasonRateLimitShare] stands for a call that was not made. Where calls have to
// wait, tenants take turns: the active organization of the caller in the context
// ([NewContext]), or the caller. While Clerk as a whole fails, no call is made. A
// call that fails keeps only calls for the same thing waiting, and a 429 calls to
// the same route. No call is retried.
type Backend struct {
	client  *clerkapi.Client
	limiter *ratelimit.Limiter
	breaker *breaker.Breaker // of loading users; its state decides for all calls
	failed  *backoff.Keyed   // by route, and by the thing requested
	purpose ratelimit.Class  // of Call
}

func newBackend(o Options) *Backend {
	counts := counts{o.Observer}
	called := func(err error) { counts.add(CountCalls, callResult(err), 1) }
	refused := func(c ratelimit.Class) { counts.add(CountRateLimit, string(c), 1) }
	return &Backend{
		client:  clerkapi.New(*o.HTTPClient, o.APIURL, o.SecretKey, o.Now, called),
		limiter: ratelimit.New(callLimit(o), o.UnknownTokensPerSecond, o.Now, refused),
		breaker: breaker.New(o.Now),
		failed:  backoff.New(o.Now),
		purpose: ratelimit.Other,
	}
}

func callResult(err error) string {
	var e *clerkapi.Error
	switch {
	case err == nil:
		return "ok"
	case clerkapi.IsNotFound(err):
		return "not_found"
	case errors.As(err, &e) && e.Class == clerkapi.Refused:
		return "refused"
	}
	return failed(exported(err))
}

// callLimit is how many calls this process may make in ten seconds.
func callLimit(o Options) float64 {
	limit := 100.0
	if strings.HasPrefix(o.SecretKey, "sk_live_") {
		limit = 1000
	}
	return o.RateLimitShare * limit
}

// Background returns the same connection for work that no request waits for.
// Its calls leave more of the rate limit to others, and wait for up to 10
// seconds.
func (b *Backend) Background() *Backend {
	background := *b
	background.purpose = ratelimit.Background
	return &background
}

// Call implements [clerk.Backend]. Its error is an [*Error], or an [*APIError]
// if Clerk refuses the thing asked for. It ends with ctx.
func (b *Backend) Call(ctx context.Context, req *clerk.APIRequest, into clerk.ResponseReader) error {
	return b.call(ctx, b.purpose, tenant(ctx), subject(req), req, into)
}

// tenant returns the caller for whose request a call is made, "" if the context
// has none.
func tenant(ctx context.Context) string {
	caller, ok := FromContext(ctx)
	switch {
	case !ok:
		return ""
	case caller.Organization.ID != "":
		return caller.Organization.ID
	}
	return caller.Subject
}

// call is Call for a tenant, and for a subject, for which alone calls wait after
// a failure. Without a subject ("") none does.
func (b *Backend) call(ctx context.Context, purpose ratelimit.Class, tenant, subject string, req *clerk.APIRequest, into clerk.ResponseReader) error {
	if failure := b.breaker.Blocked(); failure != nil {
		return userError(failure)
	}
	// Clerk limits some routes on their own.
	route := req.Method + " " + clerkapi.Route(req.Path)
	for _, key := range []string{route, subject} {
		if failure, _ := b.failed.Check(key); failure != nil {
			return failure
		}
	}
	if !b.limiter.Wait(ctx, purpose, tenant) {
		return errRateLimitShare
	}
	err := exported(b.client.Call(ctx, clerkapi.CallTimeout, req, into))
	var failure *Error
	switch {
	case !errors.As(err, &failure):
		b.failed.Clear(subject)
		b.failed.Clear(route)
	case failure.Reason == ReasonRateLimited:
		b.failed.Add(route, failure, failure.retryAfter)
	case failure.Kind != Canceled && subject != "":
		b.failed.Add(subject, failure, failure.retryAfter)
	}
	return err
}

// subject names the thing that a request is about. A request that creates or
// changes something says in its body which one.
func subject(req *clerk.APIRequest) string {
	name := "for " + req.Method + " " + req.Path
	switch {
	case req.Method == http.MethodDelete:
		return name
	case req.Method == http.MethodGet && req.Params != nil:
		return name + "?" + req.Params.ToQuery().Encode()
	case req.Method == http.MethodGet:
		return name
	}
	return ""
}

// newUsers returns the cache of users, who are loaded by the Backend.
func newUsers(b *Backend, o Options) *usercache.Cache {
	counts := counts{o.Observer}
	users := usercache.New(o.UserMaxAge, o.UserStaleIfError, o.Now, func() { counts.add(CountStale, "user", 1) })
	users.Loader = batch.New(batch.Config[usercache.Record]{
		Now: o.Now, Limiter: b.limiter, Breaker: b.breaker, Store: users.Put,
		Fetch: func(ids []string) (found map[string]batch.Result[usercache.Record], err error) {
			err = clerkapi.Guard(func() (err error) {
				found, err = usercache.Fetch(b.client, ids, o.Now())
				return err
			})
			return found, err
		},
		Classify: b.classify,
		Sent:     func(queue string) { counts.add(CountUserBatches, queue, 1) },
		Ended: func(user usercache.Record, err error) {
			switch {
			case err != nil:
				counts.add(CountUsers, failed(userError(err)), 1)
			case user.Refusal != "":
				counts.add(CountUsers, "refused", 1)
			default:
				counts.add(CountUsers, "loaded", 1)
			}
		},
	})
	return users
}

// classify says what a failure to load users tells of Clerk. Clerk's refusal of
// the request may be about a record, since the request is always the same.
func (b *Backend) classify(err error) (breaker.Outcome, time.Duration) {
	var e *clerkapi.Error
	if !errors.As(err, &e) {
		return breaker.Unclear, 0
	}
	switch e.Class {
	case clerkapi.RateLimited:
		b.limiter.PauseRefreshes(e.RetryAfter)
		return breaker.Failed, e.RetryAfter
	case clerkapi.KeyRefused, clerkapi.InvalidRequest:
		return breaker.Failed, e.RetryAfter
	}
	return breaker.Unclear, e.RetryAfter
}
