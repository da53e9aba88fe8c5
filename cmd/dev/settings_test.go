package main

import (
	"log/slog"
	"strings"
	"testing"

	"encore.app/auth/preflight/wrongsettings"
)

func TestAWrongFlagIsNamed(t *testing.T) {
	t.Setenv("CLERK_SECRET_KEY", "sk_test_x")
	for _, flag := range []string{"-parties", "-issuer"} {
		s, err := parse([]string{"-page", "", flag, "app.example.com/"})
		if err == nil {
			_, err = startStandalone(t.Context(), s, "", slog.New(slog.DiscardHandler))
		}
		if err == nil || !strings.HasPrefix(err.Error(), flag+" ") || !strings.Contains(err.Error(), `write "https://app.example.com"`) {
			t.Errorf("%s: %v", flag, err)
		}
	}
}

// The standalone backend refuses what Encore and the image refuse, as far as a
// variable can have the value: white space and commas lie between the origins.
func TestWrongSettings(t *testing.T) {
	variables := map[string]string{
		"CLERK_SECRET_KEY": "CLERK_SECRET_KEY", "CLERK_WEBHOOK_SIGNING_SECRET": "CLERK_WEBHOOK_SIGNING_SECRET",
		"Issuer": "CLERK_ISSUER", "JWTKey": "CLERK_JWT_KEY", "AuthorizedParties": "CLERK_AUTHORIZED_PARTIES",
	}
	for _, c := range wrongsettings.Cases() {
		value, ok := c.Value.(string)
		if list, isList := c.Value.([]string); isList {
			value, ok = list[0], true
		}
		variable := variables[c.Setting]
		if trimmed := strings.TrimSpace(value); !ok || variable == "" || trimmed == "" || c.Setting == "AuthorizedParties" && trimmed != value {
			continue
		}
		t.Run(c.Setting+" "+c.Says, func(t *testing.T) {
			t.Setenv("CLERK_SECRET_KEY", "sk_test_x")
			t.Setenv(variable, value)
			s, err := parse([]string{"-api", freeAddress(t), "-page", ""})
			if err == nil {
				var b *backend
				if b, err = startStandalone(t.Context(), s, "", slog.New(slog.DiscardHandler)); err == nil {
					b.stop()
				}
			}
			if err == nil || !strings.Contains(err.Error(), c.Says) || !strings.Contains(err.Error(), variable) {
				t.Errorf("%s=%q: %v, want %s and %q", variable, value, err, variable, c.Says)
			} else if strings.Contains(err.Error(), wrongsettings.Secret[:8]) {
				t.Errorf("%s: the error is %q", variable, err)
			}
		})
	}
}
