package auth

import (
	"encore.dev"
	"encore.dev/config"

	"encore.app/auth/preflight"
)

var cfg = config.Load[*preflight.Config]()

func settings(environment encore.EnvironmentMeta) *preflight.Settings {
	return &preflight.Settings{Config: *cfg, SecretKey: secrets.ClerkSecretKey, Environment: environment}
}
