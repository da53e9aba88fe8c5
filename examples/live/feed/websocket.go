package feed

import (
	"context"
	"encoding/json"
	"errors"
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
// and receives "ready", "renewed", "message", and "unavailable" if its token could
// not be looked at: it sends one again.
func (f *Feed) ServeWebSocket(w http.ResponseWriter, r *http.Request, caller *clerkauth.Caller) {
	c := f.open(context.Background(), w, r, caller)
	if c == nil {
		return
	}
	socket, err := websocket.Accept(w, r, &websocket.AcceptOptions{
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
			err = within(c.ctx, func(ctx context.Context) error { return socket.Write(ctx, websocket.MessageText, message) })
		case <-ping.C:
			err = within(c.ctx, socket.Ping)
		}
		if err != nil {
			return errGone
		}
	}
}

func within(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return do(ctx)
}

// read takes what the page sends. Its context is not the connection's: the library
// drops a socket at once whose read is canceled, and the page would learn no reason.
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
