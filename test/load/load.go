// Package load sends requests for the suites that measure. It sends them to
// loopback addresses only, and each loop ends by itself.
package load

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Closed is a closed loop: each connection has one GET /user/profile under way.
// It ends after a number of requests or a time, whichever comes first.
type Closed struct {
	Address     string // on loopback
	Connections int
	Requests    int
	Lasting     time.Duration
	Tokens      []string // in turn
	Profile     string   // the one right body; "" takes any body of a 200
}

// Result is what a closed loop showed.
type Result struct {
	Elapsed time.Duration
	Took    []time.Duration // of each request
}

// PerSecond is the rate of requests.
func (r Result) PerSecond() float64 { return float64(len(r.Took)) / r.Elapsed.Seconds() }

// Run sends the requests. Any answer but the right one is an error.
func (l Closed) Run() (Result, error) {
	address, err := netip.ParseAddrPort(l.Address)
	if err != nil || !address.Addr().IsLoopback() {
		return Result{}, fmt.Errorf("%q is not on loopback: %w", l.Address, err)
	}
	var next atomic.Int64
	var group errgroup.Group
	took := make([][]time.Duration, l.Connections)
	began := time.Now()
	for c := range took {
		group.Go(func() error {
			connection, err := net.Dial("tcp", l.Address)
			if err != nil {
				return err
			}
			defer connection.Close()
			_ = connection.SetDeadline(began.Add(l.Lasting + 20*time.Second)) // ends what hangs
			reader := bufio.NewReader(connection)
			for now := time.Now(); now.Sub(began) < l.Lasting; {
				i := int(next.Add(1)) - 1
				if i >= l.Requests {
					break
				}
				if err := l.get(connection, reader, l.Tokens[i%len(l.Tokens)]); err != nil {
					return err
				}
				sent := now
				now = time.Now()
				took[c] = append(took[c], now.Sub(sent))
			}
			return nil
		})
	}
	err = group.Wait()
	return Result{time.Since(began), slices.Concat(took...)}, err
}

// get writes the request itself: the client shares the processors with the
// server, and what [http.Client] costs would hide how servers differ.
func (l Closed) get(connection net.Conn, reader *bufio.Reader, token string) error {
	if _, err := io.WriteString(connection, "GET /user/profile HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer "+token+"\r\n\r\n"); err != nil {
		return err
	}
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(response.Body)
	if got := strings.TrimSpace(string(body)); response.StatusCode != http.StatusOK || l.Profile != "" && got != l.Profile {
		return fmt.Errorf("answered %d %.80q", response.StatusCode, got)
	}
	return err
}

// Open is an open loop: it calls do n times at a rate, and does not wait for the
// call before. It returns when all calls have returned. No call begins after ctx
// has ended.
func Open(ctx context.Context, n int, perSecond float64, do func(i int)) {
	var group sync.WaitGroup
	defer group.Wait()
	began := time.Now()
	for i := range n {
		if !Pause(ctx, time.Until(began.Add(time.Duration(float64(i)/perSecond*float64(time.Second))))) {
			return
		}
		group.Go(func() { do(i) })
	}
}

// Pause reports whether the time has passed before ctx ended.
func Pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// Quantile is the value that the given part of the values does not exceed.
func Quantile[T cmp.Ordered](values []T, part float64) (quantile T) {
	if len(values) > 0 {
		quantile = slices.Sorted(slices.Values(values))[int(part*float64(len(values)-1))]
	}
	return quantile
}
