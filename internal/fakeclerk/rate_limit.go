package fakeclerk

import (
	"net/http"
	"strconv"
	"time"
)

// RateLimit allows Requests calls of the Backend API in any Window. The zero
// value allows any number. Clerk allows 100 calls in 10 seconds with a secret
// key that begins with sk_test_, and 1,000 with one that begins with sk_live_:
// https://clerk.com/docs/guides/how-clerk-works/system-limits. GET /v1/jwks is
// not limited, and a call with a wrong key or none does not count.
type RateLimit struct {
	Requests int           `json:"requests"`
	Window   time.Duration `json:"-"`
}

// SetRateLimit replaces the rate limit and forgets the calls that were made.
func (s *Server) SetRateLimit(limit RateLimit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rateLimiter = newRateLimiter(limit)
}

// RateLimited returns how many calls were answered with 429 because of the rate
// limit, since it was set or the last [Server.ResetRequests].
func (s *Server) RateLimited() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rateLimiter.refused
}

// SetLatency delays every answer of the Backend API from now on. An answer shows
// the state after the delay. 0 ends it.
func (s *Server) SetLatency(latency time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latency = latency
}

// rateLimiter holds the times of the newest calls, one for each that the limit
// allows. The next call is allowed once the oldest has left the window, so that
// no window, wherever it begins, holds more calls than the limit.
type rateLimiter struct {
	window  time.Duration
	allowed []time.Time // a ring
	oldest  int         // index into allowed
	refused int
}

func newRateLimiter(limit RateLimit) rateLimiter {
	return rateLimiter{window: limit.Window, allowed: make([]time.Time, max(0, limit.Requests))}
}

// take counts a call, or reports that it is over the limit and when the next
// one is allowed. Refused calls do not count.
func (l *rateLimiter) take(now time.Time) (retryAfter time.Duration, limited bool) {
	if len(l.allowed) == 0 {
		return 0, false
	}
	if oldest := l.allowed[l.oldest]; !oldest.IsZero() && now.Before(oldest.Add(l.window)) {
		l.refused++
		return oldest.Add(l.window).Sub(now), true
	}
	l.allowed[l.oldest] = now
	l.oldest = (l.oldest + 1) % len(l.allowed)
	return 0, false
}

// setRetryAfter sets the header in whole seconds, rounded up. 0: no header.
func setRetryAfter(w http.ResponseWriter, after time.Duration) {
	if after > 0 {
		seconds := (after + time.Second - 1) / time.Second
		w.Header().Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
	}
}
