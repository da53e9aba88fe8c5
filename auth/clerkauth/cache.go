package clerkauth

import (
	"time"

	"github.com/maypok86/otter/v2"
)

// newCache returns a cache that lives by the given clock and owns no goroutine.
// It panics if the options contradict each other.
func newCache[K comparable, V any](now func() time.Time, o otter.Options[K, V]) *otter.Cache[K, V] {
	o.Clock = cacheClock(now)
	o.Executor = runAtOnce
	o.Logger = &otter.NoopLogger{}
	return otter.Must(&o)
}

// runAtOnce has a cache do its upkeep within the operation that caused it,
// which is cheaper than a goroutine each time.
func runAtOnce(upkeep func()) { upkeep() }

// cacheClock lets a cache live by the time of [Options].Now. Without ticks it
// cleans up on reads and writes, and owns no goroutine.
type cacheClock func() time.Time

func (c cacheClock) NowNano() int64                      { return c().UnixNano() }
func (c cacheClock) Tick(time.Duration) <-chan time.Time { return nil }
