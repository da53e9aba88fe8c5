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
		Environment:       encore.EnvironmentMeta{Type: encore.EnvProduction, Cloud: encore.EncoreCloud},
		SecretKey:         "sk_live_x",
		AuthorizedParties: []string{"https://app.example.com"},
		KeysMaxAge:        "5m", KeysStaleIfError: "1h", UserMaxAge: "1m", UserStaleIfError: "15m", OpaqueTokenMaxAge: "1m",
		RateLimitShare: 0.8,
	}
}

// set changes one setting. It returns false for one that this service does not have.
func (s *Settings) set(name string, value any) bool {
	if list, ok := value.([]string); ok {
		into := map[string]*[]string{"AuthorizedParties": &s.AuthorizedParties, "AcceptsToken": &s.AcceptsToken, "CarryClaims": &s.CarryClaims}[name]
		*into = list
		return true
	}
	if number, ok := value.(float64); ok {
		into := map[string]*float64{"RateLimitShare": &s.RateLimitShare, "UnknownTokensPerSecond": &s.UnknownTokensPerSecond}[name]
		*into = number
		return true
	}
	into := map[string]*string{
		"CLERK_SECRET_KEY": &s.SecretKey, "Issuer": &s.Issuer, "JWTKey": &s.JWTKey,
		"KeysMaxAge": &s.KeysMaxAge, "KeysStaleIfError": &s.KeysStaleIfError,
		"UserMaxAge": &s.UserMaxAge, "UserStaleIfError": &s.UserStaleIfError, "OpaqueTokenMaxAge": &s.OpaqueTokenMaxAge,
	}[name]
	if into != nil {
		*into = value.(string)
	}
	return into != nil
}

func TestWrongSettings(t *testing.T) {
	for _, c := range wrongsettings.Cases() {
		s := production()
		if !s.set(c.Setting, c.Value) {
			continue
		}
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
		{"RateLimitShare", 2.0},
		{"AuthorizedParties", []string{"capacitor://localhost", "https://*.preview.example.com"}},
	} {
		s := production()
		s.set(c.setting, c.value)
		if _, err := s.authenticator(nil, slog.New(slog.DiscardHandler)); err != nil {
			t.Errorf("%s %q: %v", c.setting, c.value, err)
		}
	}
}
