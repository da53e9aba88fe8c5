package fakeclerk

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// loopback resolves address, and refuses what is not a loopback address: ":0"
// and "0.0.0.0:0" too.
func loopback(address string) (*net.TCPAddr, error) {
	addr, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("resolve address: %w", err)
	}
	if !addr.IP.IsLoopback() {
		return nil, fmt.Errorf("address %q is not a loopback address; use 127.0.0.1 or localhost", address)
	}
	return addr, nil
}

// listener is the listening socket and the connections that it took. It can be
// shut for a while (connection refused) and opened again on the same port.
type listener struct {
	addr   *net.TCPAddr
	server *http.Server
	log    *slog.Logger
	ctx    context.Context // of every request
	cancel context.CancelFunc

	mu      sync.Mutex // opening and shutting happen one at a time
	socket  net.Listener
	served  chan struct{} // closed when Serve has left socket
	shuts   int           // counts the calls of shut, so that an old timer opens no newer one
	closed  bool
	running sync.WaitGroup // timers, connections and requests

	connsMu sync.Mutex
	conns   map[net.Conn]struct{}
}

type connKey struct{}

func (l *listener) open(addr *net.TCPAddr, handler http.Handler, log *slog.Logger) error {
	l.log, l.conns = log, make(map[net.Conn]struct{})
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.server = &http.Server{
		// A request is counted by itself: net/http forgets a connection that its
		// handler took over.
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			l.running.Add(1)
			defer l.running.Done()
			handler.ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		BaseContext:       func(net.Listener) context.Context { return l.ctx },
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, conn)
		},
		ConnState: l.track,
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.listen(addr); err != nil {
		l.cancel()
		return err
	}
	l.addr = l.socket.Addr().(*net.TCPAddr)
	return nil
}

// listen opens the socket. The caller holds mu.
func (l *listener) listen(addr *net.TCPAddr) error {
	socket, err := net.ListenTCP("tcp", addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	served := make(chan struct{})
	l.socket, l.served = socket, served
	go func() {
		defer close(served)
		_ = l.server.Serve(socket) // always an error: the socket was closed
	}()
	return nil
}

// track keeps the set of open connections.
func (l *listener) track(conn net.Conn, state http.ConnState) {
	l.connsMu.Lock()
	defer l.connsMu.Unlock()
	switch state {
	case http.StateNew:
		l.conns[conn] = struct{}{}
		l.running.Add(1)
	case http.StateClosed, http.StateHijacked:
		delete(l.conns, conn)
		l.running.Done()
	}
}

// shut refuses connections and closes the open ones, except keep (nil: none).
// The listener opens again after duration, or with duration 0 when reopen is
// called.
func (l *listener) shut(duration time.Duration, keep net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.shuts++
	if l.socket != nil {
		_ = l.socket.Close()
		<-l.served // from here on no connection is added
		l.socket = nil
	}
	l.connsMu.Lock()
	for conn := range l.conns {
		if conn != keep {
			_ = conn.Close()
		}
	}
	l.connsMu.Unlock()
	if duration == 0 {
		return
	}
	shut := l.shuts
	l.running.Go(func() {
		select {
		case <-time.After(duration):
			l.reopen(shut)
		case <-l.ctx.Done():
		}
	})
}

// reopen ends the shut with the given number, or 0 for any. It tries for a few
// seconds, since another process may hold the port for a moment: the system may
// have lent it to an outgoing connection.
func (l *listener) reopen(shut int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	deadline := time.Now().Add(5 * time.Second)
	for l.socket == nil && !l.closed && l.ctx.Err() == nil && (shut == 0 || shut == l.shuts) {
		err := l.listen(l.addr)
		if err != nil && time.Now().After(deadline) {
			l.log.Error("fakeclerk cannot listen again", "error", err)
			return
		}
		if err != nil {
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// close waits for everything that the listener started. It does not hold mu
// meanwhile: a request that shuts the listener, and a timer that opens it, need
// mu to end.
func (l *listener) close() error {
	l.cancel()
	l.mu.Lock()
	l.closed = true
	served := l.served
	l.mu.Unlock()

	err := l.server.Close()
	<-served
	l.running.Wait()
	return err
}
