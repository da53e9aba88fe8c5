package clerkauth

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Clerk's published limit of calls to the Backend API in ten seconds:
// https://clerk.com/docs/guides/how-clerk-works/system-limits
const (
	limitWindow      = 10 * time.Second
	productionLimit  = 1000 // sk_live_…
	developmentLimit = 100  // sk_test_…

	defaultBudgetShare = 0.8 // leaves room for other programs with the same key

	// maxTokenWait is how long a call waits for its token, and maxWaiting how
	// many wait at a time: a handful of calls in a row, as an administrator
	// makes them, find the bucket of a development instance empty.
	maxTokenWait = time.Second
	maxWaiting   = 8
)

// class is the purpose of a call. Under a shortage the lower classes go without
// first, so that nobody's list of members costs somebody else's sign-in.
type class string

const (
	classSignIn  class = "sign_in" // somebody waits who is not known yet
	classRefresh class = "refresh" // nobody waits: a stale record serves
	classOther   class = "other"   // not about who is calling

	classMachine class = "machine"        // a machine waits whose secret Clerk knew
	classUnknown class = "unknown_secret" // somebody waits with a secret that anybody may have made up
)

// leaves is how many tokens of a full bucket a class leaves to those above it.
func (c class) leaves(burst int) int {
	switch c {
	case classSignIn:
		return 0
	case classMachine:
		return burst / 4
	case classRefresh:
		return burst / 2
	case classUnknown:
		return burst * 7 / 8
	}
	return burst * 3 / 4
}

// budget keeps the calls of one process under its share of Clerk's rate limit.
// It is a token bucket that holds what comes in within a second. Since a window
// of ten seconds can see a full bucket and ten seconds' worth on top, a
// second's worth is an eleventh of the share: whatever the demand, no window
// holds more calls than the share.
type budget struct {
	now    func() time.Time
	counts counts

	waiting map[class]*atomic.Int64 // calls in takeSoon

	mu          sync.Mutex
	limiter     *rate.Limiter
	pausedUntil time.Time // no refresh before then
}

func newBudget(o Options) *budget {
	calls := budgetCalls(o)
	burst := max(1, math.Floor(calls/11))
	perSecond := (calls - burst) / limitWindow.Seconds()
	return &budget{
		now: o.Now, counts: counts{o.Observer}, limiter: rate.NewLimiter(rate.Limit(perSecond), int(burst)),
		waiting: map[class]*atomic.Int64{classMachine: {}, classOther: {}, classUnknown: {}},
	}
}

// budgetCalls is how many calls this process may make in ten seconds.
func budgetCalls(o Options) float64 {
	limit := developmentLimit
	if strings.HasPrefix(o.SecretKey, "sk_live_") {
		limit = productionLimit
	}
	return o.BudgetShare * float64(limit)
}

// checkBudget reports a share that leaves nothing to live on.
func checkBudget(o Options) error {
	if calls := budgetCalls(o); !(calls >= 2 && calls <= 1e6) {
		return errors.New("BudgetShare leaves less than 2 calls in 10 seconds, or is out of range")
	}
	return nil
}

// take takes a token for a call of the class if there is one to spare.
func (b *budget) take(c class) bool {
	taken, _ := b.try(c)
	if !taken {
		b.counts.add(CountBudget, string(c), 1)
	}
	return taken
}

// takeSoon is take for a call that can wait a moment. Few wait at a time: most
// of a flood is refused at once.
func (b *budget) takeSoon(ctx context.Context, c class) bool {
	taken, delay := b.try(c)
	if !taken {
		taken = b.waitFor(ctx, c, delay)
	}
	if !taken {
		b.counts.add(CountBudget, string(c), 1)
	}
	return taken
}

func (b *budget) waitFor(ctx context.Context, c class, delay time.Duration) (taken bool) {
	waiting := b.waiting[c]
	defer waiting.Add(-1)
	if waiting.Add(1) > maxWaiting {
		return false
	}
	timeout := time.NewTimer(maxTokenWait)
	defer timeout.Stop()
	for !taken {
		select {
		case <-time.After(delay):
			taken, delay = b.try(c)
		case <-timeout.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// try takes a token, or returns in how much time there may be one.
func (b *budget) try(c class) (taken bool, delay time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	if c == classRefresh && now.Before(b.pausedUntil) {
		return false, b.pausedUntil.Sub(now)
	}
	missing := 1 + float64(c.leaves(b.limiter.Burst())) - b.limiter.TokensAt(now)
	if missing <= 0 {
		return b.limiter.AllowN(now, 1), 0
	}
	return false, time.Duration(missing / float64(b.limiter.Limit()) * float64(time.Second))
}

// reserve takes the next token for a sign-in, whose call may go out after the
// returned time.
func (b *budget) reserve() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	return b.limiter.ReserveN(now, 1).DelayFrom(now)
}

// pauseRefreshes leaves what Clerk allows to sign-ins for a while: after a 429,
// until a whole window of Clerk's limit has passed.
func (b *budget) pauseRefreshes(retryAfter time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	until := b.now().Add(max(retryAfter, 0) + limitWindow)
	if until.After(b.pausedUntil) {
		b.pausedUntil = until
	}
}

// errBudget: the call was not made, so that Clerk's rate limit is not reached.
var errBudget = &Error{Kind: Unavailable, Reason: ReasonBudgetExhausted}
