package auth

import (
	"encore.dev/metrics"

	"encore.app/auth/clerkauth"
)

// labels are a counter of [clerkauth.Counter] and one of its few labels, such as
// "decisions" and "accepted".
type labels struct{ Counter, Label string }

var counts = metrics.NewCounterGroup[labels, uint64]("clerkauth", metrics.CounterConfig{})

// observer counts in Encore's metrics.
type observer struct{}

// Add implements [clerkauth.Observer].
func (observer) Add(counter clerkauth.Counter, label string, n int) {
	counts.With(labels{Counter: string(counter), Label: label}).Add(uint64(n))
}
