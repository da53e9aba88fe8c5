package store

import (
	"strings"
	"testing"
)

// A body that is cut off could lack a setting without anybody noticing.
func TestLongSettingsAreRefused(t *testing.T) {
	settings := func(length int) string {
		rest := `{"theme":"dark","unknown":"","displayName":"Ada"}`
		return strings.Replace(rest, `""`, `"`+strings.Repeat("x", length-len(rest))+`"`, 1)
	}
	if got, err := ReadSettings(strings.NewReader(settings(1 << 20))); err != nil || got.DisplayName != "Ada" {
		t.Errorf("1 MiB: got %+v, %v", got, err)
	}
	if got, err := ReadSettings(strings.NewReader(settings(1<<20 + 1))); err == nil {
		t.Errorf("1 MiB and a byte: got %+v", got)
	}
}

func TestWhatIsErasedWaitsForADay(t *testing.T) {
	for value, ok := range map[string]bool{"168h": true, "24h": true, "0s": false, "1h": false, "-1h": false, "7d": false, "": false} {
		if _, err := ParseEraseAfter(value); (err == nil) != ok {
			t.Errorf("%q: %v", value, err)
		}
	}
}
