package auth

import (
	"encore.dev"
	"encore.dev/config"

	"encore.app/auth/preflight"
)

// Config is what config.cue sets, which also documents the fields.
type Config struct {
	BuiltFor          config.String
	AuthorizedParties config.Values[string]
	Issuer            config.String
	JWTKey            config.String
	AcceptsToken      config.Values[string]
	CarryClaims       config.Values[string]

	AllowMissingAuthorizedParty config.Bool
	AllowLocalhost              config.Bool

	KeysMaxAge        config.String
	KeysStaleIfError  config.String
	UserMaxAge        config.String
	UserStaleIfError  config.String
	OpaqueTokenMaxAge config.String
	RateLimitShare    config.Float64

	UnknownTokensPerSecond config.Float64
}

var cfg = config.Load[*Config]()

func settings(environment encore.EnvironmentMeta) *preflight.Settings {
	return &preflight.Settings{
		Environment:       environment,
		BuiltFor:          cfg.BuiltFor(),
		SecretKey:         secrets.ClerkSecretKey,
		AuthorizedParties: cfg.AuthorizedParties(),
		Issuer:            cfg.Issuer(),
		JWTKey:            cfg.JWTKey(),
		AcceptsToken:      cfg.AcceptsToken(),
		CarryClaims:       cfg.CarryClaims(),

		AllowMissingAuthorizedParty: cfg.AllowMissingAuthorizedParty(),
		AllowLocalhost:              cfg.AllowLocalhost(),

		KeysMaxAge:        cfg.KeysMaxAge(),
		KeysStaleIfError:  cfg.KeysStaleIfError(),
		UserMaxAge:        cfg.UserMaxAge(),
		UserStaleIfError:  cfg.UserStaleIfError(),
		OpaqueTokenMaxAge: cfg.OpaqueTokenMaxAge(),
		RateLimitShare:    cfg.RateLimitShare(),

		UnknownTokensPerSecond: cfg.UnknownTokensPerSecond(),
	}
}
