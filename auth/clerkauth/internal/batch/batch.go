// Package batch loads values by their ids, many with one call, within a rate
// limit and behind a circuit breaker.
//
//	state      queue      class    what ends it
//	new        signIns    SignIn   a call for up to 100 ids
//	stale      refreshes  Refresh  the same, about a second later; or a call of signIns with room for it
//	single     singles    SignIn   a call for one id: its batch failed, or a list left it out
//	suspicious retries    Refresh  a call for one id: it failed recently, or its batch of refreshes did
//	sent       none       -        the call's result, or the queue singles or retries
//
// A batch that fails is loaded again one id at a time. A stale id for which a
// request waits becomes new. An open circuit ends all that is queued. A call
// starts as soon as its queue has fewer than its calls under way. A single id
// does not wait; under load, ids are loaded up to 100 per call. There is no
// goroutine while there is nothing to load.
package batch

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"encore.app/auth/clerkauth/internal/backoff"
	"encore.app/auth/clerkauth/internal/breaker"
	"encore.app/auth/clerkauth/internal/ratelimit"
)

const (
	maxBatch = 100 // ids of one call
	// MaxWait is how long Load waits. Clerk's limit lets fewer than maxPending
	// be loaded in that time.
	MaxWait      = 10 * time.Second
	maxPending   = 100_000
	maxRefreshes = 10_000
)

// Errors of Load, besides those of Fetch and of the circuit breaker.
var (
	ErrRateLimit = errors.New("the share of the rate limit is used up")
	ErrLate      = errors.New("no answer in time")
)

// Result is what Fetch has for one id.
type Result[V any] struct {
	Value V
	Err   error // of this id alone
}

// Config is what a Loader needs. All functions are required.
type Config[V any] struct {
	Now     func() time.Time
	Limiter *ratelimit.Limiter
	Breaker *breaker.Breaker

	// Fetch makes one call. An id that its result lacks is fetched alone.
	Fetch func(ids []string) (map[string]Result[V], error)
	// Classify says whether an error of Fetch is Failed or Unclear, and how long
	// the service wants to be left alone.
	Classify func(error) (breaker.Outcome, time.Duration)
	// Store stores a value and returns the value that counts. It is called under a
	// lock, as Ended is.
	Store func(id string, value V) V
	// Sent is told of each call, and Ended of each id.
	Sent  func(queue string)
	Ended func(value V, err error)
}

// Loader loads values in batches.
type Loader[V any] struct {
	Config[V]
	failed *backoff.Keyed // by id

	mu                                   sync.Mutex
	pending                              map[string]*pending[V] // queued or sent
	signIns, singles, refreshes, retries queue[V]
}

// queue holds ids that wait for a call.
type queue[V any] struct {
	name     string
	class    ratelimit.Class
	size     int           // ids of a call
	calls    int           // at most, under way
	linger   time.Duration // of a call for fewer ids, on average
	ids      []*pending[V] // some may be in another queue by now
	underWay int
	next     bool // a call lingers, or waits for its token
}

// pending is one id that is being loaded. All requests for the id share it.
type pending[V any] struct {
	id    string
	queue *queue[V]     // nil once sent
	done  chan struct{} // closed once value and err are set
	value V
	err   error
}

// New returns a Loader.
func New[V any](c Config[V]) *Loader[V] {
	return &Loader[V]{
		Config:    c,
		failed:    backoff.New(c.Now),
		pending:   map[string]*pending[V]{},
		signIns:   queue[V]{name: "sign_in", class: ratelimit.SignIn, size: maxBatch, calls: 16},
		singles:   queue[V]{name: "single", class: ratelimit.SignIn, size: 1, calls: 8},
		refreshes: queue[V]{name: "refresh", class: ratelimit.Refresh, size: maxBatch, calls: 4, linger: time.Second},
		retries:   queue[V]{name: "single", class: ratelimit.Refresh, size: 1, calls: 4},
	}
}

// Load returns the value of an id, and waits for it until ctx or [MaxWait] is
// over. Known looks once more for a value that is there already.
func (l *Loader[V]) Load(ctx context.Context, id string, known func() (V, bool)) (none V, _ error) {
	p, err := l.join(id, known)
	if err != nil {
		return none, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, MaxWait, ErrLate)
	defer cancel()
	select {
	case <-p.done:
	case <-ctx.Done():
		select {
		case <-p.done: // on a busy machine both are late
		default:
			if context.Cause(ctx) == ErrLate {
				return none, ErrLate
			}
			return none, ctx.Err()
		}
	}
	return p.value, p.err
}

func (l *Loader[V]) join(id string, known func() (V, bool)) (*pending[V], error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.pending[id]; p != nil {
		if p.queue == &l.refreshes {
			l.queueLocked(p, &l.signIns)
		}
		return p, nil
	}
	p := &pending[V]{id: id, done: make(chan struct{})}
	if value, ok := known(); ok {
		p.value = value
		close(p.done)
		return p, nil
	}
	return l.admitLocked(p, &l.signIns)
}

// Refresh loads the value of an id in the background, unless that is a burden.
func (l *Loader[V]) Refresh(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending[id] == nil && len(l.refreshes.ids) < maxRefreshes {
		_, _ = l.admitLocked(&pending[V]{id: id, done: make(chan struct{})}, &l.refreshes)
	}
}

// admitLocked queues a new id, or returns the failure for which it has to wait.
func (l *Loader[V]) admitLocked(p *pending[V], q *queue[V]) (*pending[V], error) {
	waiting, recent := l.failed.Check(p.id)
	if waiting == nil {
		waiting = l.Breaker.Blocked()
	}
	switch {
	case waiting != nil:
		return nil, waiting
	case len(l.pending) >= maxPending:
		return nil, ErrLate
	case recent:
		q = &l.retries
	}
	l.pending[p.id] = p
	l.queueLocked(p, q)
	return p, nil
}

func (l *Loader[V]) queueLocked(p *pending[V], q *queue[V]) {
	p.queue = q
	q.ids = append(q.ids, p)
	l.startLocked(q)
}

// startLocked starts a call for a queue, if one may leave.
func (l *Loader[V]) startLocked(q *queue[V]) {
	if len(q.ids) == 0 || q.next || q.underWay == q.calls {
		return
	}
	q.next = true
	q.underWay++
	var linger time.Duration
	if len(q.ids) < q.size {
		linger = time.Duration((0.5 + rand.Float64()) * float64(q.linger)) // instances do not keep step
	}
	time.AfterFunc(linger, func() { l.run(q) })
}

// run makes one call for a queue. Refreshes without a token are dropped: their
// stale values serve, and are refreshed when they are used again.
func (l *Loader[V]) run(q *queue[V]) {
	allowed := l.Limiter.Take(q.class)
	l.mu.Lock()
	q.next = false
	batch := q.takeLocked(nil)
	if q == &l.signIns && len(batch) > 0 {
		batch = l.refreshes.takeLocked(batch)
	}
	if !allowed {
		l.endLocked(ErrRateLimit, batch...)
		batch = nil
	}
	l.startLocked(q)
	l.mu.Unlock()
	if len(batch) > 0 {
		l.call(batch, q)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	q.underWay--
	l.startLocked(q)
}

// takeLocked moves ids from the front of the queue to the batch, up to its size.
func (q *queue[V]) takeLocked(batch []*pending[V]) []*pending[V] {
	for len(q.ids) > 0 && len(batch) < q.size {
		if p := q.ids[0]; p.queue == q {
			p.queue = nil
			batch = append(batch, p)
		}
		q.ids[0] = nil // for the garbage collector
		q.ids = q.ids[1:]
	}
	return batch
}

// call makes one call. The circuit is closed again before anybody has the answer:
// a caller who is served has shown that the service is back.
func (l *Loader[V]) call(batch []*pending[V], q *queue[V]) {
	done, err := l.Breaker.Begin()
	if err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.dropLocked(batch, err)
		return
	}
	l.Sent(q.name)
	ids := make([]string, len(batch))
	for i, p := range batch {
		ids[i] = p.id
	}
	found, err := l.Fetch(ids)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		done(breaker.Succeeded, nil, 0)
		l.finishLocked(batch, found)
		return
	}
	outcome, retryAfter := l.Classify(err)
	clear := outcome == breaker.Failed
	if !clear && q == &l.retries {
		outcome = breaker.Ignored
	}
	switch opened := done(outcome, err, retryAfter); {
	case opened:
		l.dropLocked(batch, err)
	case clear:
		l.endLocked(err, batch...)
	case len(batch) == 1:
		l.failLocked(batch[0], err, retryAfter)
	default:
		// Two bad ids in a row would look like a failure of the service.
		rand.Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
		to := &l.singles
		if q == &l.refreshes {
			to = &l.retries
		}
		for _, p := range batch {
			l.queueLocked(p, to)
		}
	}
}

// finishLocked ends the ids of a call that succeeded.
func (l *Loader[V]) finishLocked(batch []*pending[V], found map[string]Result[V]) {
	for _, p := range batch {
		switch result, ok := found[p.id]; {
		case !ok:
			l.queueLocked(p, &l.singles)
		case result.Err != nil:
			l.failLocked(p, result.Err, 0)
		default:
			l.failed.Clear(p.id)
			p.value = l.Store(p.id, result.Value)
			l.endLocked(nil, p)
		}
	}
}

// failLocked ends an id whose failure is its own.
func (l *Loader[V]) failLocked(p *pending[V], err error, retryAfter time.Duration) {
	l.failed.Add(p.id, err, retryAfter)
	l.endLocked(err, p)
}

// dropLocked ends a batch, and everything queued, for a failure of the service.
func (l *Loader[V]) dropLocked(batch []*pending[V], err error) {
	l.endLocked(err, batch...)
	for _, q := range []*queue[V]{&l.signIns, &l.singles, &l.refreshes, &l.retries} {
		for len(q.ids) > 0 {
			l.endLocked(err, q.takeLocked(nil)...)
		}
	}
}

func (l *Loader[V]) endLocked(err error, batch ...*pending[V]) {
	for _, p := range batch {
		delete(l.pending, p.id)
		p.err = err
		l.Ended(p.value, err)
		close(p.done)
	}
}
