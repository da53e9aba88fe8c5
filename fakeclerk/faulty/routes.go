package faulty

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/felixge/httpsnoop"
)

// Route is what the server answers to requests of one pattern.
type Route struct {
	Pattern string // of [http.ServeMux], and the name of the route
	Handler func(*http.Request) Answer
	API     bool // it is admitted, limited, delayed and broken
}

// Path is the path of the pattern.
func (rt *Route) Path() string { return rt.Pattern[strings.Index(rt.Pattern, "/"):] }

// Handle adds a route. It must not be called once the server listens.
func (s *Server) Handle(rt *Route) {
	s.routes = append(s.routes, rt)
	s.mux.HandleFunc(rt.Pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(rt, w, r) })
}

// serve answers a request of a route, and writes the one log line of it. The
// log names the route rather than the path, which may carry any text of a
// client.
func (s *Server) serve(rt *Route, w http.ResponseWriter, r *http.Request) {
	start, status := time.Now(), 0 // 0: none was sent
	w = httpsnoop.Wrap(w, httpsnoop.Hooks{WriteHeader: func(next httpsnoop.WriteHeaderFunc) httpsnoop.WriteHeaderFunc {
		return func(code int) {
			status = code
			next(code)
		}
	}})
	defer func() { // deferred: a fault may abort the request by a panic
		s.options.Log.LogAttrs(r.Context(), slog.LevelInfo, s.options.Name,
			slog.String("method", r.Method), slog.String("path", rt.Path()),
			slog.Int("status", status), slog.Duration("duration", time.Since(start)))
	}()
	fault, latency, refused := s.begin(rt, r)
	wait(r, latency)
	if fault.before(w, r) {
		return
	}
	if refused != nil {
		refused.Write(w)
		return
	}
	answer := rt.Handler(r)
	if fault == nil && answer.Fault.before(w, r) {
		return
	}
	if answer.Refuse > 0 {
		conn := hijack(w)
		s.Refuse(answer.Refuse)
		_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
		_ = conn.Close()
		return
	}
	cmp.Or(fault, answer.Fault).write(w, answer)
}

// begin counts a request. For one of the API it returns the fault that breaks
// it, its latency and why it is refused.
func (s *Server) begin(rt *Route, r *http.Request) (*Fault, time.Duration, *Answer) {
	s.mu.Lock()
	s.requests[rt]++
	latency := s.latency
	s.mu.Unlock()
	if !rt.API {
		return nil, 0, nil
	}
	fault := s.NextFault(rt.Pattern)
	if fault == nil {
		fault = s.NextFault("")
	}
	return fault, latency, s.options.Admit(rt, r)
}

// route finds a route by its name. An unknown one is an error: a test that
// counts or breaks a misspelt route would pass for the wrong reason.
func (s *Server) route(name string) (*Route, error) {
	i := slices.IndexFunc(s.routes, func(rt *Route) bool { return rt.Pattern == name })
	if i < 0 {
		return nil, fmt.Errorf("unknown route %q", name)
	}
	return s.routes[i], nil
}

// Requests returns the number of requests to a route, by its pattern. Requests
// that a fault broke count too, those that found the connection refused do not.
// It panics for an unknown route.
func (s *Server) Requests(route string) int {
	rt, err := s.route(route)
	if err != nil {
		panic(s.options.Name + ": " + err.Error())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[rt]
}

// RequestsByRoute returns the number of requests to each route of the API.
func (s *Server) RequestsByRoute() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests := make(map[string]int)
	for _, rt := range s.routes {
		if rt.API {
			requests[rt.Pattern] = s.requests[rt]
		}
	}
	return requests
}

// TotalRequests returns the number of requests to the API, all routes together.
func (s *Server) TotalRequests() (total int) {
	for _, requests := range s.RequestsByRoute() {
		total += requests
	}
	return total
}

// ResetRequests sets all counts to 0, that of [Server.RateLimited] too.
func (s *Server) ResetRequests() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limiter.refused = 0
	clear(s.requests)
}

// SetLatency delays every answer of the API from now on. An answer shows the
// state after the delay. 0 ends it.
func (s *Server) SetLatency(latency time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latency = latency
}

// SetFault breaks a route of the API, by its pattern, in the place of its
// earlier fault. The route "" stands for all routes without a fault. Routes
// outside the API work on. It panics for an unknown route and an invalid fault.
func (s *Server) SetFault(route string, fault Fault) {
	if err := s.Break(route, "", fault); err != nil {
		panic(s.options.Name + ": set fault: " + err.Error())
	}
	if fault.Kind == Refused {
		s.Refuse(fault.Duration)
	}
}

// Break sets a fault of a route or, by its id, of a record, for whose faults
// handlers ask [Server.NextFault]. It only checks a [Refused] one, which its
// caller has to set off.
func (s *Server) Break(route, record string, fault Fault) error {
	if err := fault.check(); err != nil {
		return err
	}
	if route != "" {
		rt, err := s.route(route)
		if err != nil {
			return err
		}
		if record != "" || !rt.API {
			return fmt.Errorf("a fault is of a route of the API or of a record, not of %s %s", route, record)
		}
	}
	if fault.Kind == Refused {
		if route+record != "" {
			return errors.New("refused is a fault of the whole server")
		}
		return nil
	}
	if fault.Kind == Status && fault.Body == "" && (fault.Status < 502 || fault.Status > 504) {
		fault.Body = string(s.options.ErrorBody(fault.Status))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[route+record] = fault
	return nil
}

// NextFault returns the fault that the next request for a route or a record
// meets, or nil.
func (s *Server) NextFault(name string) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	fault, ok := s.faults[name]
	if !ok {
		return nil
	}
	if fault.Count == 1 {
		delete(s.faults, name)
	} else if fault.Count > 1 {
		fault.Count--
		s.faults[name] = fault
	}
	return &fault
}

// ClearFaults ends every fault but [Refused]. A request that already hangs
// continues to hang.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.faults)
}
