package feed

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"encore.app/auth/authz"
	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
)

// server is a feed behind net/http.
type server struct {
	*httptest.Server
	clerk         *fakeclerk.Server
	authenticator *clerkauth.Authenticator
	feed          *Feed
}

func start(t *testing.T) *server {
	t.Helper()
	clerk, err := fakeclerk.Start(fakeclerk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { clerk.Close() })
	authenticator, err := clerkauth.New(clerkauth.Options{
		SecretKey: clerk.SecretKey(), APIURL: clerk.URL(), AuthorizedParties: []string{fakeclerk.DefaultAuthorizedParty},
	})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	s := &server{clerk: clerk, authenticator: authenticator, feed: New(authenticator, log)}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		endpoint := authz.Raw{}
		caller := endpoint.Authenticate(w, r, authenticator, log)
		switch {
		case caller == nil:
		case r.URL.Path == "/live/socket":
			s.feed.ServeWebSocket(w, r, caller)
		default:
			s.feed.ServeEvents(w, r, caller)
		}
	}))
	t.Cleanup(s.Close)
	t.Cleanup(func() { s.feed.Close(context.Background()) })
	return s
}

func (s *server) token(t *testing.T, userID string) string {
	t.Helper()
	token, err := s.clerk.SessionToken(userID)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// dial opens a WebSocket as a page of the origin does.
func (s *server) dial(t *testing.T, userID, origin string) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	socket, response, err := websocket.Dial(t.Context(), s.URL+"/live/socket", &websocket.DialOptions{
		Subprotocols: []string{subprotocol, "bearer." + s.token(t, userID)}, HTTPHeader: http.Header{"Origin": {origin}},
	})
	if err == nil {
		t.Cleanup(func() { _ = socket.CloseNow() })
	}
	return socket, response, err
}

func (s *server) connect(t *testing.T, userID string) *websocket.Conn {
	t.Helper()
	socket, _, err := s.dial(t, userID, fakeclerk.DefaultAuthorizedParty)
	if err != nil {
		t.Fatal(err)
	}
	if socket.Subprotocol() != subprotocol {
		t.Errorf("the server speaks %q", socket.Subprotocol())
	}
	expect(t, socket, `"type":"ready"`)
	return socket
}

func expect(t *testing.T, socket *websocket.Conn, part string) {
	t.Helper()
	_, message, err := socket.Read(t.Context())
	if err != nil || !strings.Contains(string(message), part) {
		t.Errorf("got %s, %v; want %s", message, err, part)
	}
}

func (s *server) ban(userID string) {
	s.authenticator.StoreUser(clerkauth.UserRecord{ID: userID, Banned: true, UpdatedAt: time.Now()})
}

func TestBanClosesWebSocketAndStream(t *testing.T) {
	s := start(t)
	socket, other := s.connect(t, "user_ada"), s.connect(t, "user_grace")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/live/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.token(t, "user_ada"))
	response, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	stream := bufio.NewReader(response.Body)
	if line, err := stream.ReadString('\n'); err != nil || !strings.Contains(line, "ready") {
		t.Fatalf("%q, %v", line, err)
	}
	s.ban("user_ada")
	if _, _, err := socket.Read(t.Context()); websocket.CloseStatus(err) != statusSignedOut {
		t.Errorf("the WebSocket: %v", err)
	}
	if rest, err := io.ReadAll(stream); err != nil || !strings.Contains(string(rest), "event: end\ndata: not signed in") {
		t.Errorf("the stream: %q, %v", rest, err)
	}
	write(t, other, `{"type":"message","text":"still here"}`)
	expect(t, other, "still here")
}

func write(t *testing.T, socket *websocket.Conn, message string) {
	t.Helper()
	if err := socket.Write(t.Context(), websocket.MessageText, []byte(message)); err != nil {
		t.Fatal(err)
	}
}

func TestFreshTokens(t *testing.T) {
	s := start(t)
	socket := s.connect(t, "user_ada")
	write(t, socket, `{"type":"token","token":"`+s.token(t, "user_ada")+`"}`)
	expect(t, socket, `"type":"renewed"`)
	write(t, socket, `{"type":"token","token":"`+s.token(t, "user_grace")+`"}`)
	if _, _, err := socket.Read(t.Context()); websocket.CloseStatus(err) != statusSignedOut {
		t.Errorf("another user's token: %v", err)
	}
}

func TestWhoMayConnect(t *testing.T) {
	s := start(t)
	s.feed.perUser, s.feed.perProcess = 1, 2
	if _, response, err := s.dial(t, "user_ada", "https://evil.example.com"); err == nil || response.StatusCode != http.StatusForbidden {
		t.Errorf("a page of another origin: %v", err)
	}
	s.connect(t, "user_ada")
	if _, response, err := s.dial(t, "user_ada", ""); err == nil || response.StatusCode != http.StatusTooManyRequests {
		t.Errorf("a second connection of a user: %v", err)
	}
	s.connect(t, "user_grace")
	if _, response, err := s.dial(t, "user_noemail", ""); err == nil || response.StatusCode != http.StatusTooManyRequests {
		t.Errorf("a third connection of the process: %v", err)
	}
}

// A reader that falls behind loses its connection, and no other user's.
func TestSlowReader(t *testing.T) {
	s := start(t)
	s.connect(t, "user_ada")
	s.feed.mu.Lock()
	var c *connection
	for c = range s.feed.users["user_ada"] {
	}
	s.feed.mu.Unlock()
	full := &connection{feed: s.feed, userID: "user_ada", queue: make(chan []byte)} // nobody reads
	full.ctx, full.end = context.WithCancelCause(t.Context())
	s.feed.mu.Lock()
	s.feed.users["user_ada"][full] = true
	s.feed.mu.Unlock()
	s.feed.publish("user_ada", []byte("{}"))
	if context.Cause(full.ctx) != errSlow || c.ctx.Err() != nil {
		t.Errorf("slow: %v, other: %v", context.Cause(full.ctx), c.ctx.Err())
	}
}

func TestConnectionsFitIntoTheMemoryLimit(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(200 << 20))
	if fit := start(t).feed.perProcess; fit < 1500 || fit*connectionBytes > 100<<20 {
		t.Errorf("%d connections with 200 MiB", fit)
	}
}

func TestNoGoroutineStays(t *testing.T) {
	s := start(t)
	s.connect(t, "user_grace").CloseNow() // what the server keeps for itself
	before := runtime.NumGoroutine()
	for range 5 {
		socket := s.connect(t, "user_ada")
		go func() { _, _, _ = socket.Read(context.Background()) }()
	}
	s.ban("user_ada")
	s.Client().CloseIdleConnections()
	deadline := time.Now().Add(10 * time.Second)
	for s.open() > 0 || runtime.NumGoroutine() > before {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections, %d goroutines more", s.open(), runtime.NumGoroutine()-before)
		}
		runtime.Gosched()
	}
}

// TestClientThatStalls is told of the ban, announces a long message and sends
// nothing more. Its place is free all the same.
func TestClientThatStalls(t *testing.T) {
	s := start(t)
	client, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	s.upgrade(t, client, s.token(t, "user_ada"))
	s.ban("user_ada")
	// A whole message, masked with zeros, and the beginning of one of 4 GB.
	if _, err := client.Write([]byte("\x81\x82\x00\x00\x00\x00{}" + "\x82\xff\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00")); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		s.feed.serving.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(3 * writeTimeout):
		t.Error("it holds its place")
	}
}

func TestLongMessagesAreRefused(t *testing.T) {
	s := start(t)
	socket := s.connect(t, "user_ada")
	for _, text := range []string{strings.Repeat("x", 2<<10), strings.Repeat("<", 200)} { // each < is six bytes
		if err := socket.Write(t.Context(), websocket.MessageText, []byte(`{"type":"message","text":"`+text+`"}`)); err != nil {
			t.Fatal(err)
		}
		expect(t, socket, `"type":"too_long"`)
	}
}

func (s *server) open() int {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	return s.feed.total
}

// TestIdleConnections measures what a connection costs, its client's end included:
// TESTS=whole. It was 25 KB.
func TestIdleConnections(t *testing.T) {
	const connections, most = 9_000, 28 << 10
	if os.Getenv("TESTS") != "whole" {
		t.Skip("it is measured with TESTS=whole")
	}
	s := start(t)
	s.feed.perUser = connections
	address, token := strings.TrimPrefix(s.URL, "http://"), s.token(t, "user_ada")
	before := memory()
	for range connections {
		client, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		s.upgrade(t, client, token)
	}
	used := memory() - before
	t.Logf("%d connections: %d MB, %.1f KB each", s.open(), used>>20, float64(used)/connections/1024)
	if used/connections > most {
		t.Errorf("more than %d KB each", most>>10)
	}
}

// upgrade makes a WebSocket of a connection.
func (s *server) upgrade(t *testing.T, client net.Conn, token string) {
	t.Helper()
	fmt.Fprintf(client, "GET /live/socket HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: live, bearer.%s\r\n\r\n", strings.TrimPrefix(s.URL, "http://"), token)
	var first [12]byte
	if _, err := io.ReadFull(client, first[:]); err != nil || string(first[:]) != "HTTP/1.1 101" {
		t.Fatalf("%q, %v", first, err)
	}
}

// memory is what the process has from the system for heap and stacks.
func memory() uint64 {
	for range 5 { // each halves the stacks that have grown while a connection was opened
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
