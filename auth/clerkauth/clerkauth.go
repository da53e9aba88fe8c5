// Package clerkauth authenticates requests with the tokens that Clerk issues. A
// token goes in, a caller comes out:
//
//	authenticator, err := clerkauth.New(clerkauth.Options{
//		SecretKey:         os.Getenv("CLERK_SECRET_KEY"),
//		AuthorizedParties: []string{"https://app.example.com"},
//	})
//	...
//	caller, err := authenticator.Authenticate(ctx, token)
//
// With net/http, [Authenticator.Middleware] does it for each request, and
// [FromContext] returns the caller. The package depends on no framework.
//
// # Session tokens
//
// They are verified with Clerk's Go SDK and the public keys of the instance,
// which are fetched every few minutes. A token that Clerk's JavaScript SDK
// refuses is refused here; the tests compare the two on thousands of tokens.
// The user's primary email address is loaded from Clerk, unless the token has
// an email claim, and refreshed in the background. So most requests wait for
// nothing.
//
// # Errors
//
// Every error of Authenticate is an [*Error]. Its [Kind] decides what to
// answer. A token that is not good is a 401. If Clerk cannot be reached, the
// answer is a 503, which keeps users signed in. Its [Reason] is for the log. No
// error holds a token, a key or an email address.
//
// # What a caller may do
//
// [Caller.Has] and [Caller.Require] decide on roles, permissions, features,
// plans and reverification as has() of Clerk's SDKs does:
//
//	if err := caller.Require(clerkauth.Role("org:admin")); err != nil {
//		// a *clerkauth.MissingError: 403
//	}
//
// # Machines
//
// With [Options].AcceptsToken it also takes API keys, machine-to-machine (M2M)
// tokens and OAuth access tokens. A machine has scopes, and no role,
// permission, feature, plan or recent verification, even where it acts for a
// user. Each endpoint says which kinds it takes ([Accepts]) and with which
// [Scope].
//
// # The connection to Clerk
//
// All calls to Clerk's Backend API share one connection, a budget below Clerk's
// rate limit, and a back-off. [Authenticator.Backend] lends it to the clients of
// Clerk's SDK. [Authenticator.StoreUser], [Authenticator.RevokeUser] and
// [Authenticator.RevokeSession] pass on what Clerk's webhooks report.
package clerkauth

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"encore.app/auth/clerkauth/internal/batch"
	"encore.app/auth/clerkauth/internal/cache"
	"encore.app/auth/clerkauth/internal/origin"
	"encore.app/auth/clerkauth/internal/ratelimit"
	"encore.app/auth/clerkauth/internal/usercache"
)

// maxVerifiedBytes bounds the memory of the cache of verified tokens.
const maxVerifiedBytes = 32 << 20

// Authenticator authenticates requests by their tokens. It is safe for
// concurrent use, keeps bounded caches, and needs no closing.
type Authenticator struct {
	options  Options
	parties  origin.List
	accepts  tokenTypes
	carry    *carry
	backend  *Backend
	keys     *keys
	users    *usercache.Cache
	machines *machines
	counts   counts
	refusals *refusals
	cpu      chan struct{} // holds a value for each signature that is being verified
	watches  watches
	verified cache.Cache[string, *verifiedToken] // by the whole token
}

// New returns an Authenticator, or an [*OptionError] that says which option is
// wrong and what to write. It does not call Clerk.
func New(o Options) (*Authenticator, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	accepts, err := newTokenTypes(o.AcceptsToken)
	if err != nil {
		return nil, optionError("AcceptsToken", err)
	}
	carry, err := newCarry(o.CarryClaims)
	if err != nil {
		return nil, optionError("CarryClaims", err)
	}
	parties, err := origin.New(o.AuthorizedParties, o.AllowMissingAuthorizedParty)
	if err != nil {
		return nil, optionError("AuthorizedParties", err)
	}
	backend := newBackend(o)
	keys, err := newKeys(backend.client, o)
	if err != nil {
		return nil, optionError("JWTKey", err)
	}
	return &Authenticator{
		options:  o,
		parties:  parties,
		accepts:  accepts,
		carry:    carry,
		backend:  backend,
		keys:     keys,
		users:    newUsers(backend, o),
		machines: newMachines(backend, o),
		refusals: newRefusals(o),
		cpu:      make(chan struct{}, 2*runtime.GOMAXPROCS(0)),
		counts:   counts{o.Observer},
		verified: cache.New(o.Now, otter.Options[string, *verifiedToken]{
			MaximumWeight: maxVerifiedBytes,
			Weigher:       func(token string, v *verifiedToken) uint32 { return uint32(len(token) + v.size()) },
			ExpiryCalculator: otter.ExpiryCreatingFunc(func(e otter.Entry[string, *verifiedToken]) time.Duration {
				return e.Value.validity.expiry.Add(leeway).Sub(o.Now())
			}),
		}),
	}, nil
}

// Backend returns the connection to Clerk that the Authenticator itself uses,
// for the application's other calls. Sign-ins come before them.
func (a *Authenticator) Backend() *Backend { return a.backend }

// Authenticate returns the caller that the token belongs to. The token comes
// without a scheme, as [BearerToken] returns it, and is of one of the kinds in
// [Options].AcceptsToken. Every error is an [*Error].
//
// It waits for Clerk only when it has no usable key, user or verified secret. A
// call has a deadline of 2.5 seconds, one that loads users of 5 seconds. While more
// users arrive than can be loaded at once, it waits for up to 10 seconds.
func (a *Authenticator) Authenticate(ctx context.Context, token string) (caller Caller, err error) {
	if err := a.authenticate(ctx, token, &caller); err != nil {
		a.counts.add(CountDecisions, failed(err), 1)
		return Caller{}, err
	}
	a.counts.add(CountDecisions, "accepted", 1)
	return caller, nil
}

// authenticate fills in the caller, or part of it with an error. Each handler
// runs in a new goroutine: Callers passed by value would make its stack grow.
func (a *Authenticator) authenticate(ctx context.Context, token string, caller *Caller) error {
	var issuedAt time.Time
	var err error
	if kind, opaque := opaqueType(token); opaque {
		issuedAt = a.options.Now() // Clerk has verified it recently
		err = a.authenticateSecret(ctx, kind, token, caller)
	} else {
		issuedAt, err = a.authenticateJWT(ctx, token, caller)
	}
	if err != nil {
		return err
	}
	caller.RawClaims.carry = a.carry
	// Last, so that a refusal that arrived during a call to Clerk counts.
	if reason := a.refusals.check(caller, issuedAt); reason != "" {
		return refuse(reason)
	}
	return nil
}

// authenticateJWT authenticates with a token that is verified here, and returns
// when it was issued. The user of a token with an email claim is loaded only if
// the token is older than Clerk's usually get: it tells of no ban since then.
func (a *Authenticator) authenticateJWT(ctx context.Context, token string, caller *Caller) (issuedAt time.Time, err error) {
	v, err := a.verifiedToken(ctx, token)
	if err != nil {
		return time.Time{}, err
	}
	v.caller.copyTo(caller)
	issuedAt = v.validity.issuedAt
	age := a.options.Now().Sub(issuedAt)
	caller.FactorVerificationAge.add(age)
	if v.hasEmail && age < maxLateTokens {
		return issuedAt, nil
	}
	return issuedAt, a.findUser(ctx, caller, issuedAt, &v.user)
}

// authenticateSecret authenticates with a token that Clerk alone can verify.
func (a *Authenticator) authenticateSecret(ctx context.Context, kind TokenType, secret string, caller *Caller) error {
	if !a.accepts.has(kind) {
		return refuse(ReasonTokenTypeMismatch, "token_type", string(kind))
	}
	record, err := a.machines.find(ctx, kind, secret)
	if err != nil {
		return err
	}
	record.caller.copyTo(caller)
	// An API key has no issue time, so a cached refusal applies to it.
	return a.findUser(ctx, caller, time.Time{}, &record.user)
}

// findUser adds what Clerk has of the user to the caller, if there is a user. A
// deleted or banned user is an error.
func (a *Authenticator) findUser(ctx context.Context, caller *Caller, issuedAt time.Time, last *atomic.Pointer[usercache.Entry]) error {
	if caller.UserID == "" {
		return nil
	}
	user, err := a.users.Find(ctx, caller.UserID, issuedAt, last)
	if err != nil {
		if errors.Is(err, batch.ErrLate) {
			a.counts.add(CountRateLimit, string(ratelimit.SignIn), 1)
		}
		return userError(err)
	}
	if user.Refusal == usercache.Unknown && a.keys.local != nil {
		return refuse(ReasonUnknownUser, "verified_with", "JWTKey")
	}
	if user.Refusal != "" {
		return refuse(Reason(user.Refusal))
	}
	caller.Email, caller.EmailVerified = user.PrimaryEmail, user.EmailVerified
	return nil
}

// verifiedToken verifies the token unless that has been done before with a key
// that is still good.
func (a *Authenticator) verifiedToken(ctx context.Context, token string) (*verifiedToken, error) {
	if len(token) > MaxTokenBytes {
		return nil, refuse(ReasonTooLarge, "bytes", len(token)) // before the cache reads all of it
	}
	if v, ok := a.verified.GetIfPresent(token); ok {
		key, err := a.keys.find(ctx, v.keyID)
		if err != nil {
			return nil, err
		}
		if key == v.key {
			if refusal := a.checkTime(v.validity); refusal != nil {
				return nil, refusal
			}
			return v, nil
		}
		a.verified.Invalidate(token)
	}
	v, err := a.verify(ctx, token)
	if err != nil {
		return nil, err
	}
	token = strings.Clone(token) // the caller's string may be part of a longer one
	v.caller.RawClaims = encodedClaims(token)
	a.verified.Set(token, v)
	return v, nil
}

// sdkClock is a clock as the SDK wants it.
type sdkClock func() time.Time

func (c sdkClock) Now() time.Time { return c() }

// Middleware returns a handler that authenticates each request by its
// Authorization header, and calls next with the caller in the request's context
// ([FromContext]).
//
// A request without a caller goes to refuse, which answers it. If refuse is nil
// the answer is a status and an empty body: see [Error.HTTPStatus]. To also
// serve requests without a signed-in caller, have refuse call the handler
// itself when the Kind is Unauthenticated:
//
//	func(w http.ResponseWriter, r *http.Request, err *clerkauth.Error) {
//		if err.Kind == clerkauth.Unauthenticated {
//			page.ServeHTTP(w, r)
//			return
//		}
//		w.WriteHeader(err.HTTPStatus())
//	}
func (a *Authenticator) Middleware(next http.Handler, refuse func(http.ResponseWriter, *http.Request, *Error)) http.Handler {
	if refuse == nil {
		refuse = refuseEmpty
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, err := BearerToken(r.Header.Get("Authorization"))
		if err != nil {
			refuse(w, r, AsError(err))
			return
		}
		caller, err := a.Authenticate(r.Context(), token)
		if err != nil {
			refuse(w, r, AsError(err))
			return
		}
		next.ServeHTTP(w, r.WithContext(NewContext(r.Context(), &caller)))
	})
}

func refuseEmpty(w http.ResponseWriter, _ *http.Request, err *Error) {
	status := err.HTTPStatus()
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer") // RFC 9110, section 11.6.1
	}
	w.WriteHeader(status)
}

// statusClientClosedRequest is nginx's word to its log for a client that is
// gone; it never reaches one.
const statusClientClosedRequest = 499

// HTTPStatus returns the status of the answer to a request that failed with e:
// 401 for Unauthenticated, 503 for Unavailable, 500 for Misconfigured, and 499
// for Canceled. The client of a canceled request no longer reads the answer.
func (e *Error) HTTPStatus() int {
	switch e.Kind {
	case Unauthenticated:
		return http.StatusUnauthorized
	case Unavailable:
		return http.StatusServiceUnavailable
	case Canceled:
		return statusClientClosedRequest
	}
	return http.StatusInternalServerError
}

type contextKey struct{}

// NewContext returns a context that carries the caller. [Authenticator.Middleware]
// does this for each request; a test of a handler can do it without a token.
func NewContext(ctx context.Context, caller *Caller) context.Context {
	return context.WithValue(ctx, contextKey{}, caller)
}

// FromContext returns the caller of the request that ctx belongs to, and false
// if the request has no caller.
func FromContext(ctx context.Context) (*Caller, bool) {
	caller, ok := ctx.Value(contextKey{}).(*Caller)
	return caller, ok && caller != nil
}

// BearerToken gives the token of an Authorization header's value. The scheme is
// matched without regard to case (RFC 9110, section 11.1); a value of another
// scheme, or without a token, is an [*Error] with ReasonMissingToken.
func BearerToken(authorization string) (string, error) {
	scheme, token, _ := strings.Cut(authorization, " ")
	token = strings.TrimLeft(token, " ")
	if strings.EqualFold(scheme, "Bearer") && token != "" {
		return token, nil
	}
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		return "", refuse(ReasonMissingToken, "sent", "Bearer without a token")
	case strings.HasPrefix(authorization, "ey"):
		return "", refuse(ReasonMissingToken, "sent", "a token without Bearer")
	case strings.HasPrefix(token, "ey"):
		return "", refuse(ReasonMissingToken, "sent", "a token with another scheme than Bearer")
	}
	return "", refuse(ReasonMissingToken)
}

// subprotocolPrefix begins the WebSocket subprotocol that carries a token.
const subprotocolPrefix = "bearer."

// SubprotocolToken returns the token that a page sends with a WebSocket, for which
// browsers let it set no other header than Sec-WebSocket-Protocol:
//
//	new WebSocket(url, ["live", "bearer." + await getToken()])
//
// rest is the header's value without tokens, for the server to choose from. The
// token is "" where there is none, and both are where the header is longer than one
// token can make it.
func SubprotocolToken(protocols string) (token, rest string) {
	if len(protocols) > MaxTokenBytes+maxHeaderBytes {
		return "", ""
	}
	var others []string
	for protocol := range strings.SplitSeq(protocols, ",") {
		protocol = strings.TrimSpace(protocol)
		if sent, ok := strings.CutPrefix(protocol, subprotocolPrefix); ok {
			token = cmp.Or(token, sent)
		} else if protocol != "" {
			others = append(others, protocol)
		}
	}
	return token, strings.Join(others, ", ")
}

// AllowsOrigin reports whether a page of the origin is one of the
// AuthorizedParties. A WebSocket is open to pages of every site: its server
// compares the Origin header. "", which only a client other than a browser sends,
// is allowed.
func (a *Authenticator) AllowsOrigin(origin string) bool {
	return origin == "" || a.parties.Accept(origin)
}

// ScopeName returns the scope that r requires, and false if r is no [Scope].
func (r Requirement) ScopeName() (string, bool) { return r.name, r.kind == requireScope }

// IsFor reports whether an OAuth access token was issued for the resource: the URL
// that the client sent as resource (RFC 8707), with or without a final slash.
func (c *Caller) IsFor(resource string) bool {
	for _, audience := range c.Audience {
		if strings.TrimSuffix(audience, "/") == strings.TrimSuffix(resource, "/") {
			return true
		}
	}
	return false
}

// Issuer returns [Options].Issuer, "" if no issuer is configured.
func (a *Authenticator) Issuer() string { return a.options.Issuer }
