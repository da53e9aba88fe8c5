package browser

import (
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
)

// gate is a TCP proxy in front of the backend, which the suite closes to take
// the backend down: whatever the backend is, nobody answers at its address. A
// closed gate resets connections rather than refusing them, because a port that
// is given back to the system may not be free later.
type gate struct {
	address string

	mu      sync.Mutex
	backend string
	closed  bool
	conns   map[net.Conn]struct{}
	running sync.WaitGroup
}

func newGate(t *testing.T, address string) *gate {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{address: listener.Addr().String(), conns: make(map[net.Conn]struct{})}
	g.running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // the test is over
			}
			g.running.Go(func() { g.pass(conn) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		g.close()
		g.running.Wait()
	})
	return g
}

// leadTo names the backend's address, host and port.
func (g *gate) leadTo(backend string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.backend = backend
}

// control lets the suite open and close the gate.
func (g *gate) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /backend/down", func(http.ResponseWriter, *http.Request) { g.close() })
	mux.HandleFunc("POST /backend/up", func(http.ResponseWriter, *http.Request) { g.open() })
	return mux
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = false
}

// close cuts the open connections, and every new one.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for conn := range g.conns {
		reset(conn)
	}
}

func reset(conn net.Conn) {
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
}

// pass copies both ways until one side ends.
func (g *gate) pass(conn net.Conn) {
	defer conn.Close()
	g.mu.Lock()
	backend, closed := g.backend, g.closed
	if closed {
		reset(conn)
	} else {
		g.conns[conn] = struct{}{}
	}
	g.mu.Unlock()
	if closed {
		return
	}
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.conns, conn)
	}()
	behind, err := net.Dial("tcp", backend)
	if err != nil {
		return
	}
	defer behind.Close()
	g.running.Go(func() {
		_, _ = io.Copy(behind, conn)
		_ = behind.Close()
	})
	_, _ = io.Copy(conn, behind)
}
