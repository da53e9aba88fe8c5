package clerkauth

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"encore.app/auth/clerkauth/setting"
)

// Options configure an [Authenticator]. Names are those of Clerk's SDKs.
type Options struct {
	// SecretKey is the instance's secret key, sk_test_… or sk_live_…. White space
	// around it is removed. Required.
	SecretKey string

	// JWTKey is the "JWKS Public Key" of Clerk's dashboard, in PEM; its line breaks
	// may be lost or written as \n. With it no keys are ever fetched, and a key
	// that Clerk rotates has to be exchanged here by hand. Optional.
	JWTKey string

	// AuthorizedParties are the origins (scheme, host and port) of the frontends
	// whose tokens are accepted (azp), as browsers write them; apps have their own
	// schemes, as in capacitor://localhost. When empty, azp is not checked, which in
	// production invites tokens made for other origins. The first label may be a
	// wildcard: https://*.preview.example.com accepts one label in its place.
	AuthorizedParties []string

	// AllowMissingAuthorizedParty also accepts tokens without azp, which native apps
	// and other clients that are not browsers obtain.
	AllowMissingAuthorizedParty bool

	// AcceptsToken are the kinds of token that [Authenticator.Authenticate] takes:
	// session tokens alone when empty. Another kind is refused without a call to
	// Clerk (ReasonTokenTypeMismatch).
	AcceptsToken []TokenType

	// CarryClaims names the claims that stay with a [Caller] that is encoded as
	// JSON, 4 KiB of them at most. "*" stands for those that are not Clerk's own.
	// When empty, none stays.
	CarryClaims []string

	// Issuer is the instance's Frontend API URL (iss): an origin, or the URL of your
	// proxy, such as https://app.example.com/__clerk. When empty, https://clerk.…
	// and https://….clerk.accounts.dev are accepted; the signature still ties the
	// token to the instance.
	Issuer string

	// APIURL is where the Backend API is, with or without /v1. The default is
	// https://api.clerk.com.
	APIURL string

	// In the durations below, 0 stands for the default and a negative value for
	// none at all.

	// KeysMaxAge is the maximum age of fetched public keys: 5 minutes by default and
	// at most. A key that Clerk no longer lists is accepted for as long. With none,
	// each request fetches the keys.
	KeysMaxAge time.Duration
	// KeysStaleIfError is how much longer they are used while Clerk is unavailable
	// (named after RFC 5861). The default is 1 hour.
	KeysStaleIfError time.Duration

	// UserMaxAge is how long a loaded user is fresh. The default is 1 minute.
	// With none, users are refreshed every few seconds while they are active.
	UserMaxAge time.Duration
	// UserStaleIfError is how much longer the user is served, while a refresh runs
	// or Clerk is unavailable. The default is 15 minutes. With none, a request waits
	// for Clerk once UserMaxAge has passed.
	UserStaleIfError time.Duration

	// OpaqueTokenMaxAge is the maximum age of Clerk's answer about an API key or an
	// opaque token, and so of one that was revoked. The default is 1 minute, the
	// longest 1 hour. Clerk bills each verification; a token in use is verified
	// again after three quarters of the time, and with none for each request.
	OpaqueTokenMaxAge time.Duration

	// RateLimitShare is the share of Clerk's published rate limit that this process
	// may use: 1,000 calls in 10 seconds with a key sk_live_…, 100 with any other.
	// The default is 0.8. Ten instances at the same time take 0.08 each. It may be
	// more than 1 if Clerk has raised your limit.
	RateLimitShare float64
	// UnknownTokensPerSecond is how many opaque tokens that this process has not
	// seen yet are verified in a second. Anybody can make up such tokens, and after a
	// restart all are new; those above the rate wait. The default is 5 for the
	// default RateLimitShare, and in proportion for another.
	UnknownTokensPerSecond float64

	// HTTPClient makes the calls to Clerk. An [*http.Transport] is copied and sends
	// pings over HTTP/2, which notice a dead connection within 3 seconds.
	HTTPClient *http.Client
	// Observer counts what happens. The default counts nothing.
	Observer Observer
	// Now is the clock. The default is [time.Now].
	Now func() time.Time
}

// maxDuration bounds what one of the durations may be: sums must not overflow.
const maxDuration = 365 * 24 * time.Hour

// defaultRateLimitShare leaves room for other programs with the same key.
const defaultRateLimitShare = 0.8

// defaultUnknownPerSecond is how many secrets that Clerk never knew are verified
// in a second, for a whole RateLimitShare: 5 with the default share. Clerk bills
// each ($0.00001): a flood that never ends costs $4 a day.
const defaultUnknownPerSecond = 6.25

// CallLimit is how many calls to Clerk one process makes in ten seconds at most.
func (o Options) CallLimit() int {
	if o.RateLimitShare == 0 {
		o.RateLimitShare = defaultRateLimitShare
	}
	return int(callLimit(o))
}

// variables name the options that the environment can set, by the names that
// Clerk's own SDKs read, and two names in the same style.
var variables = map[string]string{
	"SecretKey":         "CLERK_SECRET_KEY",
	"JWTKey":            "CLERK_JWT_KEY",
	"APIURL":            "CLERK_API_URL",
	"Issuer":            "CLERK_ISSUER",
	"AuthorizedParties": "CLERK_AUTHORIZED_PARTIES",
}

// ReadEnvironment has the environment's variables win over the options:
// CLERK_SECRET_KEY, CLERK_JWT_KEY, CLERK_API_URL, CLERK_ISSUER, and
// CLERK_AUTHORIZED_PARTIES, which has commas between its origins. An empty
// variable counts as unset. It is for a developer's machine: a deployed app
// should not be pointed at anything but Clerk by its environment.
func (o *Options) ReadEnvironment() {
	for option, into := range map[string]*string{
		"SecretKey": &o.SecretKey,
		"JWTKey":    &o.JWTKey,
		"APIURL":    &o.APIURL,
		"Issuer":    &o.Issuer,
	} {
		if value, ok := setting.Env(variables[option]); ok {
			*into = value
		}
	}
	if parties, ok := setting.Env(variables["AuthorizedParties"]); ok {
		o.AuthorizedParties = setting.List(parties)
	}
}

// OptionError says which of the [Options] cannot be used, and what to write.
type OptionError struct {
	Option   string // the field's name
	Variable string // the variable that [Options.ReadEnvironment] reads it from, if any
	err      error
}

// Error implements error.
func (e *OptionError) Error() string {
	name := e.Option
	if e.Variable != "" {
		name += " (" + e.Variable + ")"
	}
	return "clerkauth: " + name + " " + e.err.Error()
}

// Unwrap returns the error without the option's name.
func (e *OptionError) Unwrap() error { return e.err }

func optionError(option string, err error) error {
	return &OptionError{Option: option, Variable: variables[option], err: err}
}

// complete checks the options and fills in the defaults.
func (o *Options) complete() (err error) {
	if o.SecretKey, err = setting.Secret(o.SecretKey, "sk_test_", "sk_live_"); err != nil {
		return optionError("SecretKey", err)
	}
	if o.APIURL == "" {
		o.APIURL = "https://api.clerk.com"
	}
	if o.APIURL, err = setting.APIURL(o.APIURL); err != nil {
		return optionError("APIURL", err)
	}
	if err := setting.Issuer(o.Issuer); err != nil {
		return optionError("Issuer", fmt.Errorf("%s %w", setting.Shown(o.Issuer), err))
	}
	if o.RateLimitShare == 0 {
		o.RateLimitShare = defaultRateLimitShare
	}
	if calls := callLimit(*o); !(calls >= 2 && calls <= 1e6) {
		return optionError("RateLimitShare", errors.New("leaves less than 2 calls in 10 seconds, or is out of range: write a share such as 0.8, or 0.08 for each of ten instances"))
	}
	if o.UnknownTokensPerSecond == 0 {
		o.UnknownTokensPerSecond = defaultUnknownPerSecond * o.RateLimitShare
	}
	if !(o.UnknownTokensPerSecond > 0 && o.UnknownTokensPerSecond <= 1e8) {
		return optionError("UnknownTokensPerSecond", errors.New("is not between 0 and 100 million"))
	}
	if o.HTTPClient == nil {
		o.HTTPClient = new(http.Client)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o.completeDurations()
}

func (o *Options) completeDurations() error {
	for _, d := range []struct {
		option   string
		value    *time.Duration
		fallback time.Duration
		longest  time.Duration
	}{
		{"KeysMaxAge", &o.KeysMaxAge, 5 * time.Minute, 5 * time.Minute},
		{"KeysStaleIfError", &o.KeysStaleIfError, time.Hour, maxDuration},
		{"UserMaxAge", &o.UserMaxAge, time.Minute, maxDuration},
		{"UserStaleIfError", &o.UserStaleIfError, 15 * time.Minute, maxDuration},
		{"OpaqueTokenMaxAge", &o.OpaqueTokenMaxAge, defaultOpaqueTokenMaxAge, time.Hour},
	} {
		if *d.value == 0 {
			*d.value = d.fallback
		}
		*d.value = max(*d.value, 0) // negative: none
		if *d.value > d.longest {
			return optionError(d.option, fmt.Errorf("is %v: write %v at most", *d.value, d.longest))
		}
	}
	return nil
}

// Observer counts what an [Authenticator] does. Add is called from many
// goroutines at once, on the path of every request and under locks. It must be
// safe and quick, and must not call the Authenticator.
type Observer interface {
	// Add adds n to the counter with the label. Each [Counter] says which few
	// labels it has; no label comes from a request.
	Add(counter Counter, label string, n int)
}

// Counter names what is counted. The labels are those below, and the [Reason] of
// a failure for the first five but CountUserBatches.
//
//	counter           counts                              labels
//	CountDecisions    requests                            accepted
//	CountCalls        calls to Clerk's Backend API        ok, not_found, refused (another 4xx)
//	CountKeyFetches   fetches of the public keys          ok
//	CountUserBatches  calls that load users               sign_in (not cached), refresh (stale), single
//	CountUsers        users whose load ended              loaded, refused (deleted or banned)
//	CountStale        requests served past a maximum age  user, keys
//	CountRateLimit    calls that RateLimitShare forbade   sign_in, machine, refresh, other, unknown_secret, background
type Counter string

// The counters.
const (
	CountDecisions   Counter = "decisions"
	CountCalls       Counter = "calls"
	CountKeyFetches  Counter = "key_fetches"
	CountUserBatches Counter = "user_batches"
	CountUsers       Counter = "users"
	CountStale       Counter = "stale"
	CountRateLimit   Counter = "rate_limit_refusals"
)

// counts is an Observer that may be absent.
type counts struct{ observer Observer }

func (c counts) add(counter Counter, label string, n int) {
	if c.observer != nil && n > 0 {
		c.observer.Add(counter, label, n)
	}
}

// failed returns the label of a failure.
func failed(err error) string { return string(AsError(err).Reason) }
