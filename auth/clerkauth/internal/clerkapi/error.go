package clerkapi

import (
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
)

// Class sorts errors by what they mean. Its values are reasons of clerkauth.
type Class string

// The classes.
const (
	Unreachable     Class = "clerk_unreachable"
	RateLimited     Class = "clerk_rate_limited"
	InvalidResponse Class = "clerk_invalid_response"
	KeyRefused      Class = "secret_key_refused"
	Refused         Class = "request_refused"
	InvalidRequest  Class = "invalid_request"
	Panicked        Class = "panic"
	Canceled        Class = "canceled"
)

// ErrTooLarge is the cause for an answer of more than 8 MiB.
var ErrTooLarge = errors.New("an answer of more than 8 MiB")

// Error is the failure of a call. Its text holds no secret and no answer of
// Clerk's.
type Error struct {
	Class      Class
	Status     int    // 0 without an answer
	Code       string // Clerk's word for it, such as resource_not_found
	Cause      error
	RetryAfter time.Duration // as Clerk says, within bounds
	Call       string        // method and route
}

// Error implements error.
func (e *Error) Error() string {
	if e.Cause == nil {
		return fmt.Sprintf("%s: status %d, %s", e.Class, e.Status, e.Code)
	}
	return fmt.Sprintf("%s: %v", e.Class, e.Cause)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// IsNotFound reports whether Clerk does not have the thing asked for.
func IsNotFound(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusNotFound && e.Code == "resource_not_found"
}

// Guard runs work that several requests wait for. A panic becomes the error of
// those requests: in a separate goroutine it would end the process.
func Guard(work func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &Error{Class: Panicked, Cause: panicked(p)}
		}
	}()
	return work()
}

// panicked tells where a panic was. A value of an unknown type may hold anything,
// so only the type is told.
func panicked(p any) error {
	what := fmt.Sprintf("panic: %T", p)
	if e, ok := p.(runtime.Error); ok {
		what = "panic: " + e.Error()
	}
	var callers [16]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(3, callers[:])])
	for {
		frame, more := frames.Next()
		if !more || !strings.HasPrefix(frame.Function, "runtime.") {
			return fmt.Errorf("%s in %s, line %d", what, frame.Function, frame.Line)
		}
	}
}

// Raw is a JSON body, unchanged.
type Raw []byte

// Read implements [clerk.ResponseReader].
func (*Raw) Read(*clerk.APIResponse) {}

// UnmarshalJSON implements [encoding/json.Unmarshaler].
func (r *Raw) UnmarshalJSON(data []byte) error {
	*r = append((*r)[:0], data...)
	return nil
}
