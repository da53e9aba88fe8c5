package ratelimit

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

const production, development = 1000, 100 // Clerk's limits

func newTest(now func() time.Time, calls float64) *Limiter {
	return New(calls, 100, now, func(Class) {})
}

type testClock struct{ now time.Time }

func (c *testClock) Now() time.Time { return c.now }

// TestLimiterStaysBelowTheLimit: under any demand, no ten seconds see more
// calls than Clerk allows: of one process, and of ten with a tenth each.
func TestLimiterStaysBelowTheLimit(t *testing.T) {
	for _, test := range []struct {
		name         string
		limit, share float64
		processes    int
		most, few    int
	}{
		{"production", production, 0.8, 1, 800, 700},
		{"development", development, 0.8, 1, 80, 60},
		{"ten with a tenth", production, 0.1, 10, 1000, 800},
		{"ten in development", development, 0.1, 10, 100, 80},
		{"the least", development, 0.02, 1, 2, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			clock := &testClock{now: time.Unix(1e9, 0)}
			var limiters []*Limiter
			for range test.processes {
				limiters = append(limiters, newTest(clock.Now, test.limit*test.share))
			}
			var calls []time.Time
			for range 60_000 { // a minute, in which demand comes and goes
				clock.now = clock.now.Add(time.Millisecond)
				if second := clock.now.Unix() % 20; second < 4 {
					continue
				}
				for _, b := range limiters {
					for _, c := range []Class{Other, Refresh, SignIn} {
						if b.takes(c) {
							calls = append(calls, clock.now)
						}
					}
				}
			}
			begin, peak := 0, 0
			for i, at := range calls {
				for calls[begin].Before(at.Add(-Window)) {
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

func TestLimiterClasses(t *testing.T) {
	for _, limit := range []float64{production, development} {
		clock := &testClock{now: time.Unix(1e9, 0)}
		b := newTest(clock.Now, 0.8*limit)
		drain := func(c Class) (taken int) {
			for b.takes(c) {
				taken++
			}
			return taken
		}
		others, refreshes, signIns := drain(Other), drain(Refresh), drain(SignIn)
		if others == 0 || refreshes == 0 || signIns < others+refreshes-1 {
			t.Errorf("%v: %d calls of others, then %d refreshes, then %d sign-ins", limit, others, refreshes, signIns)
		}
		if delay := b.reserve(); delay <= 0 || delay > time.Second {
			t.Errorf("%v: a sign-in waits %v for its token", limit, delay)
		}
		clock.now = clock.now.Add(10 * time.Second)
		if !b.takes(Other) {
			t.Errorf("%v: no call of others when nobody signs in", limit)
		}
		b.PauseRefreshes(time.Second)
		if b.takes(Refresh) || !b.takes(SignIn) {
			t.Errorf("%v: after a 429 refreshes pause, and sign-ins do not", limit)
		}
		clock.now = clock.now.Add(11 * time.Second)
		if !b.takes(Refresh) {
			t.Errorf("%v: refreshes pause for longer than Clerk's window", limit)
		}
	}
}

// TestCallInARowWaitsForItsToken: a handful of calls find the bucket empty, and
// get their tokens one after the other.
func TestCallInARowWaitsForItsToken(t *testing.T) {
	b := newTest(time.Now, 0.8*development)
	for i := range 4 {
		if !b.Wait(t.Context(), Other, "org_1") {
			t.Errorf("call %d was not made", i)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for b.Wait(ended, Other, "org_1") {
	}
	if q := b.queues[Other]; len(q.calls) != 0 {
		t.Errorf("calls wait: %v", q)
	}
}

// TestTenantsTakeTurns: tenants who never stop keep no call of another tenant
// from being made, nor reconciliation.
func TestTenantsTakeTurns(t *testing.T) {
	for _, limit := range []float64{production, development} {
		for _, greedy := range []int{1, 3} {
			t.Run(fmt.Sprintf("%v beside %d", limit, greedy), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { testTurns(t, limit, greedy) })
			})
		}
	}
}

func testTurns(t *testing.T, limit float64, greedy int) {
	b := newTest(time.Now, 0.8*limit)
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for tenant := range greedy {
		for range 20 {
			group.Go(func() {
				for ctx.Err() == nil {
					if !b.Wait(ctx, Other, fmt.Sprintf("org_greedy_%d", tenant)) {
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
			if b.Wait(ctx, Background, "") {
				reconciled.Add(1)
			}
		}
	})
	for i := range 20 {
		if b.Wait(ctx, Other, fmt.Sprintf("org_%d", i%4)) {
			made.Add(1)
		}
	}
	time.Sleep(20 * time.Second)
	if made.Load() != 20 || reconciled.Load() != 20 {
		t.Errorf("%d of 20 calls of others, %d of 20 of reconciliation", made.Load(), reconciled.Load())
	}
	if !b.takes(Refresh) || b.reserve() > 0 {
		t.Error("nothing is left for users")
	}
	stop()
	group.Wait()
	if q := b.queues[Other]; len(q.calls) != 0 {
		t.Errorf("calls wait: %v", q)
	}
}

// TestQueueGoesInRounds: each tenant has one call in a round, whenever it came.
func TestQueueGoesInRounds(t *testing.T) {
	var q queue
	for _, tenant := range "aaabbca" {
		q.joinLocked(string(tenant))
	}
	order := func() (tenants string) {
		for _, c := range q.calls {
			tenants += c.tenant
		}
		return tenants
	}
	if got := order(); got != "abcabaa" {
		t.Errorf("the calls are served in the order %s", got)
	}
	q.calls = q.calls[4:]
	for _, tenant := range "cbc" {
		q.joinLocked(string(tenant))
	}
	if got := order(); got != "bcabca" {
		t.Errorf("then in the order %s", got)
	}
}

// TestManyTenantsAreBounded: what waits is bounded, for one tenant and for all.
func TestManyTenantsAreBounded(t *testing.T) {
	for _, tenants := range []int{1, 100, maxWaiting, 2 * maxWaiting} {
		var q queue
		joined := 0
		for i := range 10 * tenants {
			if q.joinLocked(fmt.Sprintf("user_%d", i%tenants)) != nil {
				joined++
			}
		}
		if want := min(tenants*maxOfTenant, maxWaiting); joined != want || len(q.calls) != want {
			t.Errorf("%d calls of %d tenants wait, want %d", joined, tenants, want)
		}
	}
}

// TestFewTenantsKeepNobodyOut: a full queue has room for the first call of another
// tenant, and the tenant with the most calls pays.
func TestFewTenantsKeepNobodyOut(t *testing.T) {
	var q queue
	var calls []*call
	for i := range maxWaiting {
		calls = append(calls, q.joinLocked(fmt.Sprintf("user_%d", i%(maxWaiting/maxOfTenant))))
	}
	for i := range 100 {
		tenant := fmt.Sprintf("other_%d", i)
		joined := q.joinLocked(tenant)
		if joined == nil || len(q.calls) != maxWaiting || slices.Index(q.calls, joined) >= maxWaiting/maxOfTenant+100 {
			t.Fatalf("%s is kept out", tenant)
		}
	}
	for i, c := range calls {
		select {
		case <-c.turn:
			if !c.lost || c.round != maxOfTenant-1 {
				t.Errorf("call %d of round %d has lost its place: %v", i, c.round, c.lost)
			}
		default:
			if i >= maxWaiting-100 {
				t.Errorf("call %d of round %d keeps its place", i, c.round)
			}
		}
	}
}

// TestUnknownSecretsHaveARate: under any demand and however idle the budget.
func TestUnknownSecretsHaveARate(t *testing.T) {
	clock := &testClock{now: time.Unix(1e9, 0)}
	b := New(0.8*production, 5, clock.Now, func(Class) {})
	taken := 0
	for range 60_000 {
		clock.now = clock.now.Add(time.Millisecond)
		if b.takes(UnknownSecret) {
			taken++
		}
	}
	if taken < 295 || taken > 305 {
		t.Errorf("%d in a minute, want 5 a second", taken)
	}
	if !b.takes(Other) || !b.takes(Machine) {
		t.Error("others wait for it")
	}
}

// TestRefreshesGoOnBetweenPauses: however often Clerk answers 429, refreshes have
// half of the time.
func TestRefreshesGoOnBetweenPauses(t *testing.T) {
	clock := &testClock{now: time.Unix(1e9, 0)}
	b := newTest(clock.Now, 0.8*production)
	refreshed := 0
	for range 120 {
		b.PauseRefreshes(0)
		clock.now = clock.now.Add(time.Second)
		if b.takes(Refresh) {
			refreshed++
		}
	}
	if refreshed < 50 {
		t.Errorf("refreshes went on in %d of 120 seconds", refreshed)
	}
}

// takes is Take, which for SignIn does not wait.
func (l *Limiter) takes(c Class) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.takeLocked(c)
}

// reserve is how long a sign-in waits for the next token, which it takes.
func (l *Limiter) reserve() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	return l.bucket.ReserveN(now, 1).DelayFrom(now)
}

// TestMadeUpSecretsComeLast: a flood of unknown secrets leaves a token for all
// other calls.
func TestMadeUpSecretsComeLast(t *testing.T) {
	for _, limit := range []float64{production, development} {
		now := time.Now()
		b := newTest(func() time.Time { return now }, 0.8*limit)
		taken := 0
		for b.takes(UnknownSecret) {
			taken++
		}
		if taken == 0 {
			t.Errorf("%v: no unknown secret is verified when nothing else happens", limit)
		}
		// Each class leaves something to the one above it.
		order := []Class{UnknownSecret, Other, Refresh, Machine, SignIn}
		for i, c := range order[1:] {
			if !b.takes(c) {
				t.Errorf("%v: nothing left of class %s", limit, c)
			}
			if c.leaves(72) >= order[i].leaves(72) || c.leaves(7) >= order[i].leaves(7) {
				t.Errorf("class %s does not come before %s", c, order[i])
			}
		}
	}
}
