//go:build encore_local

package auth

import (
	"fmt"
	"strings"
	"testing"

	"encore.dev"
	"encore.dev/config"
	"encore.dev/et"

	"encore.app/auth/preflight/wrongsettings"
)

// Under Encore the same values are refused as in an image.
func TestWrongSettings(t *testing.T) {
	texts := map[string]config.String{
		"Issuer": cfg.Issuer, "JWTKey": cfg.JWTKey, "KeysMaxAge": cfg.KeysMaxAge, "KeysStaleIfError": cfg.KeysStaleIfError,
		"UserMaxAge": cfg.UserMaxAge, "UserStaleIfError": cfg.UserStaleIfError, "OpaqueTokenMaxAge": cfg.OpaqueTokenMaxAge,
	}
	numbers := map[string]config.Float64{"RateLimitShare": cfg.RateLimitShare, "UnknownTokensPerSecond": cfg.UnknownTokensPerSecond}
	for i, c := range wrongsettings.Cases() {
		if c.Setting == "CLERK_WEBHOOK_SIGNING_SECRET" {
			continue // of the service webhooks
		}
		t.Run(fmt.Sprint(i, c.Setting), func(t *testing.T) {
			lists := map[string][]string{} // et.SetCfg cannot set a list
			switch value := c.Value.(type) {
			case string:
				if c.Setting == "CLERK_SECRET_KEY" {
					t.Setenv(c.Setting, value)
				} else {
					et.SetCfg(texts[c.Setting], value)
				}
			case []string:
				lists[c.Setting] = value
			case float64:
				et.SetCfg(numbers[c.Setting], value)
			}
			s := settings(encore.Meta().Environment)
			if value, ok := lists["AuthorizedParties"]; ok {
				s.AuthorizedParties = value
			}
			if value, ok := lists["AcceptsToken"]; ok {
				s.AcceptsToken = value
			}
			if value, ok := lists["CarryClaims"]; ok {
				s.CarryClaims = value
			}
			_, err := s.Authenticator(observer{}, Log{})
			if err == nil || !strings.Contains(err.Error(), c.Says) {
				t.Errorf("%q: %v, want %q", c.Value, err, c.Says)
			}
		})
	}
}
