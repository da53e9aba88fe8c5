package feed

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"encore.app/auth/clerkauth"
)

// ServeEvents serves a caller's stream of server-sent events until the caller or the
// client ends. It ends with the token: a page goes on by another request, with a
// fresh one. The last event is named end.
func (f *Feed) ServeEvents(w http.ResponseWriter, r *http.Request, caller *clerkauth.Caller) {
	c := f.open(r.Context(), w, r, caller)
	if c == nil {
		return
	}
	defer c.close()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // of nginx
	c.send(c.ready("ready"))
	stream := &stream{w: w, control: http.NewResponseController(w)}
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	for {
		var err error
		select {
		case <-c.ctx.Done():
			_, reason := closing(context.Cause(c.ctx))
			_ = stream.write("event: end\ndata: %s\n\n", reason)
			return
		case message := <-c.queue:
			err = stream.write("data: %s\n\n", message)
		case <-ping.C:
			err = stream.write(":\n\n")
		}
		if err != nil {
			return
		}
	}
}

type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// write sends one event. A reader who does not take it in time is disconnected.
func (s *stream) write(format string, values ...any) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(writeTimeout)) // where the server can
	if _, err := fmt.Fprintf(s.w, format, values...); err != nil {
		return err
	}
	return s.control.Flush()
}
