package preflight

import (
	"fmt"
	"strings"
	"testing"
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
