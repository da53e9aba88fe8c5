package auth

import (
	"encore.dev/metrics"

	"encore.app/auth/clerkauth"
)

// labels are a [clerkauth.Counter] and one of its labels: "decisions", "accepted".
type labels struct{ Counter, Label string }

var counts = metrics.NewCounterGroup[labels, uint64]("clerkauth", metrics.CounterConfig{})

// accepted is looked up once: it is counted for nearly every request.
var accepted = counts.With(labels{string(clerkauth.CountDecisions), "accepted"})

// observer counts in Encore's metrics.
type observer struct{}

// Add implements [clerkauth.Observer].
func (observer) Add(counter clerkauth.Counter, label string, n int) {
	c := accepted
	if counter != clerkauth.CountDecisions || label != "accepted" {
		c = counts.With(labels{string(counter), label})
	}
	c.Add(uint64(n))
}
