package backoff

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/maypok86/otter/v2"
)

// TestKeysWaitForThemselves, from 1 s to 30 s.
func TestKeysWaitForThemselves(t *testing.T) {
	now := time.Unix(1e9, 0)
	k := New(func() time.Time { return now })
	err := errors.New("failed")
	for _, wait := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
		for range 3 { // calls at the same time
			k.Add("a", err, 0)
		}
		now = now.Add(wait*time.Second - 1)
		if waiting, _ := k.Check("a"); waiting == nil {
			t.Fatalf("does not wait %d s", wait)
		}
		now = now.Add(1)
		if waiting, recent := k.Check("a"); waiting != nil || !recent {
			t.Fatalf("waits for longer than %d s, or is forgotten: %v, %v", wait, waiting, recent)
		}
	}
	if waiting, recent := k.Check("b"); waiting != nil || recent {
		t.Error("another key waits, too")
	}
	k.Clear("a")
	if _, recent := k.Check("a"); recent {
		t.Error("a success is not noted")
	}
	for range 100_000 {
		k.Add(string(rune('a'+rand.IntN(26)))+time.Unix(rand.Int64N(1e9), 0).String(), err, 0)
	}
	failures := k.cache.(*otter.Cache[string, failure])
	failures.CleanUp()
	if n := failures.EstimatedSize(); n > MaxKeys {
		t.Errorf("%d failures are remembered, want at most %d", n, MaxKeys)
	}
}
