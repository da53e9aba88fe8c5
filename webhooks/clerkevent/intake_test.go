package clerkevent_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"encore.app/webhooks/clerkevent"
)

// server is a Receiver behind net/http, on connections in memory, so that time
// passes only where everybody waits.
type server struct {
	t           *testing.T
	connections chan net.Conn
	handled     chan *clerkevent.Event
}

func serve(t *testing.T) *server {
	s := &server{t: t, connections: make(chan net.Conn), handled: make(chan *clerkevent.Event, 100)}
	receiver, err := clerkevent.NewReceiver(fakeSecret, func(ctx context.Context, e *clerkevent.Event) error {
		time.Sleep(10 * time.Second) // longer than a body may take
		if ctx.Err() == nil {
			s.handled <- e
		}
		return ctx.Err()
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	httpServer := &http.Server{Handler: receiver}
	go func() { _ = httpServer.Serve(s) }()
	t.Cleanup(func() { _ = httpServer.Close() })
	return s
}

// Accept, Close and Addr implement [net.Listener].
func (s *server) Accept() (net.Conn, error) {
	connection, ok := <-s.connections
	if !ok {
		return nil, net.ErrClosed
	}
	return connection, nil
}
func (s *server) Close() error   { close(s.connections); return nil }
func (s *server) Addr() net.Addr { return &net.TCPAddr{} }

// request is one connection with one request.
type request struct {
	status int           // 0 without an answer
	closed time.Duration // after how long the server closed the connection; 0 if it did not
}

// send sends the head and the beginning of a body, and waits for the answer and,
// where it stopped early, for the end of the connection.
func (s *server) send(header http.Header, length int, chunked bool, body []byte) (got request) {
	ours, theirs := net.Pipe()
	s.connections <- theirs
	defer ours.Close()
	began := time.Now()
	go func() {
		head := fmt.Sprintf("POST / HTTP/1.1\r\nHost: api\r\nContent-Length: %d\r\n", length)
		if chunked {
			head = "POST / HTTP/1.1\r\nHost: api\r\nTransfer-Encoding: chunked\r\n"
		}
		for name, values := range header {
			head += name + ": " + values[0] + "\r\n"
		}
		head += "\r\n"
		if chunked {
			head += fmt.Sprintf("%x\r\n", length)
		}
		_, _ = io.WriteString(ours, head)
		_, _ = ours.Write(body)
	}()
	reader := bufio.NewReader(ours)
	if response, err := http.ReadResponse(reader, nil); err == nil {
		got.status = response.StatusCode
	}
	if len(body) < length {
		_, _ = io.Copy(io.Discard, reader)
		got.closed = time.Since(began)
	}
	return got
}

func signed(t *testing.T, body string) http.Header {
	t.Helper()
	signer, err := standardwebhooks.NewWebhook(fakeSecret)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	signature, err := signer.Sign("msg_1", now, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return http.Header{"svix-id": {"msg_1"}, "svix-timestamp": {fmt.Sprint(now.Unix())}, "svix-signature": {signature}}
}

const deleted = `{"type":"user.deleted","timestamp":1795400000000,"data":{"id":"user_ada"}}`

// Two hundred requests stop one byte before the end of the longest body. All are
// closed within ten seconds, they hold little memory, and what Clerk sends
// meanwhile is taken.
func TestStalledRequestsAreClosedAndDisplaced(t *testing.T) {
	for _, chunked := range []bool{false, true} {
		t.Run(fmt.Sprint("chunked ", chunked), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := serve(t)
				before := heap()
				var stalled sync.WaitGroup
				closed := make(chan time.Duration, 200)
				almost := bytes.Repeat([]byte(" "), clerkevent.MaxBodyBytes-1)
				for range 200 {
					stalled.Go(func() {
						closed <- s.send(signed(t, deleted), clerkevent.MaxBodyBytes, chunked, almost).closed
					})
				}
				time.Sleep(100 * time.Millisecond)
				// The other ends of the connections send from one slice.
				held := heap() - before
				t.Log(held >> 20)
				if held > 40<<20 {
					t.Errorf("200 stalled requests hold %d MB", held>>20)
				}
				if got := s.send(signed(t, deleted), len(deleted), false, []byte(deleted)); got.status != http.StatusNoContent {
					t.Errorf("Clerk's own gets %d", got.status)
				}
				if len(s.handled) != 1 {
					t.Errorf("handled %d", len(s.handled))
				}
				stalled.Wait()
				close(closed)
				for took := range closed {
					if took > 10*time.Second {
						t.Fatalf("a connection was closed after %v", took)
					}
				}
			})
		})
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A server reads on for a while after it refused, unless it is told when to stop.
func TestRefusedRequestsAreClosed(t *testing.T) {
	for name, test := range map[string]struct {
		header http.Header
		length int
		status int
	}{
		"unsigned":    {http.Header{}, 1000, http.StatusBadRequest},
		"an old time": {http.Header{"svix-id": {"msg_1"}, "svix-timestamp": {"1"}, "svix-signature": {"v1,x"}}, 1000, http.StatusBadRequest},
		"too long":    {nil, clerkevent.MaxBodyBytes + 1, http.StatusRequestEntityTooLarge},
		"slow":        {nil, 1000, http.StatusRequestTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := serve(t)
				header := test.header
				if header == nil {
					header = signed(t, deleted)
				}
				got := s.send(header, test.length, false, []byte("{"))
				if got.closed > 10*time.Second || got.status != 0 && got.status != test.status {
					t.Errorf("got %d, closed after %v", got.status, got.closed)
				}
			})
		})
	}
}
