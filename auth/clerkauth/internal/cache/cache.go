// Package cache makes bounded caches that live by an injected clock and own no
// goroutine. The packages of clerkauth use it.
package cache

import (
	"time"

	"github.com/maypok86/otter/v2"
)

// Cache is what clerkauth uses of an [otter.Cache]. It is an interface, because Go
// compiles a generic type and its methods again for each package that imports it,
// even as an unexported field. That took seconds for every service of an app.
type Cache[K comparable, V any] interface {
	GetIfPresent(key K) (V, bool)
	Set(key K, value V) (V, bool)
	Compute(key K, remap func(old V, found bool) (V, otter.ComputeOp)) (V, bool)
	Invalidate(key K) (V, bool)
}

// New returns a cache. It panics if the options contradict each other.
func New[K comparable, V any](now func() time.Time, o otter.Options[K, V]) Cache[K, V] {
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
