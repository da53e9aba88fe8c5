package clerkauth

import (
	"expvar"
	"net"
	"net/http"
	"strings"
)

// Observer counts what an [Authenticator] does. Add is called from many
// goroutines at once, on the path of every request and under locks: it must be
// safe and quick, and must not call the Authenticator.
type Observer interface {
	// Add adds n to the counter with the label. Each [Counter] says which few
	// labels it has; no label comes from a request.
	Add(counter Counter, label string, n int)
}

// Counter names what is counted.
type Counter string

// The counters, and their labels.
const (
	// CountDecisions counts requests, by "accepted" or the [Reason] of the
	// refusal.
	CountDecisions Counter = "decisions"

	// CountCalls counts calls to Clerk's Backend API, by "ok", "not_found",
	// "refused" (another 4xx about the thing asked for) or the [Reason] of the
	// failure.
	CountCalls Counter = "calls"

	// CountKeyFetches counts fetches of the public keys, by "ok" or the
	// [Reason] of the failure. All but a few an hour are caused by unknown key
	// ids.
	CountKeyFetches Counter = "key_fetches"

	// CountUserBatches counts the calls that load users, by why the call was
	// made: "sign_in" for users who were not known, "refresh" for users whose
	// record was stale, "single" for one user who is asked for separately.
	CountUserBatches Counter = "user_batches"

	// CountUsers counts the users for whom a load ended, by "loaded",
	// "refused" (deleted or banned) or the [Reason] of the failure.
	CountUsers Counter = "users"

	// CountStale counts requests that were served with an answer past its
	// maximum age, by "user" or "keys".
	CountStale Counter = "stale"

	// CountRateLimit counts calls that were not made because the share of Clerk's
	// rate limit was used up, by "sign_in", "refresh", "machine",
	// "unknown_secret", "background" or "other". A refresh is tried again later; the others
	// were answered with an error.
	CountRateLimit Counter = "rate_limit_refusals"
)

// counts is an Observer that may be absent.
type counts struct{ observer Observer }

func (c counts) add(counter Counter, label string, n int) {
	if c.observer != nil && n > 0 {
		c.observer.Add(counter, label, n)
	}
}

// failed returns the label of a failure.
func failed(err error) string { return string(AsError(err).Reason) }

// Counters is an [Observer] that keeps its counts in memory and serves them as
// JSON. The zero value is ready to use.
type Counters struct{ counts expvar.Map }

// Add implements [Observer].
func (c *Counters) Add(counter Counter, label string, n int) {
	c.counts.Add(string(counter)+"{"+label+"}", int64(n))
}

// ServeHTTP implements [http.Handler]: an object with a member such as
// "decisions{accepted}" for each label that was counted. It answers only clients
// on this machine that ask for this machine, and nobody if c is nil. A page of
// another site can resolve its own name to this machine.
func (c *Counters) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if c == nil || !loopback(r.RemoteAddr) || !loopback(r.Host) {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(c.counts.String()))
}

// loopback reports whether an address or a Host header names this machine.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = strings.Trim(address, "[]") // without a port
	}
	return strings.EqualFold(host, "localhost") || net.ParseIP(host).IsLoopback()
}
