package preflight

import (
	"fmt"
	"strings"
	"testing"

	"encore.dev"
)

// said records warnings.
type said struct{ strings.Builder }

func (s *said) Info(string, ...any)  {}
func (s *said) Error(string, ...any) {}
func (s *said) Warn(message string, details ...any) {
	fmt.Fprintln(s, append([]any{message}, details...)...)
}

func TestTheFakeClerksKeyNamesItsFile(t *testing.T) {
	for key, warns := range map[string]bool{fakeClerkKey: true, "sk_test_real": false} {
		s := production()
		s.SecretKey = key
		var log said
		if _, err := s.Options(&log); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(log.String(), ".secrets.local.cue"); got != warns {
			t.Errorf("%s: warns %v: %s", key, got, &log)
		}
	}
}

func TestProductionsKeyElsewhere(t *testing.T) {
	for kind, warns := range map[encore.EnvironmentType]bool{encore.EnvProduction: false, encore.EnvDevelopment: true, encore.EnvEphemeral: true} {
		s := production()
		s.Environment.Type = kind
		var log said
		if _, err := s.Options(&log); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(log.String(), "outside production"); got != warns {
			t.Errorf("%s: warns %v: %s", kind, got, &log)
		}
	}
}
