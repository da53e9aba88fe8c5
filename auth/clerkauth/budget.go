package clerkauth

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Clerk's published limit of calls to the Backend API in ten seconds:
// https://clerk.com/docs/guides/how-clerk-works/system-limits
const (
	limitWindow      = 10 * time.Second
	productionLimit  = 1000 // sk_live_…
	developmentLimit = 100  // sk_test_…

	defaultRateLimitShare = 0.8 // leaves room for other programs with the same key

	// maxTokenWait is how long a call waits for its token, and maxWaiting how
	// many wait at a time for one tenant: a handful of calls in a row, as an
	// administrator makes them, find the bucket of a development instance empty.
	maxTokenWait      = time.Second
	maxBackgroundWait = 10 * time.Second
	maxWaiting        = 8
	// maxTenants bounds for how many tenants calls wait at a time.
	maxTenants = 1000

	// defaultUnknownPerSecond is how many secrets that Clerk never knew are
	// verified in a second, for a whole RateLimitShare: 5 with the default share.
	// Clerk bills each ($0.00001): a flood that never ends costs $4 a day.
	defaultUnknownPerSecond = 6.25
	// minUnknownBurst is how many are verified at once after a quiet time.
	minUnknownBurst = 5
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

	classBackground class = "background" // nobody waits: reconciliation
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
	case classUnknown, classBackground:
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

	mu          sync.Mutex
	limiter     *rate.Limiter
	unknown     *rate.Limiter // of classUnknown, besides
	lines       map[class]*line
	pausedUntil time.Time // no refresh before then
}

// line is where the calls of one class wait for their tokens. Tenants take turns,
// so that a tenant waits for one call of each other at most.
type line struct {
	turns []string                   // tenants for whom calls wait, the next one first
	calls map[string][]chan struct{} // by tenant; each is closed when its call has its token
}

func newBudget(o Options) *budget {
	calls := budgetCalls(o)
	burst := max(1, math.Floor(calls/11))
	perSecond := (calls - burst) / limitWindow.Seconds()
	b := &budget{
		now: o.Now, counts: counts{o.Observer}, limiter: rate.NewLimiter(rate.Limit(perSecond), int(burst)),
		unknown: rate.NewLimiter(rate.Limit(o.UnknownTokensPerSecond), max(minUnknownBurst, int(o.UnknownTokensPerSecond))),
		lines:   map[class]*line{},
	}
	for _, c := range []class{classMachine, classOther, classUnknown} {
		b.lines[c] = &line{calls: map[string][]chan struct{}{}}
	}
	return b
}

// budgetCalls is how many calls this process may make in ten seconds.
func budgetCalls(o Options) float64 {
	limit := developmentLimit
	if strings.HasPrefix(o.SecretKey, "sk_live_") {
		limit = productionLimit
	}
	return o.RateLimitShare * float64(limit)
}

// CallLimit is how many calls to Clerk one process makes in ten seconds at most.
func (o Options) CallLimit() int {
	if o.RateLimitShare == 0 {
		o.RateLimitShare = defaultRateLimitShare
	}
	return int(budgetCalls(o))
}

// checkBudget reports a share that leaves nothing to live on.
func checkBudget(o Options) error {
	if calls := budgetCalls(o); !(calls >= 2 && calls <= 1e6) {
		return errors.New("leaves less than 2 calls in 10 seconds, or is out of range: write a share such as 0.8, or 0.08 for each of ten instances")
	}
	return nil
}

// take takes a token for a call of the class if there is one to spare.
func (b *budget) take(c class) bool {
	b.mu.Lock()
	taken := b.takeLocked(c)
	b.mu.Unlock()
	if !taken {
		b.counts.add(CountRateLimit, string(c), 1)
	}
	return taken
}

// takeSoon is take for a call that can wait a moment. For each tenant few wait at
// a time: most of a flood is refused at once. Calls in the background wait among
// those of the application, as one more tenant.
func (b *budget) takeSoon(ctx context.Context, c class, tenant string) bool {
	where, wait := c, maxTokenWait
	if c == classBackground {
		where, tenant, wait = classOther, string(c), maxBackgroundWait
	}
	b.mu.Lock()
	line := b.lines[where]
	taken := len(line.turns) == 0 && b.takeLocked(c)
	var turn chan struct{}
	if !taken {
		turn = line.joinLocked(tenant)
	}
	b.mu.Unlock()
	if turn != nil {
		taken = b.waitFor(ctx, where, tenant, turn, wait)
	}
	if !taken {
		b.counts.add(CountRateLimit, string(c), 1)
	}
	return taken
}

// joinLocked returns what to wait for, nil if too many wait.
func (l *line) joinLocked(tenant string) chan struct{} {
	waiting := len(l.calls[tenant])
	if waiting >= maxWaiting || waiting == 0 && len(l.turns) >= maxTenants {
		return nil
	}
	if waiting == 0 {
		l.turns = append(l.turns, tenant)
	}
	turn := make(chan struct{})
	l.calls[tenant] = append(l.calls[tenant], turn)
	return turn
}

// leaveLocked takes a call out of the line.
func (l *line) leaveLocked(tenant string, turn chan struct{}) {
	l.calls[tenant] = slices.DeleteFunc(l.calls[tenant], func(c chan struct{}) bool { return c == turn })
	if len(l.calls[tenant]) == 0 {
		delete(l.calls, tenant)
		l.turns = slices.DeleteFunc(l.turns, func(t string) bool { return t == tenant })
	}
}

// serveLocked hands out the tokens that there are, and returns in how much time
// there may be another.
func (b *budget) serveLocked(c class) time.Duration {
	line := b.lines[c]
	for len(line.turns) > 0 && b.takeLocked(c) {
		tenant := line.turns[0]
		turn := line.calls[tenant][0]
		line.turns = append(line.turns[1:], tenant)
		line.leaveLocked(tenant, turn)
		close(turn)
	}
	return max(b.delayLocked(c), time.Millisecond)
}

// waitFor waits for a call's turn. All who wait hand out tokens.
func (b *budget) waitFor(ctx context.Context, c class, tenant string, turn chan struct{}, wait time.Duration) bool {
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	for waits := true; waits; {
		b.mu.Lock()
		delay := b.serveLocked(c)
		b.mu.Unlock()
		next := time.NewTimer(delay)
		select {
		case <-turn:
			waits = false
		case <-next.C:
		case <-timeout.C:
			waits = false
		case <-ctx.Done():
			waits = false
		}
		next.Stop()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-turn:
		return true
	default:
		b.lines[c].leaveLocked(tenant, turn)
		return false
	}
}

func (b *budget) takeLocked(c class) bool {
	if b.delayLocked(c) > 0 || !b.limiter.AllowN(b.now(), 1) {
		return false
	}
	return c != classUnknown || b.unknown.AllowN(b.now(), 1)
}

// delayLocked returns in how much time there may be a token for a call of the
// class, 0 for now.
func (b *budget) delayLocked(c class) time.Duration {
	now := b.now()
	if c == classRefresh && now.Before(b.pausedUntil) {
		return b.pausedUntil.Sub(now)
	}
	delay := untilTokens(b.limiter, now, 1+c.leaves(b.limiter.Burst()))
	if c == classUnknown {
		delay = max(delay, untilTokens(b.unknown, now, 1))
	}
	return delay
}

func untilTokens(l *rate.Limiter, now time.Time, n int) time.Duration {
	return time.Duration(max(float64(n)-l.TokensAt(now), 0) / float64(l.Limit()) * float64(time.Second))
}

// reserve takes the next token for a sign-in, whose call may go out after the
// returned time.
func (b *budget) reserve() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	return b.limiter.ReserveN(now, 1).DelayFrom(now)
}

// pauseRefreshes leaves what Clerk allows to sign-ins for a while: after a 429
// for loading users, until a whole window of Clerk's limit has passed. Between
// two pauses refreshes go on for as long, so that a ban is seen.
func (b *budget) pauseRefreshes(retryAfter time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := b.now(); !now.Before(b.pausedUntil.Add(limitWindow)) {
		b.pausedUntil = now.Add(max(retryAfter, 0) + limitWindow)
	}
}

// errBudget: the call was not made, so that Clerk's rate limit is not reached.
var errBudget = &Error{Kind: Unavailable, Reason: ReasonRateLimitShare}
