package clerkauth

import (
	"sync"
	"time"
)

const (
	firstBackoff = 500 * time.Millisecond
	maxBackoff   = 15 * time.Second
	// maxRateLimitWait bounds what the Retry-After of a 429 can make us wait,
	// maxRetryAfter that of any other answer.
	maxRateLimitWait = 5 * time.Minute
	maxRetryAfter    = maxBackoff
)

// outage is what is known of Clerk failing as a whole. While it lasts, calls
// return the last failure at once; when the back-off is over, a single call
// goes out to see whether Clerk is back.
//
// Calls are numbered, because a result says nothing of what happened after its
// call began: a straggler's success must not erase a newer Retry-After, nor a
// straggler's failure prolong the back-off. A failure also says nothing of
// Clerk as a whole if a call that began later was answered.
type outage struct {
	now func() time.Time

	mu       sync.Mutex
	calls    uint64    // the newest call's number
	answered uint64    // the newest call's that Clerk answered
	failure  *Error    // nil while Clerk answers
	failedAt uint64    // the newest call's number when failure was learned
	failures int       // in a row
	until    time.Time // no call before then
	probe    uint64    // the call that is out to see whether Clerk is back, or 0

	// suspect is the id that failed alone last, if no call succeeded since. A
	// second id makes it a failure of Clerk and not of a record.
	suspect string
}

// ticket is the right to make one call.
type ticket struct {
	number uint64
	probe  uint64 // the number of the probe that the call is, or is part of
}

// blocked returns the failure for which no call would go out now, or nil.
func (o *outage) blocked() *Error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.block()
}

func (o *outage) block() *Error {
	if o.failure != nil && (o.probe != 0 || o.now().Before(o.until)) {
		return o.failure
	}
	return nil
}

// begin starts a call, unless Clerk is failing. One of succeeded, failed,
// failedAlone and ended has to follow, or again.
func (o *outage) begin() (ticket, *Error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if failure := o.block(); failure != nil {
		return ticket{}, failure
	}
	o.calls++
	if o.failure != nil {
		o.probe = o.calls
	}
	return ticket{number: o.calls, probe: o.probe}, nil
}

// aside starts a call whose failure would say nothing of Clerk as a whole: it
// goes out between the probes, and is none.
func (o *outage) aside() (ticket, *Error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failure != nil && o.now().Before(o.until) {
		return ticket{}, o.failure
	}
	o.calls++
	return ticket{number: o.calls}, nil
}

// again starts a further call in the place of one that decided nothing.
func (o *outage) again(t ticket) (ticket, *Error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failure != nil && (t.probe == 0 || t.probe != o.probe) {
		return ticket{}, o.failure // learned meanwhile
	}
	o.calls++
	return ticket{number: o.calls, probe: t.probe}, nil
}

// succeeded reports that Clerk answered.
func (o *outage) succeeded(t ticket) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.end(t)
	o.suspect = ""
	o.answered = max(o.answered, t.number)
	if o.failure != nil && t.number > o.failedAt {
		o.failure, o.failures, o.probe = nil, 0, 0
	}
}

// failed reports that Clerk as a whole failed. It returns false if a call that
// began later was answered.
func (o *outage) failed(t ticket, failure *Error) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.end(t)
	if t.number < o.answered {
		return false
	}
	o.fail(t, failure)
	return true
}

func (o *outage) fail(t ticket, failure *Error) {
	if o.failure != nil && t.number <= o.failedAt {
		return
	}
	delay := min(firstBackoff<<min(o.failures, 10), maxBackoff)
	o.failure, o.failedAt = failure, o.calls
	o.until = o.now().Add(max(delay, failure.retryAfter))
	o.failures++
}

// failedAlone reports that Clerk failed when asked for one id. It returns
// whether that is a failure of Clerk as a whole: the last call before it failed
// for another id, or the call was the probe.
func (o *outage) failedAlone(t ticket, id string, failure *Error) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	whole := t.probe != 0 && t.probe == o.probe || o.suspect != "" && o.suspect != id
	o.end(t)
	if t.number < o.answered {
		return false
	}
	o.suspect = id
	if whole {
		o.fail(t, failure)
	}
	return whole
}

// ended reports that a call is over and says nothing of Clerk as a whole.
func (o *outage) ended(t ticket) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.end(t)
}

func (o *outage) end(t ticket) {
	if t.probe == o.probe {
		o.probe = 0
	}
}
