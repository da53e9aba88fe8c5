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
	// Clerk answers others.
	maxQueueTime = 10 * time.Second
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
	wanted atomic.Bool   // a request waits; otherwise it is a refresh
	left   chan struct{} // closed once a call for it is out

	// Guarded by loader.mu until left is closed, and not changed from then on.
	queuedAt time.Time
	issuedAt time.Time // the newest iat of the tokens that wait
	taken    bool      // left is closed
	odd      bool      // failed lately on its own account
	limit    int       // of the batch it may travel in
	absent   bool      // a list left it out
}

// loader loads users in batches. A user who is not known joins the next batch. A
// batch leaves as soon as fewer than maxSignInCalls are in flight: a single user
// waits for nothing, and a crowd leaves by the hundred. Refreshes ride along, or
// leave by themselves once 100 of them wait or about a second has passed. The
// loader has no goroutine while there is nothing to load.
type loader struct {
	connection *connection
	budget     *budget
	outage     *outage
	failures   *failures // by user id
	// suspects are ids that were in a batch for which Clerk gave no answer. They
	// travel in batches of half the size until they get one, so that an id whose
	// record makes Clerk hang is soon alone.
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

// sendSignIns makes one call for those who wait.
func (l *loader) sendSignIns() {
	time.Sleep(l.budget.reserve())
	l.mu.Lock()
	l.signInNext = false
	l.endOverdue()
	n, limit := batchSize(l.signIns)
	batch := take(&l.signIns, n)
	if n > 0 && limit == maxBatch {
		batch = append(batch, unwanted(take(&l.refreshes, maxBatch-n))...)
	}
	t, failure := ticket{}, (*Error)(nil)
	if len(batch) > 0 {
		t, failure = l.outage.begin()
	}
	leave(batch)
	l.startSignIns()
	l.mu.Unlock()
	l.send(batch, t, failure, string(classSignIn))
	l.mu.Lock()
	l.signInCalls--
	l.startSignIns()
	l.mu.Unlock()
}

// sendAlone makes one call for one id. Who failed lately waits behind all others.
func (l *loader) sendAlone() {
	l.mu.Lock()
	one := take(&l.alone, 1)
	l.mu.Unlock()
	var t ticket
	var failure *Error
	if len(one) > 0 {
		if one[0].odd || !one[0].wanted.Load() {
			if !l.budget.take(classRefresh) {
				failure = errBudget
			}
		} else {
			time.Sleep(l.budget.reserve())
		}
		if failure == nil {
			t, failure = l.outage.aside()
		}
	}
	l.mu.Lock()
	l.aloneNext = false
	leave(one)
	l.startAlone()
	l.mu.Unlock()
	l.send(one, t, failure, "alone")
	l.mu.Lock()
	l.aloneCalls--
	l.startAlone()
	l.mu.Unlock()
}

// sendRefreshes makes one call for refreshes, or drops them if the budget has
// nothing to spare. Their users are served as before, and are refreshed when
// they come back some seconds later.
func (l *loader) sendRefreshes() {
	l.mu.Lock()
	batch := unwanted(take(&l.refreshes, maxBatch))
	leave(batch)
	l.mu.Unlock()
	if len(batch) > 0 {
		t, failure := l.outage.begin()
		if failure == nil && !l.budget.take(classRefresh) {
			l.outage.ended(t)
			failure = errBudget
		}
		l.send(batch, t, failure, string(classRefresh))
	}
	l.mu.Lock()
	l.refreshCalls--
	if len(l.refreshes) >= maxBatch || !l.lingering {
		l.startRefreshes()
	}
	l.mu.Unlock()
}

// send makes the call for a batch, unless there is a failure that forbids it.
func (l *loader) send(batch []*load, t ticket, failure *Error, why string) {
	switch {
	case len(batch) == 0:
	case failure == errBudget:
		l.withdraw(batch)
	case failure != nil:
		l.finish(batch, failure)
		l.drop(failure)
	default:
		l.counts.add(CountUserBatches, why, 1)
		l.load(batch, t)
	}
}

// withdraw ends loads for which the budget has no token. Refreshes that are
// wanted by now join the sign-ins.
func (l *loader) withdraw(batch []*load) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ld := range batch {
		if !ld.odd && ld.wanted.Load() {
			ld.queuedAt = time.Now()
			l.queue(ld)
		} else {
			l.end(ld, userRecord{}, errBudget)
		}
	}
}

// endOverdue ends sign-ins whose requests no longer wait.
func (l *loader) endOverdue() {
	overdue := time.Now().Add(-maxQueueTime)
	for len(l.signIns) > 0 && l.signIns[0].queuedAt.Before(overdue) {
		l.counts.add(CountBudget, string(classSignIn), 1)
		l.end(take(&l.signIns, 1)[0], userRecord{}, errNoAnswer)
	}
}

// batchSize returns how many loads at the front of a queue may travel together,
// and how many could.
func batchSize(queue []*load) (n, limit int) {
	limit = maxBatch
	for _, ld := range queue {
		if n >= min(limit, ld.limit) {
			break
		}
		limit = min(limit, ld.limit)
		n++
	}
	return n, limit
}

// take cuts at most n loads from the front of a queue.
func take(queue *[]*load, n int) []*load {
	n = min(n, len(*queue))
	front := append([]*load(nil), (*queue)[:n]...)
	clear((*queue)[:n]) // for the garbage collector
	*queue = (*queue)[n:]
	return front
}

// unwanted returns the loads that are still no more than refreshes.
func unwanted(refreshes []*load) []*load {
	kept := refreshes[:0]
	for _, ld := range refreshes {
		if !ld.wanted.Load() {
			kept = append(kept, ld)
		}
	}
	return kept
}

func leave(batch []*load) {
	for _, ld := range batch {
		if !ld.taken {
			ld.taken = true
			close(ld.left)
		}
	}
}

// drop ends everything that is queued: Clerk as a whole is failing.
func (l *loader) drop(failure *Error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, queue := range []*[]*load{&l.signIns, &l.alone, &l.refreshes} {
		for _, ld := range *queue {
			l.end(ld, userRecord{}, failure)
		}
		*queue = nil
	}
}

// finish ends loads with an error.
func (l *loader) finish(batch []*load, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ld := range batch {
		l.end(ld, userRecord{}, err)
	}
}

// end hands the result to all who wait, unless the load has ended. The caller
// holds mu.
func (l *loader) end(ld *load, record userRecord, err error) {
	if l.loads[ld.id] != ld {
		return
	}
	delete(l.loads, ld.id)
	ld.taken = true // nobody changes it from here on
	ld.flight.finish(record, err)
	switch {
	case err != nil:
		l.counts.add(CountUsers, failed(err), 1)
	case record.refusal != "":
		l.counts.add(CountUsers, "refused", 1)
	default:
		l.counts.add(CountUsers, "loaded", 1)
	}
}

// wait returns the user of a load. A request waits in the queue for up to
// maxQueueTime. Once the call is out, it waits for what is left until the time
// that it may wait for Clerk in all.
func (l *loader) wait(ctx context.Context, until time.Time, ld *load) (userRecord, error) {
	rest := time.Until(until)
	timer := time.NewTimer(maxQueueTime)
	defer timer.Stop()
	left := ld.left
	if rest > callTimeout*9/10 {
		left = nil // has not waited before: the call's own deadline is enough
	}
	for {
		select {
		case <-ld.done:
			return ld.value, ld.err
		case <-left:
			left = nil
			timer.Reset(rest)
		case <-ctx.Done():
			return userRecord{}, canceled(ctx)
		case <-timer.C:
			return userRecord{}, errNoAnswer
		}
	}
}
