package clerkauth

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"encore.app/auth/clerkauth/setting"
)

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
// Clerk's own SDKs read, and two alike.
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
		{"OpaqueTokenMaxAge", &o.OpaqueTokenMaxAge, defaultOpaqueTokenMaxAge, maxDuration},
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
