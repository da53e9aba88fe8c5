package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"encore.app/internal/fakeclerk"
)

// scenario is one thing that happens to a crowd. It is played to each backend
// with a fake Clerk of its own.
type scenario struct {
	name  string
	users func(size) int // how many it needs
	play  func(context.Context, *stage, backend, []user) (outcome, error)

	// alone is for a crowd that needs both processors: the backends take turns.
	alone bool
}

// stage is what every scenario is played with.
type stage struct {
	*users
	client client
	size   size
}

// outcome is what a scenario showed.
type outcome struct {
	users, served, refused, wrong int
	calls, limited                int // calls to Clerk, and its answers 429
	took                          time.Duration
	note                          string
	missed                        []string // the counts that are not as they must be
}

// newOutcome adds up the answers to users, and what Clerk counted.
func newOutcome(clerk *fakeclerk.Server, tallies ...*tally) outcome {
	o := outcome{calls: clerk.TotalRequests(), limited: clerk.RateLimited()}
	for _, t := range tallies {
		o.users += t.users
		o.served += int(t.served.Load())
		o.refused += int(t.refused.Load())
		o.wrong += int(t.wrong.Load())
		o.took = max(o.took, time.Duration(t.took.Load()))
	}
	o.atMost("wrong answers", o.wrong, 0)
	o.atMost("answers 429 of Clerk", o.limited, 0)
	return o
}

// nobodyRefused is what most scenarios must show.
func (o *outcome) nobodyRefused() {
	o.atMost("refused requests", o.refused, 0)
	o.atMost("users not served", o.users-o.served, 0)
}

func (o *outcome) atMost(what string, got, most int) {
	if got > most {
		o.missed = append(o.missed, fmt.Sprintf("%s: %d, at most %d", what, got, most))
	}
}

func (o *outcome) notef(format string, a ...any) { o.note = fmt.Sprintf(format, a...) }

// result is the outcome of a scenario for one backend.
type result struct {
	backend backend
	outcome outcome
	err     error
}

// run plays the scenario to the backends.
func (s scenario) run(ctx context.Context, st *stage, backends []backend) []result {
	results := make([]result, len(backends))
	var wg sync.WaitGroup
	for i, b := range backends {
		wg.Go(func() {
			o, err := s.play(ctx, st, b, st.all[:s.users(st.size)])
			results[i] = result{backend: b, outcome: o, err: errors.Join(err, ctx.Err())}
		})
		if s.alone {
			wg.Wait()
		}
	}
	wg.Wait()
	return results
}

// clock runs faster than time does, by a factor.
type clock struct {
	began time.Time
	speed float64
}

func newClock(speed float64) clock { return clock{began: time.Now(), speed: speed} }

func (c clock) now() time.Time {
	return c.began.Add(time.Duration(float64(time.Since(c.began)) * c.speed))
}

// callsFor counts the calls to Clerk that name a user, in their path or query.
type callsFor struct {
	userID string
	next   http.RoundTripper
	n      atomic.Int64
}

// RoundTrip implements [http.RoundTripper].
func (c *callsFor) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.Contains(r.URL.Path, c.userID) || strings.Contains(r.URL.RawQuery, c.userID) {
		c.n.Add(1)
	}
	return c.next.RoundTrip(r)
}
