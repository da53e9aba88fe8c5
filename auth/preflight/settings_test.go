package preflight

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"encore.dev"

	"encore.app/auth/preflight/wrongsettings"
)

// production returns settings with which an app starts on Encore Cloud.
func production() *Settings {
	return &Settings{
		Environment: encore.EnvironmentMeta{Type: encore.EnvProduction, Cloud: encore.EncoreCloud},
		SecretKey:   "sk_live_x",
		Config: Config{
			AuthorizedParties: []string{"https://app.example.com"},
			KeysMaxAge:        "5m", KeysStaleIfError: "1h", UserMaxAge: "1m", UserStaleIfError: "15m", OpaqueTokenMaxAge: "1m",
			RateLimitShare: 0.8,
		},
	}
}

func TestWrongSettings(t *testing.T) {
	for _, c := range wrongsettings.Cases() {
		s := production()
		if c.Setting == "CLERK_WEBHOOK_SIGNING_SECRET" {
			continue // of the service webhooks
		}
		c.Set(s)
		name := c.Setting
		if name == "CLERK_SECRET_KEY" {
			name = "ClerkSecretKey"
		}
		_, err := s.authenticator(nil, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), c.Says) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s %q: %v, want %q", c.Setting, fmt.Sprint(c.Value), err, c.Says)
		} else if strings.ContainsAny(err.Error(), "\n\x1b") || strings.Contains(err.Error(), wrongsettings.Secret[:8]) {
			t.Errorf("%s: the error is %q", c.Setting, err)
		}
	}
}

func TestSettingsThatWork(t *testing.T) {
	for _, c := range []struct {
		setting string
		value   any
	}{
		{"CLERK_SECRET_KEY", "sk_live_x\n"},
		{"CLERK_SECRET_KEY", "\r\n\t sk_live_x \r\n"},
		{"Issuer", ""},
		{"Issuer", "https://clerk.example.com"},
		{"Issuer", "https://app.example.com/__clerk"},
		{"JWTKey", " \n"},
		{"AcceptsToken", []string{}},
		{"CarryClaims", []string{}},
		{"CarryClaims", []string{"*", "https://example.com/role"}},
		{"UserMaxAge", "0s"},
		{"OpaqueTokenMaxAge", "1h"},
		{"RateLimitShare", 2.0},
		{"AuthorizedParties", []string{"capacitor://localhost", "https://*.preview.example.com"}},
	} {
		s := production()
		wrongsettings.Case{Setting: c.setting, Value: c.value}.Set(s)
		if _, err := s.authenticator(nil, slog.New(slog.DiscardHandler)); err != nil {
			t.Errorf("%s %q: %v", c.setting, c.value, err)
		}
	}
}
