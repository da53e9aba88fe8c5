package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// stretch is a stretch of load on one server: a number of connections, each of
// which has one request under way at a time. It ends after a time or a number
// of requests, whichever comes first.
type stretch struct {
	Address     string
	Tokens      []string // in turn
	Connections int
	AtMost      int
	Lasting     time.Duration
}

// observation is what a stretch of load showed.
type observation struct {
	PerSecond float64
	P50, P99  time.Duration
	Error     string
}

// generator is the process that makes the load.
type generator struct{ *process }

func startGenerator(ctx context.Context, self string) (generator, error) {
	p, err := start(ctx, os.Environ(), "", self, "load")
	return generator{p}, err
}

func (g generator) run(s stretch) (observation, error) {
	var seen observation
	if err := json.NewEncoder(g.stdin).Encode(s); err != nil {
		return seen, err
	}
	line, err := g.line()
	if err == nil {
		err = json.Unmarshal([]byte(line), &seen)
	}
	if err == nil && seen.Error != "" {
		err = errors.New(seen.Error)
	}
	return seen, err
}

// serveLoad is what the generator does: for each stretch of stdin, a line of
// JSON, it prints what it observed, until stdin ends.
func serveLoad() error {
	// On one processor Go's scheduler does not look for work on others, which
	// would take more from the servers the busier they are.
	runtime.GOMAXPROCS(1)
	stretches := json.NewDecoder(bufio.NewReader(os.Stdin))
	for {
		var s stretch
		if err := stretches.Decode(&s); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		seen, err := s.run()
		if err != nil {
			seen.Error = err.Error()
		}
		if err := json.NewEncoder(os.Stdout).Encode(seen); err != nil {
			return err
		}
	}
}

func (s stretch) run() (observation, error) {
	var clients []*client
	defer func() {
		for _, c := range clients {
			_ = c.connection.Close()
		}
	}()
	for range s.Connections {
		connection, err := net.Dial("tcp", s.Address)
		if err != nil {
			return observation{}, err
		}
		// Generous: it ends what hangs.
		_ = connection.SetDeadline(time.Now().Add(s.Lasting + 20*time.Second))
		clients = append(clients, &client{connection: connection, took: make([]time.Duration, 0, 1<<14)})
	}

	var next atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	end := began.Add(s.Lasting)
	for _, c := range clients {
		wg.Go(func() {
			for now := time.Now(); now.Before(end); {
				i := int(next.Add(1)) - 1
				if i >= s.AtMost {
					return
				}
				if c.err = c.get(s.Tokens[i%len(s.Tokens)]); c.err != nil {
					return
				}
				sent := now
				now = time.Now()
				c.took = append(c.took, now.Sub(sent))
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(began)

	var took []time.Duration
	for _, c := range clients {
		if c.err != nil {
			return observation{}, c.err
		}
		took = append(took, c.took...)
	}
	if len(took) == 0 {
		return observation{}, errors.New("no request was answered")
	}
	slices.Sort(took)
	return observation{
		PerSecond: float64(len(took)) / elapsed.Seconds(),
		P50:       took[len(took)/2],
		P99:       took[len(took)*99/100],
	}, nil
}

// client is an HTTP client that knows the answer. It shares the processors with
// the servers, and what net/http's client costs would hide how they differ.
type client struct {
	connection net.Conn
	request    []byte
	response   [4096]byte
	took       []time.Duration
	err        error
}

// get fails unless the answer is 200 and the profile.
func (c *client) get(token string) error {
	c.request = append(c.request[:0], "GET /user/profile HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer "...)
	c.request = append(c.request, token...)
	c.request = append(c.request, "\r\n\r\n"...)
	if _, err := c.connection.Write(c.request); err != nil {
		return err
	}
	for n := 0; n < len(c.response); {
		read, err := c.connection.Read(c.response[n:])
		n += read
		answer := c.response[:n]
		if head, body, ok := bytes.Cut(answer, []byte("\r\n\r\n")); ok {
			if !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) {
				return fmt.Errorf("answer is %.40q", answer)
			}
			// A server may end the body with a line feed.
			if string(bytes.TrimSuffix(body, []byte("\n"))) == profile && len(body) == contentLength(head) {
				return nil
			}
		}
		if err != nil {
			return fmt.Errorf("answer is %q: %w", answer, err)
		}
	}
	return errors.New("answer is longer than the profile")
}

// contentLength reads the header field, as Go and Node spell it. It returns -1 if
// there is none.
func contentLength(head []byte) int {
	_, rest, ok := bytes.Cut(head, []byte("\r\nContent-Length: "))
	if !ok {
		return -1
	}
	value, _, _ := bytes.Cut(rest, []byte("\r\n"))
	length := 0
	for _, digit := range value {
		length = 10*length + int(digit-'0')
	}
	return length
}
