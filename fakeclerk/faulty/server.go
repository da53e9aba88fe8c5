// Package faulty serves HTTP on a loopback address in all the ways in which a
// service fails: late, cut off, wrongly, with an error, or not at all. Fake
// services for tests and development are made of it.
package faulty

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Options configures a [Server].
type Options struct {
	// Name is the message of each line of Log.
	Name string
	// Log receives one line a request: method, route, status and duration.
	Log *slog.Logger
	// Guard wraps the handler of all routes.
	Guard func(http.Handler) http.Handler
	// Admit returns why a request of the API is refused, or nil.
	Admit func(*Route, *http.Request) *Answer
	// ErrorBody is the JSON of a [Status] fault that has no body.
	ErrorBody func(status int) []byte
}

// Server serves HTTP on a loopback address, to requests of a loopback Host. Its
// requests are counted and logged; those of its API can be limited, delayed and
// broken. Its methods may be called from several goroutines.
type Server struct {
	options Options
	routes  []*Route
	mux     *http.ServeMux
	addr    *net.TCPAddr
	ctx     context.Context // of every request; done once the server closes
	cancel  context.CancelFunc
	running sync.WaitGroup // requests, connections and refusals

	listening sync.Mutex    // guards the two below
	http      *http.Server  // nil while connections are refused
	served    chan struct{} // closed when http has left its socket

	mu       sync.Mutex // guards what follows
	requests map[*Route]int
	faults   map[string]Fault // by the pattern of a route, "" for all, or the id of a record
	latency  time.Duration
	limiter  rateLimiter
}

// New returns a server that does not listen yet.
func New(options Options) *Server {
	s := &Server{options: options, mux: http.NewServeMux(), requests: make(map[*Route]int), faults: make(map[string]Fault)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Listen listens on an address and serves until [Server.Close]. An address that
// is not loopback, ":0" and "0.0.0.0:0" too, is an error.
func (s *Server) Listen(address string) error {
	addr, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return fmt.Errorf("resolve address: %w", err)
	}
	if !addr.IP.IsLoopback() {
		return fmt.Errorf("address %q is not a loopback address; use 127.0.0.1 or localhost", address)
	}
	s.addr = addr
	s.listening.Lock()
	defer s.listening.Unlock()
	return s.listen()
}

// URL is where the server listens, such as "http://127.0.0.1:41234".
func (s *Server) URL() string { return "http://" + s.addr.String() }

// listen opens the socket. The caller holds listening.
func (s *Server) listen() error {
	socket, err := net.ListenTCP("tcp", s.addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if s.addr.Port == 0 {
		s.addr = socket.Addr().(*net.TCPAddr) // the same port from now on
	}
	server, served := &http.Server{
		Handler:           s.loopbackOnly(s.options.Guard(s.mux)),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(s.options.Log.Handler(), slog.LevelWarn),
		BaseContext:       func(net.Listener) context.Context { return s.ctx },
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				s.running.Add(1)
			case http.StateClosed, http.StateHijacked:
				s.running.Done()
			}
		},
	}, make(chan struct{})
	s.http, s.served = server, served
	go func() {
		defer close(served)
		_ = server.Serve(socket) // always an error: the server was closed
	}()
	return nil
}

// loopbackOnly refuses a Host that is not loopback: a site whose name was made
// to point here (DNS rebinding), to which the browser would hand every answer.
func (s *Server) loopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A request is counted by itself: net/http forgets a connection that its
		// handler took over.
		s.running.Add(1)
		defer s.running.Done()
		if !loopback(r.Host) {
			http.Error(w, "only a loopback host is answered", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func loopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// stop closes the socket and every connection. The caller holds listening.
func (s *Server) stop() {
	if s.http != nil {
		_ = s.http.Close()
		<-s.served
		_ = s.http.Close() // the connections that were accepted in between
		s.http = nil
	}
}

// Refuse closes the socket and every connection, and listens again after
// duration. While connections are refused already, it does nothing.
func (s *Server) Refuse(duration time.Duration) {
	s.listening.Lock()
	defer s.listening.Unlock()
	if s.http == nil || s.ctx.Err() != nil {
		return
	}
	s.stop()
	s.running.Go(func() {
		timer := time.NewTimer(duration)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-s.ctx.Done():
			return
		}
		s.listening.Lock()
		defer s.listening.Unlock()
		// Another process may hold the port for a moment: the system may have lent
		// it to an outgoing connection.
		for s.ctx.Err() == nil && s.listen() != nil {
			time.Sleep(5 * time.Millisecond)
		}
	})
}

// Close stops listening, ends every connection, hung requests included, and
// waits for all goroutines.
func (s *Server) Close() {
	s.cancel()
	s.listening.Lock()
	s.stop()
	s.listening.Unlock()
	s.running.Wait()
}
