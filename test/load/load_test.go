//go:build !encore_local

// Encore's Go links no test whose packages leave its runtime out.

package load

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestClosedEndsByItself(t *testing.T) {
	var seen sync.Map
	var count atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r.Header.Get("Authorization"), true)
		count.Add(1)
		_, _ = io.WriteString(w, "the profile\n")
	}))
	defer server.Close()
	l := Closed{Address: server.Listener.Addr().String(), Connections: 3, Requests: 100, Lasting: time.Minute, Tokens: []string{"a", "b"}, Profile: "the profile"}
	result, err := l.Run()
	_, a := seen.Load("Bearer a")
	_, b := seen.Load("Bearer b")
	if err != nil || len(result.Took) != 100 || count.Load() != 100 || !a || !b {
		t.Errorf("%d of %d, tokens %t %t: %v", len(result.Took), count.Load(), a, b, err)
	}
	l.Lasting = 0 // the time is over first
	if result, err := l.Run(); err != nil || len(result.Took) != 0 {
		t.Errorf("%d, %v", len(result.Took), err)
	}
	l.Lasting, l.Profile = time.Minute, "another"
	if _, err := l.Run(); err == nil || !strings.Contains(err.Error(), "the profile") {
		t.Errorf("a wrong body: %v", err)
	}
}

func TestClosedStaysOnLoopback(t *testing.T) {
	for _, address := range []string{"192.0.2.1:80", "example.com:80", "[2001:db8::1]:80", "0.0.0.0:80"} {
		if _, err := (Closed{Address: address, Connections: 1, Requests: 1, Lasting: time.Minute}).Run(); err == nil || !strings.Contains(err.Error(), "loopback") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestOpen(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	var calls []int
	Open(ctx, 1000, 1e6, func(i int) {
		mu.Lock()
		defer mu.Unlock()
		if calls = append(calls, i); len(calls) == 10 {
			cancel()
		}
	})
	if slices.Sort(calls); len(calls) < 10 || calls[0] != 0 || calls[len(calls)-1] != len(calls)-1 {
		t.Error(calls)
	}
}

func TestQuantile(t *testing.T) {
	if got := Quantile([]int{5, 1, 3}, 0.5); got != 3 {
		t.Error(got)
	}
	if got := Quantile([]int(nil), 0.5); got != 0 {
		t.Error(got)
	}
}
