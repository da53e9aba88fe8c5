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

// loopback resolves address, and refuses what is not a loopback address: ":0" and "0.0.0.0:0" too.
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

// door is the listening socket and the connections behind it. It can be shut for a while (connection
// refused) and opened again on the same port.
type door struct {
	addr   *net.TCPAddr
	server *http.Server
	log    *slog.Logger
	cancel context.CancelFunc // ends every request's context
	ctx    context.Context

	mu       sync.Mutex // opening and shutting happen one at a time
	listener net.Listener
	served   chan struct{} // closed when Serve has left listener
	shutting int           // counts the times the door was shut, so that an old timer opens no newer one
	closed   bool
	timers   sync.WaitGroup

	closing  sync.Once
	closeErr error

	connsMu sync.Mutex
	conns   map[net.Conn]struct{}
	serving sync.WaitGroup // connections and requests
}

type connKey struct{}

func (d *door) open(addr *net.TCPAddr, handler http.Handler, log *slog.Logger) error {
	d.log = log
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	d.conns = make(map[net.Conn]struct{})
	d.ctx, d.cancel = context.WithCancel(context.Background())
	d.server = &http.Server{
		Handler:           d.counted(handler),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(d.log.Handler(), slog.LevelWarn),
		BaseContext:       func(net.Listener) context.Context { return d.ctx },
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, conn)
		},
		ConnState: d.track,
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.listen(addr); err != nil {
		d.cancel()
		return err
	}
	d.addr = d.listener.Addr().(*net.TCPAddr)
	return nil
}

// listen opens the listener. The caller holds mu.
func (d *door) listen(addr *net.TCPAddr) error {
	listener, err := net.ListenTCP("tcp", addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	served := make(chan struct{})
	d.listener, d.served = listener, served
	go func() {
		defer close(served)
		_ = d.server.Serve(listener) // always an error: the listener was closed
	}()
	return nil
}

// counted lets close wait for a handler that has taken over its connection, which net/http then forgets.
func (d *door) counted(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.serving.Add(1)
		defer d.serving.Done()
		handler.ServeHTTP(w, r)
	})
}

// track keeps the set of open connections.
func (d *door) track(conn net.Conn, state http.ConnState) {
	d.connsMu.Lock()
	defer d.connsMu.Unlock()
	switch state {
	case http.StateNew:
		d.conns[conn] = struct{}{}
		d.serving.Add(1)
	case http.StateClosed, http.StateHijacked:
		delete(d.conns, conn)
		d.serving.Done()
	}
}

// shut refuses connections and closes the open ones, except keep (nil: none). The door opens again
// after duration, or with duration 0 when reopen is called.
func (d *door) shut(duration time.Duration, keep net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	d.shutting++
	if d.listener != nil {
		_ = d.listener.Close()
		<-d.served // from here on no connection is added
		d.listener = nil
	}
	d.connsMu.Lock()
	for conn := range d.conns {
		if conn != keep {
			_ = conn.Close()
		}
	}
	d.connsMu.Unlock()
	if duration > 0 {
		d.reopenAfter(duration, d.shutting)
	}
}

// reopenAfter opens the door later, unless it has been shut again by then. The caller holds mu.
func (d *door) reopenAfter(duration time.Duration, shutting int) {
	d.timers.Go(func() {
		select {
		case <-time.After(duration):
		case <-d.ctx.Done():
			return
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.shutting == shutting {
			d.listenAgain()
		}
	})
}

// reopen ends shut.
func (d *door) reopen() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.listenAgain()
}

// listenAgain tries for a few seconds, since another process may hold the port for a moment: the
// system may have lent it to an outgoing connection. The caller holds mu.
func (d *door) listenAgain() {
	deadline := time.Now().Add(5 * time.Second)
	for d.listener == nil && !d.closed && d.ctx.Err() == nil {
		err := d.listen(d.addr)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			d.log.Error("fakeclerk cannot listen again", "error", err)
			return
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-d.ctx.Done():
		}
	}
}

// close waits for everything that the door started. It does not hold mu meanwhile: a request that
// shuts the door, and a timer that opens it, need mu to end.
func (d *door) close() error {
	d.closing.Do(func() {
		d.cancel()
		d.mu.Lock()
		d.closed = true
		served := d.served
		d.mu.Unlock()

		if err := d.server.Close(); err != nil {
			d.closeErr = fmt.Errorf("close fakeclerk: %w", err)
		}
		<-served
		d.serving.Wait()
		d.timers.Wait()
	})
	return d.closeErr
}
