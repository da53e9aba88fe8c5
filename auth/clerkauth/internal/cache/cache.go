// Package cache makes bounded caches that live by an injected clock and own no
// goroutine. The packages of clerkauth use it.
package cache

import (
	"time"

	"github.com/maypok86/otter/v2"
)

// New returns a cache. It panics if the options contradict each other.
func New[K comparable, V any](now func() time.Time, o otter.Options[K, V]) *otter.Cache[K, V] {
	o.Clock = clock(now)
	// Upkeep within the operation that caused it is cheaper than a goroutine.
	o.Executor = func(upkeep func()) { upkeep() }
	o.Logger = &otter.NoopLogger{}
	return otter.Must(&o)
}

// clock has no ticks: the cache cleans up on reads and writes.
type clock func() time.Time

func (c clock) NowNano() int64                      { return c().UnixNano() }
func (c clock) Tick(time.Duration) <-chan time.Time { return nil }
