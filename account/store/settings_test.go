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
