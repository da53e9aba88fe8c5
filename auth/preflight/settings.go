// Package preflight checks an app before it starts: its settings, the environment
// that it was built for, and its infrastructure configuration. An error says in
// one line what to write and where.
package preflight

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"encore.dev"

	"encore.app/auth/authz"
	"encore.app/auth/clerkauth"
	"encore.app/auth/clerkauth/setting"
)

// Config is what auth/config.cue sets, which also documents the fields.
type Config struct {
	BuiltFor          string
	AuthorizedParties []string
	Issuer            string
	JWTKey            string
	AcceptsToken      []string
	CarryClaims       []string

	AllowMissingAuthorizedParty bool
	AllowLocalhost              bool

	KeysMaxAge        string
	KeysStaleIfError  string
	UserMaxAge        string
	UserStaleIfError  string
	OpaqueTokenMaxAge string

	RateLimitShare         float64
	UnknownTokensPerSecond float64
}

// Settings are the config and the secret of the service auth, as written, and the
// environment that they are for.
type Settings struct {
	Config
	SecretKey   string
	Environment encore.EnvironmentMeta
}

// fakeClerkKey is the secret key of the fake Clerk. A .secrets.local.cue may still
// hold it when the real key is set elsewhere.
const fakeClerkKey = "sk_test_fakeclerk"

// Options returns the options of the authenticator, or an error that says what
// to write and where. On a developer's machine the environment's variables win.
func (s *Settings) Options(log authz.Logger) (clerkauth.Options, error) {
	o := clerkauth.Options{
		SecretKey:         s.SecretKey,
		JWTKey:            s.JWTKey,
		AuthorizedParties: s.AuthorizedParties,
		Issuer:            s.Issuer,
		CarryClaims:       s.CarryClaims,
		RateLimitShare:    s.RateLimitShare,

		UnknownTokensPerSecond: s.UnknownTokensPerSecond,

		AllowMissingAuthorizedParty: s.AllowMissingAuthorizedParty,
	}
	for _, name := range s.AcceptsToken {
		o.AcceptsToken = append(o.AcceptsToken, clerkauth.TokenType(name))
	}
	if err := s.durations(&o); err != nil {
		return o, err
	}
	if s.RateLimitShare == 0 { // clerkauth would take its default
		return o, errors.New("auth/config.cue: RateLimitShare is 0: write a share such as 0.8")
	}
	if s.local() {
		o.ReadEnvironment()
	}
	if o.SecretKey = strings.TrimSpace(o.SecretKey); o.SecretKey == "" {
		return o, fmt.Errorf("the secret ClerkSecretKey (CLERK_SECRET_KEY) is not set: run `encore secret set --type %s ClerkSecretKey`,"+
			" or write it to .secrets.local.cue", secretType(s.Environment))
	}
	if s.SecretKey == fakeClerkKey && o.SecretKey == s.SecretKey && o.APIURL == "" {
		log.Warn("ClerkSecretKey is the fake Clerk's key, which Clerk refuses",
			"hint", "delete .secrets.local.cue, or write your own key to it: it wins over `encore secret set`")
	}
	if strings.HasPrefix(o.SecretKey, "sk_live_") && s.Environment.Type != encore.EnvProduction {
		log.Warn("ClerkSecretKey is a production instance's key outside production",
			"hint", fmt.Sprintf("run `encore secret set --type %s ClerkSecretKey` with the key of a development instance, sk_test_…", secretType(s.Environment)))
	}
	if len(o.AuthorizedParties) == 0 {
		log.Warn("session tokens of any origin are accepted", "hint", "list the origins of your frontends in AuthorizedParties of auth/config.cue")
	}
	return o, nil
}

func (s *Settings) durations(o *clerkauth.Options) error {
	for _, d := range []struct {
		name  string
		value string
		into  *time.Duration
	}{
		{"KeysMaxAge", s.KeysMaxAge, &o.KeysMaxAge},
		{"KeysStaleIfError", s.KeysStaleIfError, &o.KeysStaleIfError},
		{"UserMaxAge", s.UserMaxAge, &o.UserMaxAge},
		{"UserStaleIfError", s.UserStaleIfError, &o.UserStaleIfError},
		{"OpaqueTokenMaxAge", s.OpaqueTokenMaxAge, &o.OpaqueTokenMaxAge},
	} {
		value, err := setting.Duration(d.value)
		if err != nil {
			return fmt.Errorf("auth/config.cue: %s %w", d.name, err)
		}
		if value == 0 {
			value = -1 // none; 0 is the default for clerkauth
		}
		*d.into = value
	}
	return nil
}

// local reports whether the environment's variables count.
func (s *Settings) local() bool { return Local && s.Environment.Cloud == encore.CloudLocal }

// Authenticator returns the authenticator of an app. A deployed app that was
// built or started wrongly ends here, with a line that says what to write and
// where: see [Settings.CheckDeployment].
func (s *Settings) Authenticator(observer clerkauth.Observer, log authz.Logger) (*clerkauth.Authenticator, error) {
	a, err := s.authenticator(observer, log)
	if err != nil {
		return nil, ExitIfDeployed(err, log)
	}
	return a, nil
}

func (s *Settings) authenticator(observer clerkauth.Observer, log authz.Logger) (*clerkauth.Authenticator, error) {
	if !Local {
		infra, err := ReadInfraConfig()
		if err != nil {
			return nil, err
		}
		if err := s.CheckDeployment(infra); err != nil {
			return nil, err
		}
	}
	options, err := s.Options(log)
	if err != nil {
		return nil, err
	}
	options.Observer = observer
	a, err := clerkauth.New(options)
	if err != nil {
		return nil, s.named(err)
	}
	log.Info("share of Clerk's rate limit for this process", "share", s.RateLimitShare, "calls_in_10_seconds", options.CallLimit(),
		"hint", "RateLimitShare in auth/config.cue, times the processes that use this key, should stay below 0.8")
	return a, nil
}

// named has an error about an option name the place where it is set.
func (s *Settings) named(err error) error {
	var wrong *clerkauth.OptionError
	if !errors.As(err, &wrong) {
		return err
	}
	name := "auth/config.cue: " + wrong.Option
	if _, set := setting.Env(wrong.Variable); s.local() && set {
		name = wrong.Variable
	}
	if wrong.Option == "SecretKey" {
		name = "the secret ClerkSecretKey (CLERK_SECRET_KEY)"
	}
	return fmt.Errorf("%s %w", name, wrong.Unwrap())
}
