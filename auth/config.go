package auth

import (
	"errors"
	"fmt"
	"time"

	"encore.dev"
	"encore.dev/config"
	"encore.dev/rlog"

	"encore.app/auth/clerkauth"
)

// Config is what config.cue sets. The fields are those of [clerkauth.Options];
// durations are written as in Go, such as "90s".
type Config struct {
	AuthorizedParties config.Values[string]
	Issuer            config.String
	JWTKey            config.String

	KeysMaxAge       config.String
	KeysStaleIfError config.String
	UserMaxAge       config.String
	UserStaleIfError config.String
}

var cfg = config.Load[*Config]()

// authenticatorOptions gathers the secret, the config and, on a developer's
// machine, the environment's variables. An error says what to do.
func authenticatorOptions(environment encore.EnvironmentMeta) (clerkauth.Options, error) {
	o := clerkauth.Options{
		SecretKey:         secrets.ClerkSecretKey,
		JWTKey:            cfg.JWTKey(),
		AuthorizedParties: cfg.AuthorizedParties(),
		Issuer:            cfg.Issuer(),
	}
	for _, d := range []struct {
		name  string
		value string
		into  *time.Duration
	}{
		{"KeysMaxAge", cfg.KeysMaxAge(), &o.KeysMaxAge},
		{"KeysStaleIfError", cfg.KeysStaleIfError(), &o.KeysStaleIfError},
		{"UserMaxAge", cfg.UserMaxAge(), &o.UserMaxAge},
		{"UserStaleIfError", cfg.UserStaleIfError(), &o.UserStaleIfError},
	} {
		var err error
		if *d.into, err = time.ParseDuration(d.value); err != nil {
			return o, fmt.Errorf("auth/config.cue: %s: %w", d.name, err)
		}
	}
	if environment.Cloud == encore.CloudLocal {
		o.ReadEnvironment()
	}
	if o.SecretKey == "" {
		return o, errors.New("the secret ClerkSecretKey is not set: run `encore secret set --type dev,local ClerkSecretKey`" +
			" (or prod), or write it to .secrets.local.cue")
	}
	if len(o.AuthorizedParties) == 0 {
		if environment.Type == encore.EnvProduction {
			return o, errors.New("no AuthorizedParties for production: list the origins of your frontends in auth/config.cue")
		}
		rlog.Warn("no AuthorizedParties in auth/config.cue: session tokens of any origin are accepted")
	}
	return o, nil
}
