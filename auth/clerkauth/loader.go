package clerkauth

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
)

const (
	// maxBatch is the most ids that one call can ask for.
	maxBatch = 100
	// The most calls in flight, by what they are for. Those for one id alone
	// and refreshes have places of their own, so that they take none from a
	// sign-in.
	maxSignInCalls  = 16
	maxAloneCalls   = 4
	maxRefreshCalls = 4

	// maxQueueTime is how long a sign-in waits for its call to leave while
	// Clerk answers others. It is counted in steps, as a call's time is.
	maxQueueTime = 10 * time.Second
	queueSteps   = 10
	// maxQueued bounds how many ids wait. Clerk's limit lets fewer be loaded
	// within maxQueueTime.
	maxQueued = 100_000
	// maxQueuedRefreshes bounds how many refreshes wait to be sent.
	maxQueuedRefreshes = 10_000
	// refreshLinger is how long a refresh waits for others, on average.
	refreshLinger = time.Second

	// maxSuspects bounds how many ids are remembered of batches that hung, and
	// suspectFor is for how long.
	maxSuspects = 10_000
	suspectFor  = time.Minute
)

// load is one user on the way. All who ask for the user share it.
type load struct {
	*flight[userRecord]
	id     string
	wanted atomic.Bool   // a request has asked; otherwise it is a refresh
	asking atomic.Int32  // requests that wait now
	left   chan struct{} // closed once a call for it is out

	// Guarded by loader.mu until left is closed, and not changed from then on.
	queuedAt time.Time
	issuedAt time.Time // the newest iat of the tokens that wait
	taken    bool      // left is closed
	odd      bool      // failed lately on its own account
	limit    int       // of the batch it may travel in
	absent   bool      // a list left it out
}

// loader loads users in batches. A user who is not known joins the next batch.
// A batch leaves as soon as fewer than maxSignInCalls are in flight: a single
// user waits for nothing, and a crowd leaves by the hundred. Refreshes ride
// along, or leave by themselves once 100 of them wait or about a second has
// passed. The loader has no goroutine while there is nothing to load.
type loader struct {
	connection *connection
	budget     *budget
	outage     *outage
	failures   *failures // by user id
	// suspects are ids that were in a batch for which Clerk gave no answer,
	// with the size of the batches in which they may travel until they get one.
	// An id whose record makes Clerk hang is soon alone.
	suspects *otter.Cache[string, int]
	counts   counts
	now      func() time.Time
	// put stores what was loaded, and returns what is known now: an event may
	// have brought something newer.
	put func(id string, loaded userRecord) userRecord

	mu        sync.Mutex
	loads     map[string]*load // queued or in flight
	signIns   []*load
	alone     []*load // one id a call: absent from a list, or failed lately
	refreshes []*load // those that are wanted by now are among signIns, too

	signInCalls, aloneCalls, refreshCalls int
	signInNext, aloneNext                 bool // a call waits for its token
	lingering                             bool // a timer will send the refreshes
}

func newLoader(b *Backend, o Options) *loader {
	return &loader{
		connection: b.connection, budget: b.budget, outage: b.outage,
		failures: newFailures(o.Now), counts: counts{o.Observer}, now: o.Now,
		loads: make(map[string]*load),
		suspects: newCache(o.Now, otter.Options[string, int]{
			MaximumSize:      maxSuspects,
			ExpiryCalculator: otter.ExpiryWriting[string, int](suspectFor),
		}),
	}
}

// join returns the load of a user, and starts one unless one is on its way. The
// error tells why Clerk is not asked. Known looks once more for the record: a
// load may have ended since the request looked.
func (l *loader) join(id string, issuedAt time.Time, known func() (userRecord, bool)) (*load, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ld := l.loads[id]
	switch {
	case ld == nil:
		if record, ok := known(); ok {
			ended := &load{flight: newFlight[userRecord]()}
			ended.finish(record, nil)
			return ended, nil
		}
		failure, odd := l.failures.of(id)
		if failure == nil {
			failure = l.outage.blocked()
		}
		if failure != nil {
			return nil, failure
		}
		if len(l.loads) >= maxQueued {
			return nil, errNoAnswer
		}
		ld = l.newLoad(id, odd)
		ld.wanted.Store(true)
		l.loads[id] = ld
		l.queue(ld)
	case ld.wanted.CompareAndSwap(false, true) && !ld.taken && !ld.odd:
		ld.queuedAt = time.Now()
		l.queue(ld)
	}
	if !ld.taken && issuedAt.After(ld.issuedAt) {
		ld.issuedAt = issuedAt
	}
	return ld, nil
}

func (l *loader) newLoad(id string, odd bool) *load {
	ld := &load{flight: newFlight[userRecord](), id: id, left: make(chan struct{}), queuedAt: time.Now(), odd: odd, limit: maxBatch}
	if limit, ok := l.suspects.GetIfPresent(id); ok {
		ld.limit = limit
	}
	return ld
}

// refresh starts a load that nobody waits for, unless that would be a burden.
func (l *loader) refresh(id string) {
	failure, odd := l.failures.of(id)
	if failure != nil || l.outage.blocked() != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.loads[id] != nil || len(l.refreshes) >= maxQueuedRefreshes {
		return
	}
	ld := l.newLoad(id, odd)
	ld.odd = odd || ld.limit < maxBatch
	l.loads[id] = ld
	l.queue(ld)
}

// queue puts a load where it belongs. The caller of this and of the start
// methods holds mu.
func (l *loader) queue(ld *load) {
	switch {
	case ld.odd || ld.absent:
		l.alone = append(l.alone, ld)
		l.startAlone()
	case ld.wanted.Load():
		l.signIns = append(l.signIns, ld)
		l.startSignIns()
	default:
		l.refreshes = append(l.refreshes, ld)
		if len(l.refreshes) >= maxBatch {
			l.startRefreshes()
		} else if !l.lingering {
			l.lingering = true
			jitter := 0.5 + rand.Float64() // so that instances do not keep step
			time.AfterFunc(time.Duration(jitter*float64(refreshLinger)), l.stopLingering)
		}
	}
}

func (l *loader) stopLingering() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lingering = false
	l.startRefreshes()
}

// startSignIns sends the next batch unless one is about to be sent: who comes
// while a call waits for its token joins that call.
func (l *loader) startSignIns() {
	if len(l.signIns) > 0 && !l.signInNext && l.signInCalls < maxSignInCalls {
		l.signInNext = true
		l.signInCalls++
		go l.sendSignIns()
	}
}

func (l *loader) startAlone() {
	if len(l.alone) > 0 && !l.aloneNext && l.aloneCalls < maxAloneCalls {
		l.aloneNext = true
		l.aloneCalls++
		go l.sendAlone()
	}
}

func (l *loader) startRefreshes() {
	if len(l.refreshes) > 0 && l.refreshCalls < maxRefreshCalls {
		l.refreshCalls++
		go l.sendRefreshes()
	}
}

// wait returns the user of a load. A request waits in the queue for up to
// maxQueueTime, and once its call is out for the answer, which has a deadline.
// A request that has waited in vain for another call before has less time once
// its call is out: what is left until the given time, zero for no such request.
func (l *loader) wait(ctx context.Context, until time.Time, ld *load) (userRecord, error) {
	var left chan struct{}
	var rest time.Duration
	if !until.IsZero() {
		left, rest = ld.left, max(time.Until(until), 0)
	}
	ld.asking.Add(1)
	defer ld.asking.Add(-1)
	timer := time.NewTimer(maxQueueTime / queueSteps)
	defer timer.Stop()
	for steps := queueSteps; ; {
		select {
		case <-ld.done:
			return ld.value, ld.err
		case <-left:
			left, steps = nil, 1
			timer.Reset(rest)
		case <-ctx.Done():
			return userRecord{}, canceled(ctx)
		case <-timer.C:
			if steps--; steps > 0 {
				timer.Reset(maxQueueTime / queueSteps)
				continue
			}
			select {
			case <-ld.done: // on a busy machine both are late
				return ld.value, ld.err
			default:
				return userRecord{}, errNoAnswer
			}
		}
	}
}
