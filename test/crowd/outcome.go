package main

import (
	"fmt"
	"maps"
	"os"
	"sync"
	"text/tabwriter"
	"time"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
)

// outcome is what a scenario showed.
type outcome struct {
	requests               int
	served, refused, wrong int
	calls, limited         int // calls to Clerk, and its answers 429
	took                   time.Duration
	late                   time.Duration // how late a timer of this process fired
	note                   string
	reasons                map[clerkauth.Reason]int // of refusals, as this backend counts them
	missed                 []string                 // the counts that are not as they must be
}

// newOutcome adds up the answers to users, and what Clerk counted.
func newOutcome(clerk *fakeclerk.Server, tallies ...*tally) outcome {
	o := outcome{calls: clerk.TotalRequests(), limited: clerk.RateLimited()}
	for _, t := range tallies {
		o.requests += t.users
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
	o.atMost("users who are never served", o.requests-o.served, 0)
}

func (o *outcome) atMost(what string, got, most int) {
	if got > most {
		o.missed = append(o.missed, fmt.Sprintf("%s: %d, at most %d", what, got, most))
	}
}

func (o *outcome) notef(format string, a ...any) { o.note = fmt.Sprintf(format, a...) }

// print writes the outcomes as a table, and what this backend missed.
func print(name string, backends []backend, outcomes []outcome) {
	fmt.Println(name)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\tusers\tserved\trefusals\tcalls to Clerk\tof them 429\tlast served after\t")
	for i, o := range outcomes {
		fmt.Fprintf(w, "  %s\t%d\t%d\t%d\t%d\t%d\t%.1f s\t%s\n", backends[i].name,
			o.requests, o.served, o.refused, o.calls, o.limited, o.took.Seconds(), o.note)
	}
	_ = w.Flush()
	for _, count := range outcomes[ours].missed {
		fmt.Printf("  not met: %s\n", count)
	}
	if o := outcomes[ours]; o.refused > 0 {
		fmt.Printf("  refused because: %v\n", o.reasons)
	}
	if o := outcomes[ours]; len(o.missed) > 0 && o.busyMachine() {
		fmt.Printf("  inconclusive: this machine is busy, a timer fired %v late\n", o.late)
	}
}

// busyMachine reports whether refusals may say nothing about the backend. Clerk
// is slower than a call may take (2.5 s) in no scenario, so a call that got no
// answer in time had to wait for a processor.
func (o outcome) busyMachine() bool {
	return o.late > 500*time.Millisecond || o.reasons[clerkauth.ReasonUnreachable] > 0
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
