package crowd

import (
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"encore.app/auth/clerkauth"
)

// tally counts the answers to users who ask for their profile.
type tally struct {
	users                  int          // who asked
	served, refused, wrong atomic.Int64 // answers
	began                  time.Time

	mu        sync.Mutex
	took      time.Duration // until the last one was served
	latencies []time.Duration
}

func (t *tally) add(a answer, latency time.Duration) {
	[]*atomic.Int64{served: &t.served, refused: &t.refused, wrong: &t.wrong}[a].Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.latencies = append(t.latencies, latency)
	if a == served {
		t.took = time.Since(t.began)
	}
}

// outcome is what a scenario showed.
type outcome struct {
	requests               int
	served, refused, wrong int
	took                   time.Duration
	missed                 []string // the counts that are not as they must be
}

// add adds up the answers to users.
func (o *outcome) add(tallies ...*tally) {
	for _, t := range tallies {
		o.requests += t.users
		o.served += int(t.served.Load())
		o.refused += int(t.refused.Load())
		o.wrong += int(t.wrong.Load())
		o.took = max(o.took, t.took)
	}
}

// nobodyRefused is what most scenarios must show.
func (o *outcome) nobodyRefused() {
	o.atMost("refused requests", o.refused, 0)
	o.atMost("users who are never served", o.requests-o.served, 0)
}

func (o *outcome) atMost(what string, got, most int) {
	if got > most {
		o.missed = append(o.missed, fmt.Sprintf("%s: %d, at most %d", what, got, most))
	}
}

// report logs the outcome, and fails the test for a count that is missed.
func (s *scene) report(late time.Duration) {
	s.atMost("wrong answers", s.wrong, 0)
	s.atMost("answers 429 of Clerk", s.clerk.RateLimited(), 0)
	reasons := s.reasons.all()
	s.Logf("%d of %d served, the last after %.1f s; %d refusals %v; %d calls to Clerk", s.served, s.requests, s.took.Seconds(), s.refused, reasons, s.clerk.TotalRequests())
	// Clerk is slower than the deadline of a call in no scenario, so a call that got
	// no answer in time had to wait for a processor.
	if busy := late > 500*time.Millisecond || reasons[clerkauth.ReasonUnreachable] > 0; busy && len(s.missed) > 0 {
		s.Logf("inconclusive: this machine is busy, a timer fired %v late", late)
	}
	for _, count := range s.missed {
		s.Error(count)
	}
}

// reasons counts refused requests by reason. It implements [clerkauth.Observer].
type reasons struct {
	mu     sync.Mutex
	counts map[clerkauth.Reason]int
}

func (r *reasons) Add(counter clerkauth.Counter, label string, n int) {
	if counter != clerkauth.CountDecisions || label == "accepted" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts = make(map[clerkauth.Reason]int)
	}
	r.counts[clerkauth.Reason(label)] += n
}

func (r *reasons) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.counts)
}

func (r *reasons) all() map[clerkauth.Reason]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.counts)
}
