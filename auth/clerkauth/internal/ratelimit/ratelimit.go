// Package ratelimit keeps the calls of one process below its share of Clerk's
// rate limit, with priorities.
//
//	class          leaves of a full bucket  without a token
//	SignIn         nothing                  waits as long as it takes
//	Machine        1/4                      waits 1 s
//	Refresh        1/2                      is not made
//	Other          3/4                      waits 1 s; tenants take turns
//	UnknownSecret  7/8, and has a rate      waits 1 s
//	Background     7/8                      waits 10 s among Other, as one tenant
//
// Under a shortage the lower classes go without first, so that no list of members
// costs a sign-in. Below the class, tenants take turns: a tenant waits for one
// call of each other tenant at most.
package ratelimit

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Window is the time that Clerk's limit is for:
// https://clerk.com/docs/guides/how-clerk-works/system-limits
const Window = 10 * time.Second

const (
	maxWait           = time.Second
	maxBackgroundWait = 10 * time.Second
	maxOfTenant       = 8     // calls of one tenant that wait
	maxWaiting        = 1_000 // calls of all tenants

	// minUnknownBurst is how many unknown secrets pass at once after a quiet time.
	minUnknownBurst = 5
)

// Class is the purpose of a call.
type Class string

// The classes.
const (
	SignIn        Class = "sign_in"        // a user who is not cached waits
	Machine       Class = "machine"        // a machine whose secret Clerk has accepted waits
	Refresh       Class = "refresh"        // a stale record is served until then
	Other         Class = "other"          // the application's own calls
	UnknownSecret Class = "unknown_secret" // anybody can make up such a secret
	Background    Class = "background"     // reconciliation
)

// eighths of a full bucket that a class leaves to those above.
var eighths = map[Class]int{SignIn: 0, Machine: 2, Refresh: 4, Other: 6, UnknownSecret: 7, Background: 7}

func (c Class) leaves(burst int) int { return burst * eighths[c] / 8 }

// Limiter is a token bucket with classes.
type Limiter struct {
	now     func() time.Time
	refused func(Class)

	mu          sync.Mutex
	bucket      *rate.Limiter
	unknown     *rate.Limiter // of UnknownSecret, besides
	queues      map[Class]*queue
	pausedUntil time.Time // no Refresh before then
}

// queue is where the calls of one class wait for tokens.
type queue struct {
	calls   []*call // in the order in which they are served
	serving bool    // a timer will serve the queue
}

// call waits for a token. Each round has at most one call of a tenant.
type call struct {
	tenant string
	round  int
	turn   chan struct{} // closed when the call has its token, or has lost its place
	lost   bool
}

// New returns a Limiter for the given number of calls in a [Window], and a rate
// for unknown secrets. The bucket holds an eleventh of the calls: a window can see
// a full bucket and ten seconds' worth on top. Refused is told of each call
// that is not made.
func New(calls, unknownPerSecond float64, now func() time.Time, refused func(Class)) *Limiter {
	burst := max(1, math.Floor(calls/11))
	return &Limiter{
		now: now, refused: refused,
		bucket:  rate.NewLimiter(rate.Limit((calls-burst)/Window.Seconds()), int(burst)),
		unknown: rate.NewLimiter(rate.Limit(unknownPerSecond), max(minUnknownBurst, int(unknownPerSecond))),
		queues:  map[Class]*queue{Machine: {}, Other: {}, UnknownSecret: {}},
	}
}

// Take takes a token at once, or returns false. For SignIn it waits for the
// token.
func (l *Limiter) Take(c Class) bool {
	l.mu.Lock()
	var delay time.Duration
	taken := c == SignIn
	if taken {
		now := l.now()
		delay = l.bucket.ReserveN(now, 1).DelayFrom(now)
	} else {
		taken = l.takeLocked(c)
	}
	l.mu.Unlock()
	time.Sleep(delay)
	if !taken {
		l.refused(c)
	}
	return taken
}

// Wait takes a token for a call of the tenant when it is the tenant's turn. It
// returns false once ctx or the class's time is over, or if too many calls wait.
func (l *Limiter) Wait(ctx context.Context, c Class, tenant string) bool {
	in, wait := c, maxWait
	if c == Background {
		in, tenant, wait = Other, string(c), maxBackgroundWait
	}
	l.mu.Lock()
	q := l.queues[in]
	if len(q.calls) == 0 && l.takeLocked(c) {
		l.mu.Unlock()
		return true
	}
	waiting := q.joinLocked(tenant)
	l.serveLocked(in, q)
	l.mu.Unlock()
	if waiting != nil && l.await(ctx, wait, q, waiting) {
		return true
	}
	l.refused(c)
	return false
}

func (l *Limiter) await(ctx context.Context, wait time.Duration, q *queue, c *call) bool {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	select {
	case <-c.turn:
		return !c.lost
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(q.calls, c)
	if i < 0 {
		return !c.lost // its turn came in between
	}
	q.calls = slices.Delete(q.calls, i, i+1)
	return false
}

// joinLocked queues a call in the round after the tenant's last, or in the present
// round. If too many calls wait, it takes the place of one in a later round, whose
// tenant has others that wait. It returns nil if there is none.
func (q *queue) joinLocked(tenant string) *call {
	c := &call{tenant: tenant, turn: make(chan struct{})}
	if len(q.calls) > 0 {
		c.round = q.calls[0].round
	}
	ofTenant := 0
	for _, other := range q.calls {
		if other.tenant == tenant {
			ofTenant++
			c.round = other.round + 1
		}
	}
	if ofTenant == maxOfTenant {
		return nil
	}
	if len(q.calls) == maxWaiting {
		last := q.calls[maxWaiting-1]
		if last.round <= c.round {
			return nil
		}
		last.lost = true
		close(last.turn)
		q.calls = q.calls[:maxWaiting-1]
	}
	last, _ := slices.BinarySearchFunc(q.calls, c.round+1, func(other *call, round int) int { return other.round - round })
	q.calls = slices.Insert(q.calls, last, c)
	return c
}

// serveLocked hands out the tokens that there are, and sets a timer for the next.
func (l *Limiter) serveLocked(c Class, q *queue) {
	if q.serving {
		return
	}
	for len(q.calls) > 0 && l.takeLocked(c) {
		close(q.calls[0].turn)
		q.calls = slices.Delete(q.calls, 0, 1)
	}
	if len(q.calls) == 0 {
		return
	}
	q.serving = true
	time.AfterFunc(max(l.delayLocked(c), time.Millisecond), func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		q.serving = false
		l.serveLocked(c, q)
	})
}

func (l *Limiter) takeLocked(c Class) bool {
	if l.delayLocked(c) > 0 || !l.bucket.AllowN(l.now(), 1) {
		return false
	}
	return c != UnknownSecret || l.unknown.AllowN(l.now(), 1)
}

// delayLocked returns in how much time there may be a token for the class.
func (l *Limiter) delayLocked(c Class) time.Duration {
	now := l.now()
	if c == Refresh && now.Before(l.pausedUntil) {
		return l.pausedUntil.Sub(now)
	}
	delay := untilTokens(l.bucket, now, 1+c.leaves(l.bucket.Burst()))
	if c == UnknownSecret {
		delay = max(delay, untilTokens(l.unknown, now, 1))
	}
	return delay
}

func untilTokens(l *rate.Limiter, now time.Time, n int) time.Duration {
	return time.Duration(max(float64(n)-l.TokensAt(now), 0) / float64(l.Limit()) * float64(time.Second))
}

// PauseRefreshes leaves what Clerk allows to sign-ins after a 429, until a whole
// window has passed. Between two pauses refreshes go on for as long, so that a
// ban is seen.
func (l *Limiter) PauseRefreshes(retryAfter time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := l.now(); !now.Before(l.pausedUntil.Add(Window)) {
		l.pausedUntil = now.Add(max(retryAfter, 0) + Window)
	}
}
