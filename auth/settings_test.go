//go:build encore_local

package auth

import (
	"fmt"
	"strings"
	"testing"

	"encore.dev"

	"encore.app/auth/preflight/wrongsettings"
)

// Under Encore the same values are refused as in an image.
func TestWrongSettings(t *testing.T) {
	for i, c := range wrongsettings.Cases() {
		if c.Setting == "CLERK_WEBHOOK_SIGNING_SECRET" {
			continue // of the service webhooks
		}
		t.Run(fmt.Sprint(i, c.Setting), func(t *testing.T) {
			s := settings(encore.Meta().Environment)
			c.Set(s)
			if c.Setting == "CLERK_SECRET_KEY" { // here the variable wins
				t.Setenv(c.Setting, s.SecretKey)
			}
			_, err := s.Authenticator(observer{}, Log{})
			if err == nil || !strings.Contains(err.Error(), c.Says) {
				t.Errorf("%q: %v, want %q", c.Value, err, c.Says)
			}
		})
	}
}
