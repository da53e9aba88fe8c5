package faulty

import (
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"syscall"
	"testing"
	"time"
)

// start starts a server with a route of the API, GET /api, and one outside it,
// GET /other.
func start(t *testing.T) *Server {
	t.Helper()
	s := New(Options{
		Name: "test", Log: slog.New(slog.DiscardHandler),
		Guard:     func(next http.Handler) http.Handler { return next },
		Admit:     func(*Route, *http.Request) *Answer { return nil },
		ErrorBody: func(int) []byte { return []byte("own error") },
	})
	for pattern, api := range map[string]bool{"GET /api": true, "GET /other": false} {
		s.Handle(&Route{Pattern: pattern, API: api, Handler: func(*http.Request) Answer {
			return Answer{Status: http.StatusOK, ContentType: "application/json", Body: []byte(`{"a":1}`), Fault: s.NextFault("record")}
		}})
	}
	if err := s.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func get(t *testing.T, s *Server, path string) (status int, body string) {
	t.Helper()
	response, err := http.Get(s.URL() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestFaultsBreakRoutesAndRecords(t *testing.T) {
	s := start(t)
	want := func(path string, status int, body string) {
		t.Helper()
		if gotStatus, got := get(t, s, path); gotStatus != status || got != body {
			t.Errorf("%s: %d %s, want %d %s", path, gotStatus, got, status, body)
		}
	}
	s.SetFault("", Fault{Kind: Status, Status: 418, Count: 1})
	want("/other", 200, `{"a":1}`) // not of the API
	want("/api", 418, "own error")
	want("/api", 200, `{"a":1}`)
	if err := s.Break("", "record", Fault{Kind: WrongJSON}); err != nil {
		t.Fatal(err)
	}
	want("/api", 200, `{"status":"ok"}`)
	s.SetFault("GET /api", Fault{Kind: WrongJSON, Body: "[]"})
	want("/api", 200, "[]") // that of the route comes first
	s.ClearFaults()
	want("/api", 200, `{"a":1}`)
	if got := s.RequestsByRoute(); len(got) != 1 || got["GET /api"] != 5 || s.TotalRequests() != 5 || s.Requests("GET /other") != 1 {
		t.Errorf("counted %v and %d", got, s.Requests("GET /other"))
	}
	for name, err := range map[string]error{
		"an unknown route":       s.Break("GET /ap", "", Fault{Kind: Hang}),
		"a route outside":        s.Break("GET /other", "", Fault{Kind: Hang}),
		"a route and a record":   s.Break("GET /api", "record", Fault{Kind: Hang}),
		"a record that refuses":  s.Break("", "record", Fault{Kind: Refused, Duration: time.Second}),
		"refused without an end": s.Break("", "", Fault{Kind: Refused}),
	} {
		if err == nil {
			t.Errorf("no error for %s", name)
		}
	}
}

func TestCloseWhileConnectionsAreRefused(t *testing.T) {
	s := start(t)
	s.Refuse(time.Hour)
	s.Refuse(time.Nanosecond) // does nothing
	if _, err := http.Get(s.URL() + "/api"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%v, want connection refused", err)
	}
	s.Close()
	s.Refuse(time.Nanosecond)
	if _, err := http.Get(s.URL() + "/api"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%v after Close", err)
	}
}

func TestNoWindowHoldsMoreCallsThanTheLimit(t *testing.T) {
	s := start(t)
	limit := RateLimit{Requests: 5, Window: time.Second}
	s.SetRateLimit(limit)
	now, refused := time.Now(), 0
	var allowed []time.Time
	for range 1000 {
		now = now.Add(rand.N(200 * time.Millisecond))
		retryAfter := s.TakeCall(now)
		if retryAfter == 0 {
			allowed = append(allowed, now)
			continue
		}
		refused++
		if at := now.Add(retryAfter); at.Sub(allowed[len(allowed)-limit.Requests]) != limit.Window {
			t.Fatalf("the next call is allowed at %v", at)
		}
	}
	for i := limit.Requests; i < len(allowed); i++ {
		if allowed[i].Sub(allowed[i-limit.Requests]) < limit.Window {
			t.Fatalf("%d calls in a window that begins at %v", limit.Requests+1, allowed[i-limit.Requests])
		}
	}
	if refused == 0 || s.RateLimited() != refused {
		t.Errorf("%d refused, %d counted", refused, s.RateLimited())
	}
}
