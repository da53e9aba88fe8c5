package clerkauth

import (
	"expvar"
	"net"
	"net/http"
)

// Counters is an [Observer] that keeps its counts in memory and serves them as
// JSON. The zero value is ready to use.
type Counters struct{ counts expvar.Map }

// Add implements [Observer].
func (c *Counters) Add(counter Counter, label string, n int) {
	c.counts.Add(string(counter)+"{"+label+"}", int64(n))
}

// ServeHTTP implements [http.Handler]: an object with a member such as
// "decisions{accepted}" for each label that was counted. It answers only clients
// on this machine, and nobody if c is nil.
func (c *Counters) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if ip := net.ParseIP(host); c == nil || err != nil || !ip.IsLoopback() {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(c.counts.String()))
}
