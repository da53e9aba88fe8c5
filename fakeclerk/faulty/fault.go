package faulty

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Kind names what goes wrong.
type Kind string

const (
	// Latency answers rightly, but only after Fault.Latency.
	Latency Kind = "latency"
	// Hang answers nothing until the client gives up or the server closes.
	Hang Kind = "hang"
	// Refused closes the server's socket and every connection for Fault.Duration:
	// see [Server.Refuse].
	Refused Kind = "refused"
	// Reset resets the connection in place of an answer. Go's HTTP client repeats a
	// GET whose kept connection was reset, so that one call may count as two
	// requests.
	Reset Kind = "reset"
	// Status answers with Fault.Status: 502, 503 and 504 with the HTML page of a
	// proxy, others with Fault.Body.
	Status Kind = "status"
	// Truncated declares a longer Content-Length than it sends, and closes the
	// connection.
	Truncated Kind = "truncated"
	// CutJSON sends half of the right JSON with the right Content-Length.
	CutJSON Kind = "cut_json"
	// WrongJSON sends Fault.Body: valid JSON that does not fit the request.
	WrongJSON Kind = "wrong_json"
)

// Fault is one way of failing. Kind is required; the rest is for the kinds that
// say so.
type Fault struct {
	Kind Kind
	// Latency delays the answer of any kind but Refused.
	Latency time.Duration
	// Duration is how long Refused lasts.
	Duration time.Duration
	// Status is the HTTP status of Status, 400 to 599.
	Status int
	// RetryAfter is the Retry-After header of Status, in whole seconds. 0: no
	// header.
	RetryAfter time.Duration
	// Body replaces the body of Status, and that of WrongJSON, by default
	// {"status":"ok"}.
	Body string
	// Count breaks only the next Count requests. 0: all. Not for Refused.
	Count int
}

// check reports what is wrong with the fault.
func (f Fault) check() error {
	switch f.Kind {
	case Latency:
		if f.Latency <= 0 {
			return errors.New("latency needs a positive latency")
		}
	case Refused:
		if f.Count != 0 || f.Duration <= 0 {
			return errors.New("refused needs a positive duration and takes no count")
		}
	case Status:
		if f.Status < 400 || f.Status > 599 {
			return fmt.Errorf("status %d is not an error", f.Status)
		}
	case WrongJSON:
		if f.Body != "" && !json.Valid([]byte(f.Body)) {
			return errors.New("body of wrong_json is not JSON")
		}
	case Hang, Reset, Truncated, CutJSON:
	default:
		return fmt.Errorf("unknown kind %q", f.Kind)
	}
	if f.Latency < 0 || f.Duration < 0 || f.RetryAfter < 0 || f.Count < 0 {
		return errors.New("negative latency, duration, retry after or count")
	}
	return nil
}

// before applies what happens ahead of the answer, and reports whether that was
// the answer. A nil fault does nothing.
func (f *Fault) before(w http.ResponseWriter, r *http.Request) bool {
	if f == nil {
		return false
	}
	wait(r, f.Latency)
	switch f.Kind {
	case Hang:
		waitFor(r, nil)
	case Reset:
		conn := hijack(w)
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a TCP reset rather than an orderly close
		}
		_ = conn.Close()
		return true
	case Status:
		f.writeStatus(w)
		return true
	}
	return false
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
	// net/http notices that a client has gone only after the body was read. The
	// handler reads it again.
	body, _ := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	r.Body = io.NopCloser(bytes.NewReader(body))
	select {
	case <-timer:
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	}
}

// maxBody bounds the body of a request that waits, in bytes. The rest is lost.
const maxBody = 1 << 20

func hijack(w http.ResponseWriter) net.Conn {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return conn
}

func (f *Fault) writeStatus(w http.ResponseWriter) {
	answer := Answer{Status: f.Status, ContentType: "application/json", RetryAfter: f.RetryAfter, Body: []byte(f.Body)}
	if f.Body == "" { // as a proxy answers
		text := fmt.Sprintf("%d %s", f.Status, http.StatusText(f.Status))
		answer.Body = []byte("<html><head><title>" + text + "</title></head><body><h1>" + text + "</h1></body></html>\n")
		answer.ContentType = "text/html"
	}
	answer.Write(w)
}

// Answer is an answer that is ready to send.
type Answer struct {
	Status      int
	ContentType string
	RetryAfter  time.Duration // the header Retry-After in whole seconds, rounded up; 0: none
	Location    string        // of a redirect
	Body        []byte

	// Fault breaks this answer, unless a fault of the route does.
	Fault *Fault
	// Refuse refuses connections for so long from before the answer is sent, which
	// is 204.
	Refuse time.Duration
}

// Write sends the answer.
func (a Answer) Write(w http.ResponseWriter) {
	if a.ContentType != "" {
		w.Header().Set("Content-Type", a.ContentType)
	}
	if a.Location != "" {
		w.Header().Set("Location", a.Location)
	}
	if a.RetryAfter > 0 {
		seconds := (a.RetryAfter + time.Second - 1) / time.Second
		w.Header().Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body) // an error means that the client is gone
}

// write sends the right answer as wrongly as the fault says. A nil fault sends
// it unchanged, and every fault sends an error unchanged.
func (f *Fault) write(w http.ResponseWriter, right Answer) {
	if f != nil && right.Status < 400 {
		switch f.Kind {
		case Truncated:
			w.Header().Set("Content-Length", strconv.Itoa(len(right.Body)))
			right.Body = right.Body[:len(right.Body)/2]
			right.Write(w)
			_ = http.NewResponseController(w).Flush() // else the abort drops the header too
			panic(http.ErrAbortHandler)
		case CutJSON:
			right.Body = right.Body[:len(right.Body)/2]
		case WrongJSON:
			right.Body = f.WrongJSON()
		}
	}
	right.Write(w)
}

// WrongJSON is the body of a fault of that kind.
func (f *Fault) WrongJSON() []byte { return []byte(cmp.Or(f.Body, `{"status":"ok"}`)) }
