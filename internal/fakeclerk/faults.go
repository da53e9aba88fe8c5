package fakeclerk

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

// FaultKind names what goes wrong.
type FaultKind string

const (
	// FaultLatency answers rightly, but only after Fault.Latency.
	FaultLatency FaultKind = "latency"
	// FaultHang answers nothing until the client gives up or the server closes.
	FaultHang FaultKind = "hang"
	// FaultRefused closes the listener and every connection, for Fault.Duration or until
	// [Server.ClearFaults]. It stops the whole server, so it takes no route.
	FaultRefused FaultKind = "refused"
	// FaultReset resets the connection in place of an answer. Go's HTTP client
	// repeats a GET whose kept connection was reset, so that one call may count as
	// two requests.
	FaultReset FaultKind = "reset"
	// FaultStatus answers with Fault.Status: 502, 503 and 504 with the HTML page
	// of a proxy, others with Clerk's error body.
	FaultStatus FaultKind = "status"
	// FaultTruncated declares a longer Content-Length than it sends, and closes
	// the connection.
	FaultTruncated FaultKind = "truncated"
	// FaultCutJSON sends half of the right JSON with the right Content-Length.
	FaultCutJSON FaultKind = "cut_json"
	// FaultWrongJSON sends Fault.Body: valid JSON that is not what was asked for.
	FaultWrongJSON FaultKind = "wrong_json"
)

// Fault is one way of failing. Kind is required; the rest is for the kinds that say so.
type Fault struct {
	Kind FaultKind
	// Latency delays the answer of any kind but FaultRefused.
	Latency time.Duration
	// Duration is how long FaultRefused lasts. 0: until ClearFaults.
	Duration time.Duration
	// Status is the HTTP status of FaultStatus, 400 to 599.
	Status int
	// RetryAfter is the Retry-After header of FaultStatus, in whole seconds. 0: no
	// header.
	RetryAfter time.Duration
	// Body replaces the body of FaultStatus, and that of FaultWrongJSON, by default
	// {"status":"ok"}.
	Body string
	// Count breaks only the next Count requests. 0: until ClearFaults. Not for
	// FaultRefused.
	Count int
}

func (f Fault) check(everyRoute bool) error {
	switch f.Kind {
	case FaultLatency:
		if f.Latency <= 0 {
			return errors.New("latency needs a positive latency")
		}
	case FaultRefused:
		if !everyRoute || f.Count != 0 {
			return errors.New("refused stops the whole server: it takes no route and no count")
		}
	case FaultStatus:
		if f.Status < 400 || f.Status > 599 {
			return fmt.Errorf("status %d is not an error", f.Status)
		}
	case FaultWrongJSON:
		if f.Body != "" && !json.Valid([]byte(f.Body)) {
			return errors.New("body of wrong_json is not JSON")
		}
	case FaultHang, FaultReset, FaultTruncated, FaultCutJSON:
	default:
		return fmt.Errorf("unknown kind %q", f.Kind)
	}
	if f.Latency < 0 || f.Duration < 0 || f.RetryAfter < 0 || f.Count < 0 {
		return errors.New("negative latency, duration, retry after or count")
	}
	return nil
}

// SetFault breaks a Backend API route, such as "GET /v1/jwks", in the place of
// its earlier fault. The route "" is every Backend API route that has no fault
// of its own. Routes that ask for no key, such as GET /token, work on. It panics
// for an unknown route and an invalid fault.
func (s *Server) SetFault(route string, fault Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.setFault(route, fault, nil); err != nil {
		panic("fakeclerk: set fault: " + err.Error())
	}
}

// setFault sets a fault. Where it closes the connections, keep stays open.
func (s *Server) setFault(name string, fault Fault, keep net.Conn) error {
	if err := fault.check(name == ""); err != nil {
		return err
	}
	if fault.Kind == FaultRefused {
		s.listener.shut(fault.Duration, keep)
		return nil
	}
	if name == "" {
		s.fault = &activeFault{Fault: fault}
		return nil
	}
	rt, err := s.route(name)
	if err != nil {
		return err
	}
	if rt.surface != backendAPI {
		return fmt.Errorf("%s is not a Backend API route", name)
	}
	rt.fault = &activeFault{Fault: fault}
	return nil
}

// SetUserFault breaks the record of one user, in the place of its earlier fault:
// GET /v1/users/{id}, and every page of GET /v1/users that holds the record. A
// fault of the route comes first. [FaultWrongJSON] replaces only the record, so
// that a page goes out with one odd record in it. It panics for an invalid fault
// and for [FaultRefused].
func (s *Server) SetUserFault(userID string, fault Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.setUserFault(userID, fault); err != nil {
		panic("fakeclerk: set user fault: " + err.Error())
	}
}

func (s *Server) setUserFault(userID string, fault Fault) error {
	err := fault.check(false)
	if err == nil {
		s.userFaults[userID] = &activeFault{Fault: fault}
	}
	return err
}

// breakUsers applies the faults of users to what a handler answers with. It
// returns the answer and the fault of the whole response, if there is one.
func (s *Server) breakUsers(value any) (any, *Fault) {
	switch value := value.(type) {
	case userJSON:
		return value, s.userFaults[value.ID].next()
	case []userJSON:
		records := make([]any, len(value))
		for i, user := range value {
			records[i] = user
			fault := s.userFaults[user.ID].next()
			switch {
			case fault == nil:
			case fault.Kind == FaultWrongJSON:
				records[i] = fault.wrongJSON()
			default:
				return value, fault
			}
		}
		return records, nil
	}
	return value, nil
}

// ClearFaults ends every fault. A request that already hangs goes on hanging.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clearFaults()
}

func (s *Server) clearFaults() {
	s.fault = nil
	clear(s.userFaults)
	for _, rt := range s.routes {
		rt.fault = nil
	}
	s.listener.reopen(0)
}

type activeFault struct {
	Fault
	applied int
}

// next returns the fault if the next request meets it, or nil.
func (a *activeFault) next() *Fault {
	if a == nil || a.Count > 0 && a.applied == a.Count {
		return nil
	}
	a.applied++
	return &a.Fault
}

// before applies what happens ahead of the answer, and reports whether that was
// the answer.
func (f *Fault) before(w http.ResponseWriter, r *http.Request) bool {
	if f == nil {
		return false
	}
	wait(r, f.Latency)
	switch f.Kind {
	case FaultHang:
		waitFor(r, nil)
		panic(http.ErrAbortHandler)
	case FaultReset:
		reset(w)
		return true
	case FaultStatus:
		f.writeStatus(w)
		return true
	default:
		return false
	}
}

// wait delays a request.
func wait(r *http.Request, latency time.Duration) {
	if latency > 0 {
		timer := time.NewTimer(latency)
		defer timer.Stop()
		waitFor(r, timer.C)
	}
}

// waitFor waits for the timer, or until the client has gone or the server
// closes: then it ends the request.
func waitFor(r *http.Request, timer <-chan time.Time) {
	// net/http notices that a client has gone only after the body was read.
	// Handlers read it again.
	bufferBody(r)
	select {
	case <-timer:
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	}
}

// reset ends the connection with a TCP reset rather than an orderly close.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

func (f *Fault) writeStatus(w http.ResponseWriter) {
	body, contentType := []byte(f.Body), "application/json"
	switch {
	case f.Body != "":
	case f.Status == http.StatusBadGateway, f.Status == http.StatusServiceUnavailable, f.Status == http.StatusGatewayTimeout:
		text := fmt.Sprintf("%d %s", f.Status, http.StatusText(f.Status))
		body = []byte("<html><head><title>" + text + "</title></head><body><h1>" + text + "</h1></body></html>\n")
		contentType = "text/html"
	default:
		body = errStatus(f.Status).body()
	}
	setRetryAfter(w, f.RetryAfter)
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(f.Status)
	_, _ = w.Write(body)
}

// write sends the right answer as wrongly as the fault says. A nil fault sends
// it as it is.
func (f *Fault) write(w http.ResponseWriter, right response) {
	if f != nil {
		switch f.Kind {
		case FaultTruncated:
			w.Header().Set("Content-Length", strconv.Itoa(len(right.body)))
			right.body = right.body[:len(right.body)/2]
			right.write(w)
			_ = http.NewResponseController(w).Flush() // else the abort drops the header too
			panic(http.ErrAbortHandler)
		case FaultCutJSON:
			right.body = right.body[:len(right.body)/2]
		case FaultWrongJSON:
			right.body = f.wrongJSON()
		}
	}
	right.write(w)
}

// wrongJSON is the body of FaultWrongJSON.
func (f *Fault) wrongJSON() json.RawMessage {
	return json.RawMessage(cmp.Or(f.Body, `{"status":"ok"}`))
}
