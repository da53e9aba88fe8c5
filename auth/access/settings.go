package access

import (
	"errors"
	"fmt"
	"time"

	"encore.dev"

	"encore.app/auth/clerkauth"
)

// Settings are the secret and the config of the service auth, as written.
type Settings struct {
	Environment encore.EnvironmentMeta
	SecretKey   string

	AuthorizedParties []string
	Issuer            string
	JWTKey            string
	AcceptsToken      []string

	// Durations in Go's notation, such as "90s". "0s" means none.
	KeysMaxAge       string
	KeysStaleIfError string
	UserMaxAge       string
	UserStaleIfError string

	BudgetShare float64
}

// Options returns the options of the authenticator, or an error that says what
// to write and where. On a developer's machine the environment's variables win.
func (s *Settings) Options(log Logger) (clerkauth.Options, error) {
	o := clerkauth.Options{
		SecretKey:         s.SecretKey,
		JWTKey:            s.JWTKey,
		AuthorizedParties: s.AuthorizedParties,
		Issuer:            s.Issuer,
		BudgetShare:       s.BudgetShare,
	}
	for _, name := range s.AcceptsToken {
		o.AcceptsToken = append(o.AcceptsToken, clerkauth.TokenType(name))
	}
	for _, d := range []struct {
		name  string
		value string
		into  *time.Duration
	}{
		{"KeysMaxAge", s.KeysMaxAge, &o.KeysMaxAge},
		{"KeysStaleIfError", s.KeysStaleIfError, &o.KeysStaleIfError},
		{"UserMaxAge", s.UserMaxAge, &o.UserMaxAge},
		{"UserStaleIfError", s.UserStaleIfError, &o.UserStaleIfError},
	} {
		value, err := time.ParseDuration(d.value)
		if err != nil || value < 0 {
			return o, fmt.Errorf("auth/config.cue: %s: %q is not a duration such as \"90s\"", d.name, d.value)
		}
		if value == 0 {
			value = -1 // none; 0 is the default for clerkauth
		}
		*d.into = value
	}
	if s.Environment.Cloud == encore.CloudLocal {
		o.ReadEnvironment()
	}
	if o.SecretKey == "" {
		return o, errors.New("the secret ClerkSecretKey is not set: run `encore secret set --type dev,local ClerkSecretKey`" +
			" (or prod), or write it to .secrets.local.cue")
	}
	if len(o.AuthorizedParties) == 0 {
		if s.Environment.Type == encore.EnvProduction {
			return o, errors.New("no AuthorizedParties for production: list the origins of your frontends in auth/config.cue")
		}
		log.Warn("no AuthorizedParties in auth/config.cue: session tokens of any origin are accepted")
	}
	return o, nil
}
