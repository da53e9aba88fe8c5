package clerkauth

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
)

const (
	// callTimeout bounds one call to Clerk, connection and body included, in
	// time that this process had the processor: see [withCallTimeout].
	callTimeout = 2500 * time.Millisecond
	// callSteps is in how many steps that time is counted.
	callSteps = 25
	// maxCallTime bounds a call by the clock.
	maxCallTime = 30 * time.Second
)

// withCallTimeout returns a context that ends after callTimeout. Timers are on
// time when the goroutines of a process are not: with 20,000 requests arriving
// at once, the answer of Clerk waits its turn to be read, and a plain deadline
// would refuse them all for a Clerk that had answered. So the time is counted in
// steps, each of which waits for its turn as well.
func withCallTimeout(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(parent, maxCallTime)
	go func() {
		step := time.NewTimer(callTimeout / callSteps)
		defer step.Stop()
		for range callSteps {
			select {
			case <-step.C:
				step.Reset(callTimeout / callSteps)
			case <-ctx.Done():
				return
			}
		}
		cancel()
	}()
	return ctx, cancel
}

// flight is work in progress that any number of requests wait for. It goes on
// without those who leave.
type flight[T any] struct {
	done  chan struct{} // closed once value and err are set
	value T
	err   error
}

func newFlight[T any]() *flight[T] { return &flight[T]{done: make(chan struct{})} }

// finish hands the result to all who wait. It is called once.
func (f *flight[T]) finish(value T, err error) {
	f.value, f.err = value, err
	close(f.done)
}

// wait returns the result, or an error once the request is over or it is later
// than until.
func (f *flight[T]) wait(ctx context.Context, until time.Time) (T, error) {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	var none T
	select {
	case <-f.done:
		return f.value, f.err
	case <-ctx.Done():
		return none, canceled(ctx)
	case <-timer.C:
		select {
		case <-f.done: // on a busy machine both are late
			return f.value, f.err
		default:
			return none, errNoAnswer
		}
	}
}

var errNoAnswer = &Error{Kind: Unavailable, Reason: ReasonUnreachable, cause: errors.New("no answer in time")}

func canceled(ctx context.Context) *Error {
	return &Error{Kind: Canceled, Reason: ReasonCanceled, cause: ctx.Err()}
}

// guarded runs work that other requests wait for. A panic becomes its error:
// in a goroutine of its own it would end the process.
func guarded[T any](work func() (T, error)) (value T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	return work()
}

// panicked is called by a deferred function that recovered from p. The text
// tells where the panic was; a value of an unknown type may hold anything.
func panicked(p any) *Error {
	what := fmt.Sprintf("panic: %T", p)
	if e, ok := p.(runtime.Error); ok {
		what = "panic: " + e.Error()
	}
	var callers [16]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers[:])])
	for afterPanic := false; ; {
		frame, more := frames.Next()
		if afterPanic && !isRuntime(frame.Function) {
			what += fmt.Sprintf(" in %s, line %d", frame.Function, frame.Line)
			break
		}
		afterPanic = afterPanic || frame.Function == "runtime.gopanic"
		if !more {
			break
		}
	}
	return &Error{Kind: Unavailable, Reason: ReasonPanic, cause: errors.New(what)}
}

func isRuntime(function string) bool {
	return len(function) > 8 && function[:8] == "runtime."
}
