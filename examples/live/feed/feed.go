// Package feed holds live connections in plain Go. What one connection of a user
// sends, all connections of that user on this instance receive.
package feed

import (
	"context"
	"errors"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"encore.dev/beta/errs"

	"encore.app/auth/authz"
	"encore.app/auth/clerkauth"
)

// The limits of a process. A user who opens more connections is refused with 429,
// and every user with 429 once the process is full: the balancer's other instances
// have room.
const (
	perUser    = 10
	perProcess = 20_000 // less where GOMEMLIMIT is small

	// connectionBytes is the memory that one connection takes at most: a stream 45 KB, a
	// WebSocket about half of it, and the messages in its queue.
	connectionBytes = 56 << 10

	// queued is how many messages wait for a reader. One that falls further behind
	// is disconnected, so that it costs no other reader time or memory.
	queued       = 16
	writeTimeout = 10 * time.Second
	pingEvery    = 20 * time.Second // balancers end an answer that is silent for 30 s
	maxMessage   = 20 << 10         // bytes that a page may send; a session token is one
	maxText      = 512              // bytes of a message for the connections of a user, in JSON
)

// Why a connection ends, beside the reasons of [clerkauth.Watch].
var (
	errSlow     = errors.New("the reader is too slow")
	errShutdown = errors.New("the server stops")
	errGone     = errors.New("the client is gone")
)

// Feed is the live connections of a process.
type Feed struct {
	authenticator       *clerkauth.Authenticator
	log                 authz.Logger
	perUser, perProcess int

	// goroutines starts what outlives a request. Encore ties a goroutine to the request
	// that starts it, and keeps the request, with its headers, until the goroutine ends.
	goroutines chan func()

	serving sync.WaitGroup
	mu      sync.Mutex
	users   map[string]map[*connection]bool
	total   int
	closed  bool
}

// New returns a Feed without connections, which take at most half of GOMEMLIMIT.
func New(a *clerkauth.Authenticator, log authz.Logger) *Feed {
	fit := min(perProcess, debug.SetMemoryLimit(-1)/2/connectionBytes)
	f := &Feed{authenticator: a, log: log, perUser: perUser, perProcess: int(fit),
		goroutines: make(chan func()), users: map[string]map[*connection]bool{}}
	go func() {
		for run := range f.goroutines {
			go run()
		}
	}()
	return f
}

// connection is one of a user's. Its context ends with the caller or the client.
type connection struct {
	feed   *Feed
	watch  *clerkauth.Watch
	ctx    context.Context
	end    context.CancelCauseFunc
	userID string
	queue  chan []byte
}

// open adds a connection, which ends with ctx at the latest. It answers a request
// that it refuses, and returns nil.
func (f *Feed) open(ctx context.Context, w http.ResponseWriter, r *http.Request, caller *clerkauth.Caller) *connection {
	if !f.authenticator.AllowsOrigin(r.Header.Get("Origin")) {
		authz.WriteError(w, &errs.Error{Code: errs.PermissionDenied, Message: "pages of this origin may not connect"})
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || f.total >= f.perProcess || len(f.users[caller.UserID]) >= f.perUser {
		authz.WriteError(w, &errs.Error{Code: errs.ResourceExhausted, Message: "too many connections"})
		return nil
	}
	c := &connection{feed: f, userID: caller.UserID, queue: make(chan []byte, queued)}
	c.watch = f.authenticator.Watch(ctx, caller)
	c.ctx, c.end = context.WithCancelCause(c.watch.Context())
	if f.users[c.userID] == nil {
		f.users[c.userID] = map[*connection]bool{}
	}
	f.users[c.userID][c] = true
	f.total++
	f.serving.Add(1)
	return c
}

func (c *connection) close() {
	c.end(errGone)
	c.watch.Stop()
	c.feed.mu.Lock()
	defer c.feed.mu.Unlock()
	delete(c.feed.users[c.userID], c)
	if len(c.feed.users[c.userID]) == 0 {
		delete(c.feed.users, c.userID)
	}
	c.feed.total--
	c.feed.serving.Done()
}

// publish sends a message to the connections of a user.
func (f *Feed) publish(userID string, message []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.users[userID] {
		select {
		case c.queue <- message:
		default:
			c.end(errSlow)
		}
	}
}

// Close ends all connections, and returns once they have learned it or ctx ends.
// Later ones are refused.
func (f *Feed) Close(ctx context.Context) {
	f.mu.Lock()
	f.closed = true
	for _, connections := range f.users {
		for c := range connections {
			c.end(errShutdown)
		}
	}
	f.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		f.serving.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
}

// ready is the first message of a connection, and renewed that after each fresh
// token.
type ready struct {
	Type      string    `json:"type"`
	UserID    string    `json:"userId"`
	ExpiresAt time.Time `json:"expiresAt"` // the page sends a fresh token before
}

func (c *connection) ready(kind string) ready {
	caller := c.watch.Caller()
	return ready{kind, caller.UserID, caller.ExpiresAt}
}
