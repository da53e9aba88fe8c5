package clerkauth

import (
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
	"encore.app/auth/clerkauth/internal/ratelimit"
	"encore.app/auth/clerkauth/internal/usercache"
)

// Options configure an [Authenticator]. Names are those of Clerk's SDKs.
type Options struct {
	// SecretKey is the instance's secret key, sk_test_… or sk_live_…, with or
	// without white space around it. Required.
	SecretKey string

	// JWTKey is the instance's public key in PEM, which Clerk's dashboard shows
	// as "JWKS Public Key". Its line breaks may be lost or written as \n, as in
	// environment variables. With it no keys are ever fetched, and a key that
	// Clerk rotates has to be exchanged here by hand. Optional.
	JWTKey string

	// AuthorizedParties are the origins (scheme, host and port) of the frontends
	// whose tokens are accepted, as browsers write them, compared with the azp
	// claim. Apps have schemes of their own: capacitor://localhost. When empty, azp is
	// not checked, which in production invites tokens made for other origins.
	// The first label may be a wildcard, for preview deployments:
	// https://*.preview.example.com accepts https://pr-7.preview.example.com,
	// and neither https://preview.example.com nor https://a.b.preview.example.com.
	AuthorizedParties []string

	// AllowMissingAuthorizedParty accepts tokens without an azp claim although
	// AuthorizedParties are configured. Native apps obtain such tokens, and so
	// does anything else that is not a browser. Tokens with an azp are still
	// compared.
	AllowMissingAuthorizedParty bool

	// AcceptsToken are the kinds of token that [Authenticator.Authenticate]
	// takes. When empty, it takes session tokens alone. A token of another kind
	// is refused without a call to Clerk (ReasonTokenTypeMismatch).
	AcceptsToken []TokenType

	// CarryClaims names the claims that stay with a [Caller] that is encoded as
	// JSON, at most [MaxCarriedBytes] of them. [AllCustomClaims] stands for those
	// that are not Clerk's own. When empty, none stays.
	CarryClaims []string

	// Issuer is the instance's Frontend API URL, compared with the iss claim: an
	// origin, or the URL of your proxy, such as https://app.example.com/__clerk.
	// When empty, https://clerk.… and https://….clerk.accounts.dev are
	// accepted; the signature still ties the token to the instance.
	Issuer string

	// APIURL is where the Backend API is, with or without /v1. The default is
	// https://api.clerk.com.
	APIURL string

	// In the durations below, 0 stands for the default and a negative value for
	// none at all.

	// KeysMaxAge is for how long fetched public keys serve; a key that Clerk no
	// longer lists is accepted for at most that long. The default, and the
	// longest, is 5 minutes. With none, each request fetches the keys.
	KeysMaxAge time.Duration

	// KeysStaleIfError is for how much longer they serve while Clerk cannot be
	// asked (named after RFC 5861). The default is 1 hour.
	KeysStaleIfError time.Duration

	// UserMaxAge is for how long a loaded user is fresh. The default is 1 minute.
	// With none, users are refreshed every few seconds while they are active.
	UserMaxAge time.Duration

	// UserStaleIfError is for how much longer a user is served as last seen,
	// while a refresh is on its way or Clerk cannot be asked. The default is 15
	// minutes. With none, a request waits for Clerk once UserMaxAge has passed.
	UserStaleIfError time.Duration

	// OpaqueTokenMaxAge is for how long Clerk's answer about an API key or an opaque
	// token is used: a revoked one is refused after that at the latest. The
	// default is 1 minute. Clerk bills each verification, and one in use is
	// verified again after three quarters of the time. With none, each request
	// with such a token waits for Clerk.
	OpaqueTokenMaxAge time.Duration

	// RateLimitShare is the share of Clerk's published rate limit that this process
	// may use: 1,000 calls in 10 seconds with a key sk_live_…, 100 with any
	// other. The default is 0.8. Instances that run at the same time divide it:
	// ten of them take 0.08 each. If Clerk has raised your limit, it may be more
	// than 1.
	RateLimitShare float64

	// UnknownTokensPerSecond is how many opaque tokens of which Clerk has not told
	// yet are verified in a second. Anybody can make up such tokens, and Clerk
	// bills each verification. The default is 5 for the default RateLimitShare, and in
	// proportion for another. Who waits while there are more is a token that is new
	// to this process: after a restart, all are.
	UnknownTokensPerSecond float64

	// HTTPClient makes the calls to Clerk. An
	// [*http.Transport] is copied and sends pings over HTTP/2, so that a dead
	// connection is noticed within 3 seconds.
	HTTPClient *http.Client

	// Observer counts what happens. The default counts nothing.
	Observer Observer

	// Now is the clock. The default is [time.Now].
	Now func() time.Time
}

// maxVerifiedBytes bounds the memory that remembered tokens take.
const maxVerifiedBytes = 32 << 20

// Authenticator authenticates requests by their tokens. It is safe for
// concurrent use, keeps bounded caches, and needs no closing.
type Authenticator struct {
	options  Options
	parties  parties
	accepts  tokenTypes
	carry    *carry
	backend  *Backend
	keys     *keys
	users    *usercache.Cache
	machines *machines
	counts   counts
	refusals *refusals
	cpu      chan struct{}                        // holds a value for each signature that is being verified
	verified *otter.Cache[string, *verifiedToken] // by the whole token
}

// New returns an Authenticator, or an [*OptionError] that says which option is
// wrong and what to write. It asks Clerk nothing yet.
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
	parties, err := newParties(o)
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
// It waits for Clerk only when it has no key, no user or no answer about a
// secret that would do. A call has a deadline of 2.5 seconds, one that loads users
// of 5 seconds. While more users arrive than can be loaded at once, it waits for up
// to 10 seconds.
func (a *Authenticator) Authenticate(ctx context.Context, token string) (caller Caller, err error) {
	if err := a.authenticate(ctx, token, &caller); err != nil {
		a.counts.add(CountDecisions, failed(err), 1)
		return Caller{}, err
	}
	a.counts.add(CountDecisions, "accepted", 1)
	return caller, nil
}

// authenticate fills in the caller, or part of it with an error. Handlers run in
// goroutines of their own: Callers handed on by value would make their stacks
// grow.
func (a *Authenticator) authenticate(ctx context.Context, token string, caller *Caller) error {
	var issuedAt time.Time
	var err error
	if kind, opaque := opaqueType(token); opaque {
		issuedAt = a.options.Now() // Clerk has said so lately
		err = a.authenticateSecret(ctx, kind, token, caller)
	} else {
		issuedAt, err = a.authenticateJWT(ctx, token, caller)
	}
	if err != nil {
		return err
	}
	caller.RawClaims.carry = a.carry
	// Last, so that a refusal counts that came while Clerk was asked.
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
	if v.hasEmail && a.options.Now().Sub(issuedAt) < maxLateTokens {
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
	// Nobody knows when an API key was used to prove who its user is.
	return a.findUser(ctx, caller, time.Time{}, &record.user)
}

// findUser adds what Clerk has of the user to the caller, if there is a user. A
// user who must not come in is an error.
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
