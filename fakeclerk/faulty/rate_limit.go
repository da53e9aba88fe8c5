package faulty

import (
	"slices"
	"time"
)

// RateLimit allows Requests calls of the API in any Window. The zero value allows
// any number.
type RateLimit struct {
	Requests int
	Window   time.Duration
}

// SetRateLimit replaces the rate limit and forgets the calls that were made.
func (s *Server) SetRateLimit(limit RateLimit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limiter = rateLimiter{RateLimit: limit}
}

// RateLimited returns how many calls were answered with 429 because of the rate
// limit, since it was set or the last [Server.ResetRequests].
func (s *Server) RateLimited() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.limiter.refused
}

// rateLimiter holds the times of the calls in the window that ends now, so that
// no window, wherever it begins, holds more calls than the limit.
type rateLimiter struct {
	RateLimit
	calls   []time.Time
	refused int
}

// TakeCall counts a call at a time, or returns when the next one is allowed if
// it is over the limit. Refused calls do not count.
func (s *Server) TakeCall(now time.Time) (retryAfter time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := &s.limiter
	if l.Requests <= 0 {
		return 0
	}
	l.calls = slices.DeleteFunc(l.calls, func(call time.Time) bool { return !now.Before(call.Add(l.Window)) })
	if len(l.calls) == l.Requests {
		l.refused++
		return l.calls[0].Add(l.Window).Sub(now)
	}
	l.calls = append(l.calls, now)
	return 0
}
