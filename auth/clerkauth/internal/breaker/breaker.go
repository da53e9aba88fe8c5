// Package breaker is a circuit breaker for the calls to one service.
//
//	state      event                                  next state
//	closed     a call Failed                          open
//	closed     maxUnclear calls in a row are Unclear  open
//	open       Begin, once the backoff is over        half-open: the call is the probe
//	half-open  the probe Succeeded                    closed
//	half-open  the probe Failed or is Unclear         open, for twice as long
//	half-open  the probe is Ignored                   open, with its backoff over
//
// Begin returns the failure that opened the circuit while it is open or
// half-open. The result of a call counts for nothing if the circuit has opened
// since the call began, or if a call that began later has succeeded.
//
// sony/gobreaker/v2 opens for one fixed time and forgets the failure; Retry-After
// and a growing backoff need a delay by result. Failsafe-go has that, but
// counts the results of calls that began in an earlier state, and its module
// requires gRPC. Both read the system's clock, where clerkauth has one to
// inject.
package breaker

import (
	"sync"
	"time"
)

const (
	// FirstBackoff doubles with each failure in a row, up to MaxBackoff.
	FirstBackoff = 500 * time.Millisecond
	MaxBackoff   = 15 * time.Second

	maxUnclear = 5
)

// Outcome is what the result of a call says of the service.
type Outcome int

// The outcomes.
const (
	Ignored   Outcome = iota // nothing
	Succeeded                // it works
	Unclear                  // it may fail, or only the thing requested
	Failed                   // it fails
)

// Breaker is a circuit breaker.
type Breaker struct {
	now func() time.Time

	mu        sync.Mutex
	calls     uint64 // the newest call's number
	decided   uint64 // results of calls up to this number count for nothing
	probe     uint64 // the number of the probe, 0 while no probe runs
	failure   error  // nil while closed
	openUntil time.Time
	opened    int // times in a row
	unclear   int // results in a row
}

// New returns a closed Breaker.
func New(now func() time.Time) *Breaker { return &Breaker{now: now} }

// Blocked returns the failure for which no call may begin now, or nil.
func (b *Breaker) Blocked() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.blockedLocked()
}

func (b *Breaker) blockedLocked() error {
	if b.failure != nil && (b.probe != 0 || b.now().Before(b.openUntil)) {
		return b.failure
	}
	return nil
}

// Begin starts a call, or returns the failure for which none may begin. The
// call's end is reported to done: an outcome, and for a failure the error and how
// long the service wants to be left alone. Done returns whether that opened the
// circuit.
func (b *Breaker) Begin() (done func(o Outcome, failure error, retryAfter time.Duration) (opened bool), blocked error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if failure := b.blockedLocked(); failure != nil {
		return nil, failure
	}
	b.calls++
	call := b.calls
	if b.failure != nil {
		b.probe = call
	}
	return func(o Outcome, failure error, retryAfter time.Duration) bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.endLocked(call, o, failure, retryAfter)
	}, nil
}

func (b *Breaker) endLocked(call uint64, o Outcome, failure error, retryAfter time.Duration) (opened bool) {
	probe := call == b.probe
	if probe {
		b.probe = 0
	}
	switch {
	case o == Ignored || call <= b.decided:
		return false
	case o == Succeeded:
		b.decided, b.failure, b.opened, b.unclear = call, nil, 0, 0
		return false
	case o == Unclear && !probe:
		if b.unclear++; b.unclear < maxUnclear {
			return false
		}
	}
	backoff := min(FirstBackoff<<min(b.opened, 10), MaxBackoff)
	b.openUntil = b.now().Add(max(backoff, retryAfter))
	b.decided, b.failure, b.unclear = b.calls, failure, 0
	b.opened++
	return true
}
