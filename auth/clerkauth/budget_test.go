package clerkauth

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

type testClock struct{ now time.Time }

func (c *testClock) Now() time.Time { return c.now }

func newTestBudget(c *testClock, key string, share float64) *budget {
	return newBudget(Options{SecretKey: key, RateLimitShare: share, Now: c.Now})
}

// TestBudgetStaysBelowTheLimit: whatever the demand, no ten seconds see more
// calls than Clerk allows: of one process, and of ten with a tenth each.
func TestBudgetStaysBelowTheLimit(t *testing.T) {
	for _, test := range []struct {
		name, key string
		share     float64
		processes int
		most, few int
	}{
		{"production", "sk_live_x", 0.8, 1, 800, 700},
		{"development", "sk_test_x", 0.8, 1, 80, 60},
		{"ten with a tenth", "sk_live_x", 0.1, 10, 1000, 800},
		{"ten in development", "sk_test_x", 0.1, 10, 100, 80},
		{"the least", "sk_test_x", 0.02, 1, 2, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			clock := &testClock{now: time.Unix(1e9, 0)}
			var budgets []*budget
			for range test.processes {
				budgets = append(budgets, newTestBudget(clock, test.key, test.share))
			}
			var calls []time.Time
			for range 60_000 { // a minute, in which demand comes and goes
				clock.now = clock.now.Add(time.Millisecond)
				if second := clock.now.Unix() % 20; second < 4 {
					continue
				}
				for _, b := range budgets {
					for _, c := range []class{classOther, classRefresh, classSignIn} {
						if b.take(c) {
							calls = append(calls, clock.now)
						}
					}
				}
			}
			begin, peak := 0, 0
			for i, at := range calls {
				for calls[begin].Before(at.Add(-limitWindow)) {
					begin++
				}
				peak = max(peak, i-begin+1)
			}
			if peak > test.most || peak < test.few {
				t.Errorf("%d calls in the busiest ten seconds, want %d to %d", peak, test.few, test.most)
			}
		})
	}
}

func TestBudgetClasses(t *testing.T) {
	for _, key := range []string{"sk_live_x", "sk_test_x"} {
		clock := &testClock{now: time.Unix(1e9, 0)}
		b := newTestBudget(clock, key, 0.8)
		drain := func(c class) (taken int) {
			for b.take(c) {
				taken++
			}
			return taken
		}
		others, refreshes, signIns := drain(classOther), drain(classRefresh), drain(classSignIn)
		if others == 0 || refreshes == 0 || signIns < others+refreshes-1 {
			t.Errorf("%s: %d calls of others, then %d refreshes, then %d sign-ins", key, others, refreshes, signIns)
		}
		if delay := b.reserve(); delay <= 0 || delay > time.Second {
			t.Errorf("%s: a sign-in waits %v for its token", key, delay)
		}
		clock.now = clock.now.Add(10 * time.Second)
		if !b.take(classOther) {
			t.Errorf("%s: no call of others when nobody signs in", key)
		}
		b.pauseRefreshes(time.Second)
		if b.take(classRefresh) || !b.take(classSignIn) {
			t.Errorf("%s: after a 429 refreshes pause, and sign-ins do not", key)
		}
		clock.now = clock.now.Add(11 * time.Second)
		if !b.take(classRefresh) {
			t.Errorf("%s: refreshes pause for longer than Clerk's window", key)
		}
	}
}

// TestCallInARowWaitsForItsToken: a handful of calls find the bucket empty, and
// get their tokens as they come in.
func TestCallInARowWaitsForItsToken(t *testing.T) {
	b := newBudget(Options{SecretKey: "sk_test_x", RateLimitShare: 0.8, Now: time.Now})
	for i := range 4 {
		if !b.takeSoon(t.Context(), classOther, "org_1") {
			t.Errorf("call %d was not made", i)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for b.takeSoon(ended, classOther, "org_1") {
	}
	if line := b.lines[classOther]; len(line.turns) != 0 || len(line.calls) != 0 {
		t.Errorf("calls wait: %v", line)
	}
}

// TestTenantsTakeTurns: tenants who never stop keep no call of another tenant
// from being made, nor reconciliation.
func TestTenantsTakeTurns(t *testing.T) {
	for _, key := range []string{"sk_live_x", "sk_test_x"} {
		for _, greedy := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s beside %d", key, greedy), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { testTurns(t, key, greedy) })
			})
		}
	}
}

func testTurns(t *testing.T, key string, greedy int) {
	b := newBudget(Options{SecretKey: key, RateLimitShare: 0.8, Now: time.Now})
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for tenant := range greedy {
		for range 20 {
			group.Go(func() {
				for ctx.Err() == nil {
					if !b.takeSoon(ctx, classOther, fmt.Sprintf("org_greedy_%d", tenant)) {
						time.Sleep(10 * time.Millisecond) // asks again
					}
				}
			})
		}
	}
	time.Sleep(5 * time.Second)
	var made, reconciled atomic.Int64
	group.Go(func() {
		for range 20 {
			if b.takeSoon(ctx, classBackground, "") {
				reconciled.Add(1)
			}
		}
	})
	for i := range 20 {
		if b.takeSoon(ctx, classOther, fmt.Sprintf("org_%d", i%4)) {
			made.Add(1)
		}
	}
	time.Sleep(20 * time.Second)
	if made.Load() != 20 || reconciled.Load() != 20 {
		t.Errorf("%d of 20 calls of others, %d of 20 of reconciliation", made.Load(), reconciled.Load())
	}
	if !b.take(classRefresh) || b.reserve() > 0 {
		t.Error("nothing is left for users")
	}
	stop()
	group.Wait()
	if line := b.lines[classOther]; len(line.turns) != 0 || len(line.calls) != 0 {
		t.Errorf("calls wait: %v", line)
	}
}

// TestManyTenantsAreBounded: what waits is bounded, for one tenant and for all.
func TestManyTenantsAreBounded(t *testing.T) {
	var l line
	l.calls = map[string][]chan struct{}{}
	joined := 0
	for i := range 3 * maxTenants * maxWaiting {
		if l.joinLocked(fmt.Sprintf("user_%d", i%(2*maxTenants))) != nil {
			joined++
		}
	}
	if joined > maxTenants*maxWaiting || len(l.turns) != maxTenants {
		t.Errorf("%d calls wait for %d tenants", joined, len(l.turns))
	}
}

// TestUnknownSecretsHaveARate: whatever the demand and however idle the budget.
func TestUnknownSecretsHaveARate(t *testing.T) {
	clock := &testClock{now: time.Unix(1e9, 0)}
	b := newBudget(Options{SecretKey: "sk_live_x", RateLimitShare: 0.8, UnknownTokensPerSecond: 5, Now: clock.Now})
	taken := 0
	for range 60_000 {
		clock.now = clock.now.Add(time.Millisecond)
		if b.take(classUnknown) {
			taken++
		}
	}
	if taken < 295 || taken > 305 {
		t.Errorf("%d in a minute, want 5 a second", taken)
	}
	if !b.take(classOther) || !b.take(classMachine) {
		t.Error("others wait for it")
	}
}

// TestRefreshesGoOnBetweenPauses: however often Clerk answers 429, refreshes have
// half of the time.
func TestRefreshesGoOnBetweenPauses(t *testing.T) {
	clock := &testClock{now: time.Unix(1e9, 0)}
	b := newTestBudget(clock, "sk_live_x", 0.8)
	refreshed := 0
	for range 120 {
		b.pauseRefreshes(0)
		clock.now = clock.now.Add(time.Second)
		if b.take(classRefresh) {
			refreshed++
		}
	}
	if refreshed < 50 {
		t.Errorf("refreshes went on in %d of 120 seconds", refreshed)
	}
}

// TestOutage is the table of what a result means, by what was learned between
// the beginning of its call and its end.
func TestOutage(t *testing.T) {
	plain := &Error{Kind: Unavailable, Reason: ReasonInvalidResponse}
	limited := &Error{Kind: Unavailable, Reason: ReasonRateLimited, retryAfter: time.Minute}
	for _, test := range []struct {
		name    string
		run     func(o *outage, begin func() ticket)
		blocked bool // a second later
	}{
		{"a failure, whose back-off is half a second", func(o *outage, begin func() ticket) { o.failed(begin(), plain) }, false},
		{"a failure with Retry-After", func(o *outage, begin func() ticket) { o.failed(begin(), limited) }, true},
		{"a straggler's success does not erase Retry-After", func(o *outage, begin func() ticket) {
			straggler, t := begin(), begin()
			o.failed(t, limited)
			o.succeeded(straggler)
		}, true},
		{"a straggler's failure does not shorten Retry-After", func(o *outage, begin func() ticket) {
			straggler, t := begin(), begin()
			o.failed(t, limited)
			o.failed(straggler, plain)
		}, true},
		{"stragglers' failures do not add up", func(o *outage, begin func() ticket) {
			tickets := []ticket{begin(), begin(), begin(), begin()}
			for _, t := range tickets {
				o.failed(t, plain)
			}
		}, false},
		{"a failure is no news once a later call was answered", func(o *outage, begin func() ticket) {
			straggler, t := begin(), begin()
			o.succeeded(t)
			o.failed(straggler, limited)
		}, false},
		{"one id fails", func(o *outage, begin func() ticket) { o.failedAlone(begin(), "a", limited) }, false},
		{"one id fails twice", func(o *outage, begin func() ticket) {
			o.failedAlone(begin(), "a", limited)
			o.failedAlone(begin(), "a", limited)
		}, false},
		{"two ids fail in a row", func(o *outage, begin func() ticket) {
			o.failedAlone(begin(), "a", limited)
			o.failedAlone(begin(), "b", limited)
		}, true},
		{"two ids fail with a success between", func(o *outage, begin func() ticket) {
			o.failedAlone(begin(), "a", limited)
			o.succeeded(begin())
			o.failedAlone(begin(), "b", limited)
		}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			clock := &testClock{now: time.Unix(1e9, 0)}
			o := &outage{now: clock.Now}
			test.run(o, func() ticket {
				ticket, failure := o.begin()
				if failure != nil {
					t.Fatal(failure)
				}
				return ticket
			})
			clock.now = clock.now.Add(time.Second)
			if got := o.blocked() != nil; got != test.blocked {
				t.Errorf("blocked: %v, want %v", got, test.blocked)
			}
		})
	}
}

func TestOutageProbe(t *testing.T) {
	clock := &testClock{now: time.Unix(1e9, 0)}
	o := &outage{now: clock.Now}
	failure := &Error{Kind: Unavailable, Reason: ReasonUnreachable}
	begin := func() ticket {
		t.Helper()
		ticket, blocked := o.begin()
		if blocked != nil {
			t.Fatal(blocked)
		}
		return ticket
	}
	wantBlocked := func(want bool) {
		t.Helper()
		if (o.blocked() != nil) != want {
			t.Fatalf("blocked: %v", !want)
		}
	}
	o.failed(begin(), failure)
	wantBlocked(true)
	clock.now = clock.now.Add(firstBackoff)
	probe := begin()
	wantBlocked(true) // one call looks
	if _, blocked := o.again(ticket{}); blocked == nil {
		t.Fatal("a call from before the failure goes on")
	}
	second, blocked := o.again(probe) // divided
	if blocked != nil {
		t.Fatal(blocked)
	}
	wantBlocked(true)
	o.failed(second, failure)
	clock.now = clock.now.Add(firstBackoff)
	wantBlocked(true) // a whole second by now
	clock.now = clock.now.Add(firstBackoff)
	probe = begin()
	o.ended(probe) // it decided nothing
	wantBlocked(false)
	o.succeeded(begin())
	o.ended(probe) // again, which changes nothing
	first, second := begin(), begin()
	o.succeeded(second)
	o.succeeded(first)
	wantBlocked(false)
}

// TestFailuresHaveAnOwner: each waits for itself, from 1 s to 30 s.
func TestFailuresHaveAnOwner(t *testing.T) {
	clock := &testClock{now: time.Unix(1e9, 0)}
	f := newFailures(clock.Now)
	err := &Error{Kind: Unavailable, Reason: ReasonInvalidResponse}
	for _, wait := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
		for range 3 { // calls that were out at once
			f.add("odd", err)
		}
		clock.now = clock.now.Add(wait*time.Second - 1)
		if failure, _ := f.of("odd"); failure == nil {
			t.Fatalf("does not wait %d s", wait)
		}
		clock.now = clock.now.Add(1)
		if failure, onRecord := f.of("odd"); failure != nil || !onRecord {
			t.Fatalf("waits for longer than %d s, or is forgotten: %v, %v", wait, failure, onRecord)
		}
	}
	if failure, onRecord := f.of("another"); failure != nil || onRecord {
		t.Error("another waits, too")
	}
	f.clear("odd")
	if _, onRecord := f.of("odd"); onRecord {
		t.Error("a success is not noted")
	}
	for range 100_000 {
		f.add(string(rune('a'+rand.IntN(26)))+time.Unix(rand.Int64N(1e9), 0).String(), err)
	}
	f.cache.CleanUp()
	if n := f.cache.EstimatedSize(); n > maxFailures {
		t.Errorf("%d failures are remembered, want at most %d", n, maxFailures)
	}
}
