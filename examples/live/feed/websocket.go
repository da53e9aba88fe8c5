package feed

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"encore.app/auth/clerkauth"
)

// subprotocol is what the server speaks. A page names it beside the one that carries
// its token: new WebSocket(url, ["live", "bearer." + token]).
const subprotocol = "live"

// statusSignedOut closes the connection of a caller who may not stay. A page with a
// fresh token may connect again.
const statusSignedOut websocket.StatusCode = 4401

// ServeWebSocket opens a caller's WebSocket, which is served until the caller or the
// client ends. It returns at once: a request that is under way keeps some 20 KB,
// its headers and the stack of the handlers that called this one.
//
// Messages are JSON. A page sends
//
//	{"type": "token", "token": "…"}   a fresh session token, before the last expires
//	{"type": "message", "text": "…"}  to all connections of the user
//
// and receives "ready", "renewed", "message", "too_long" if the message has more than
// 512 bytes, and "unavailable" if its token could not be looked at: it sends one again.
func (f *Feed) ServeWebSocket(w http.ResponseWriter, r *http.Request, caller *clerkauth.Caller) {
	c := f.open(context.Background(), w, r, caller)
	if c == nil {
		return
	}
	hijacked := &hijackedConn{ResponseWriter: w}
	socket, err := websocket.Accept(hijacked, r, &websocket.AcceptOptions{
		Subprotocols:       []string{subprotocol},
		InsecureSkipVerify: true, // open has compared the origin with the authorized parties
	})
	if err != nil { // it is answered
		c.close()
		return
	}
	socket.SetReadLimit(maxMessage)
	c.send(c.ready("ready"))
	f.goroutines <- func() { c.read(socket) } // ends with the socket
	f.goroutines <- func() {
		defer c.close()
		defer socket.CloseNow()
		c.end(c.write(socket))
		// Close has no deadline for a frame that is announced and does not come.
		defer time.AfterFunc(writeTimeout, func() { _ = hijacked.conn.Close() }).Stop()
		_ = socket.Close(closing(context.Cause(c.ctx)))
	}
}

// closing is the status and the reason that a client learns.
func closing(err error) (websocket.StatusCode, string) {
	switch {
	case errors.Is(err, errSlow):
		return websocket.StatusTryAgainLater, err.Error()
	case errors.Is(err, errShutdown):
		return websocket.StatusGoingAway, err.Error()
	case clerkauth.AsError(err).Kind == clerkauth.Unauthenticated:
		return statusSignedOut, "not signed in"
	}
	return websocket.StatusNormalClosure, ""
}

// write sends what is queued until the connection ends.
func (c *connection) write(socket *websocket.Conn) error {
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	for {
		var err error
		select {
		case <-c.ctx.Done():
			return context.Cause(c.ctx)
		case message := <-c.queue:
			err = within(func(ctx context.Context) error { return socket.Write(ctx, websocket.MessageText, message) })
		case <-ping.C:
			err = within(socket.Ping)
		}
		if err != nil {
			return errGone
		}
	}
}

// within bounds a write. Its context is not the connection's: the library drops a
// socket at once whose write is canceled, and the page would learn no reason.
func within(do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	return do(ctx)
}

// read takes what the page sends. Its context is not the connection's, for the same
// reason.
func (c *connection) read(socket *websocket.Conn) {
	for {
		_, content, err := socket.Read(context.Background())
		if err != nil {
			c.end(errGone)
			return
		}
		var message struct{ Type, Token, Text string }
		if json.Unmarshal(content, &message) != nil {
			continue
		}
		switch message.Type {
		case "token":
			switch err := c.watch.Renew(c.ctx, message.Token); {
			case err == nil:
				c.send(c.ready("renewed"))
			case c.ctx.Err() == nil:
				c.send(map[string]string{"type": "unavailable"})
			}
		case "message":
			encoded, _ := json.Marshal(map[string]string{"type": "message", "text": message.Text}) // strings always encode
			if len(encoded) > maxText {
				c.send(map[string]string{"type": "too_long"})
				continue
			}
			c.feed.publish(c.userID, encoded)
		}
	}
}

// send queues a message for this connection.
func (c *connection) send(message any) {
	encoded, _ := json.Marshal(message) // always encodes
	select {
	case c.queue <- encoded:
	default:
		c.end(errSlow)
	}
}

// hijackedConn keeps the connection that is taken over.
type hijackedConn struct {
	http.ResponseWriter
	conn net.Conn
}

// Hijack implements [http.Hijacker].
func (h *hijackedConn) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(h.ResponseWriter).Hijack()
	h.conn = conn
	return conn, buffered, err
}
