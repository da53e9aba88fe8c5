package clerkevent

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"
)

const (
	// MaxBodyBytes is the longest webhook that is read.
	MaxBodyBytes = 512 << 10

	// maxReaders bounds how many bodies are read at once. With the copies that
	// the check of a signature makes, they take 32 MB at most.
	maxReaders = 16
	// readTimeout bounds how long one request may take to arrive.
	readTimeout = 5 * time.Second
	// turn is how long a reader is left alone while others wait. What Svix sends
	// arrives in less.
	turn = 20 * time.Millisecond
)

var (
	tooLarge   = &refusal{http.StatusRequestEntityTooLarge, ReasonTooLarge, nil}
	tooSlow    = &refusal{http.StatusRequestTimeout, ReasonTooSlow, nil}
	unreadable = &refusal{http.StatusBadRequest, ReasonUnreadable, nil}
	overloaded = &refusal{http.StatusServiceUnavailable, ReasonOverloaded, nil}
)

// intake reads bodies whose sender is not known yet, and bounds their memory.
// Anybody can hold a connection open without sending, so slow requests do not
// keep others out: they displace the one that has been read for longest.
type intake struct {
	slots   chan struct{} // one for each request that holds a buffer
	buffers sync.Pool

	mu      sync.Mutex
	readers []*reader // oldest first
}

// reader is a request whose body is being read.
type reader struct {
	connection *http.ResponseController
	began      time.Time
	displaced  bool
}

func newIntake() *intake {
	return &intake{
		slots:   make(chan struct{}, maxReaders),
		buffers: sync.Pool{New: func() any { return new([MaxBodyBytes + 1]byte) }},
	}
}

// read passes the request's body to use, which must not keep it.
func (i *intake) read(w http.ResponseWriter, req *http.Request, use func(body []byte) *refusal) *refusal {
	if req.ContentLength > MaxBodyBytes {
		return tooLarge
	}
	if !i.acquire(req.Context()) {
		return overloaded
	}
	defer func() { <-i.slots }()
	buffer := i.buffers.Get().(*[MaxBodyBytes + 1]byte)
	defer i.buffers.Put(buffer)

	connection := http.NewResponseController(w)
	r := i.add(connection)
	n, err := readAll(req.Body, buffer[:])
	switch i.remove(r); {
	case r.displaced:
		return overloaded
	case errors.Is(err, os.ErrDeadlineExceeded):
		return tooSlow
	case err != nil:
		return unreadable
	case n > MaxBodyBytes:
		return tooLarge
	}
	// Until the handler returns, net/http reads on to learn that the client left.
	_ = connection.SetReadDeadline(time.Time{})
	return use(buffer[:n])
}

// readAll reads to the end or until the buffer is full.
func readAll(body io.Reader, buffer []byte) (n int, err error) {
	for n < len(buffer) && err == nil {
		var m int
		m, err = body.Read(buffer[n:])
		n += m
	}
	if err == io.EOF {
		err = nil
	}
	return n, err
}

// acquire takes a slot, for which another request may have to go.
func (i *intake) acquire(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	tick := time.NewTicker(turn)
	defer tick.Stop()
	for {
		select {
		case i.slots <- struct{}{}:
			return true
		case <-tick.C:
			i.displaceOldest()
		case <-ctx.Done():
			return false
		}
	}
}

func (i *intake) add(connection *http.ResponseController) *reader {
	i.mu.Lock()
	defer i.mu.Unlock()
	r := &reader{connection: connection, began: time.Now()}
	i.readers = append(i.readers, r)
	return r
}

func (i *intake) remove(r *reader) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if at := slices.Index(i.readers, r); at >= 0 {
		i.readers = slices.Delete(i.readers, at, at+1)
	}
}

// displaceOldest ends the request that has been read for longest, once its turn
// is over.
func (i *intake) displaceOldest() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.readers) == 0 || time.Since(i.readers[0].began) < turn {
		return
	}
	r := i.readers[0]
	i.readers = slices.Delete(i.readers, 0, 1)
	r.displaced = true
	_ = r.connection.SetReadDeadline(time.Unix(1, 0))
}
