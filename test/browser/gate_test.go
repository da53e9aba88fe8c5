package browser

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"
)

// gate is a TCP proxy in front of the backend, which the suite closes to take the backend down: whatever the
// backend is, a browser finds nobody at its address.
type gate struct {
	address string

	mu       sync.Mutex
	backend  string
	listener net.Listener // nil while the gate is closed
	conns    map[net.Conn]struct{}
	running  sync.WaitGroup
}

func newGate(t *testing.T, address string) *gate {
	t.Helper()
	g := &gate{address: address, conns: make(map[net.Conn]struct{})}
	if err := g.open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
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
	mux.HandleFunc("POST /backend/up", func(w http.ResponseWriter, _ *http.Request) {
		if err := g.open(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	return mux
}

func (g *gate) open() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.listener != nil {
		return nil
	}
	listener, err := net.Listen("tcp", g.address)
	// The system may have lent the port to an outgoing connection for a moment.
	for end := time.Now().Add(5 * time.Second); errors.Is(err, syscall.EADDRINUSE) && time.Now().Before(end); {
		listener, err = net.Listen("tcp", g.address)
	}
	if err != nil {
		return err
	}
	g.listener, g.address = listener, listener.Addr().String()
	g.running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed
			}
			g.running.Go(func() { g.pass(conn) })
		}
	})
	return nil
}

// close refuses connections and cuts the open ones.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.listener == nil {
		return
	}
	_ = g.listener.Close()
	g.listener = nil
	for conn := range g.conns {
		_ = conn.Close()
	}
}

// pass copies both ways until one side ends.
func (g *gate) pass(conn net.Conn) {
	defer conn.Close()
	g.mu.Lock()
	backend, open := g.backend, g.listener != nil
	if open {
		g.conns[conn] = struct{}{}
	}
	g.mu.Unlock()
	if !open {
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
