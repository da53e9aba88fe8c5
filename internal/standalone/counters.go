package standalone

import (
	"expvar"
	"net"
	"net/http"

	"encore.app/auth/clerkauth"
	"encore.app/auth/clerkauth/setting"
)

// Counters is a [clerkauth.Observer] that keeps its counts in memory and serves
// them as JSON. The zero value is ready to use.
type Counters struct{ counts expvar.Map }

// Add implements [clerkauth.Observer].
func (c *Counters) Add(counter clerkauth.Counter, label string, n int) {
	c.counts.Add(string(counter)+"{"+label+"}", int64(n))
}

// ServeHTTP implements [http.Handler]: an object with a member such as
// "decisions{accepted}" for each label that was counted. It answers only
// clients on this machine that request this machine's name, and no client if c
// is nil. A page of another site can resolve its own name to this machine.
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
		host = address // without a port
	}
	return setting.Loopback(host)
}
