package fakeclerk_test

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"encore.app/fakeclerk"
)

func TestFaults(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	status := func(status int, code, body string) func(*testing.T, answer, error) {
		return func(t *testing.T, got answer, err error) {
			if err != nil || got.status != status || got.errorCode() != code || !strings.Contains(got.body, body) {
				t.Errorf("%d %q %q, %v", got.status, got.errorCode(), got.body, err)
			}
		}
	}
	tests := []struct {
		name  string
		fault fakeclerk.Fault
		check func(*testing.T, answer, error)
	}{
		{"latency", fakeclerk.Fault{Kind: fakeclerk.FaultLatency, Latency: 20 * time.Millisecond}, status(200, "", "user_ada")},
		{"unauthorized", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 401}, status(401, "clerk_key_invalid", "")},
		{"not found", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 404}, status(404, "resource_not_found", "")},
		{"internal error", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 500}, status(500, "internal_clerk_error", "")},
		{"too many requests", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 429, RetryAfter: 7 * time.Second}, func(t *testing.T, got answer, err error) {
			status(429, "too_many_requests", "")(t, got, err)
			if got.header.Get("Retry-After") != "7" {
				t.Errorf("Retry-After %q", got.header.Get("Retry-After"))
			}
		}},
		{"bad gateway", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 502}, func(t *testing.T, got answer, err error) {
			status(502, "", "<h1>502 Bad Gateway</h1>")(t, got, err)
			if got.header.Get("Content-Type") != "text/html" {
				t.Errorf("content type %q", got.header.Get("Content-Type"))
			}
		}},
		{"own body", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 503, Body: "soon"}, status(503, "", "soon")},
		{"reset", fakeclerk.Fault{Kind: fakeclerk.FaultReset}, func(t *testing.T, _ answer, err error) {
			if !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%v, want a reset connection", err)
			}
		}},
		{"truncated", fakeclerk.Fault{Kind: fakeclerk.FaultTruncated}, func(t *testing.T, got answer, err error) {
			if got.status != 200 || got.body == "" || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%d %q, %v, want the beginning of a body", got.status, got.body, err)
			}
		}},
		{"cut JSON", fakeclerk.Fault{Kind: fakeclerk.FaultCutJSON}, func(t *testing.T, got answer, err error) {
			if err != nil || got.status != 200 || got.body == "" || json.Valid([]byte(got.body)) {
				t.Errorf("%d %q, %v", got.status, got.body, err)
			}
		}},
		{"wrong JSON", fakeclerk.Fault{Kind: fakeclerk.FaultWrongJSON}, status(200, "", `{"status":"ok"}`)},
		{"wrong JSON of one's own", fakeclerk.Fault{Kind: fakeclerk.FaultWrongJSON, Body: "[]"}, status(200, "", "[]")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s.SetFault("GET /v1/users/{id}", test.fault)
			// A new connection: net/http repeats a request whose kept one was reset.
			r := request(t, s, "GET /v1/users/user_ada", "")
			r.Close = true
			got, err := send(r)
			test.check(t, got, err)

			if other := call(t, s, "GET /v1/jwks", ""); other.status != 200 || other.json["keys"] == nil {
				t.Errorf("another route is broken too: %d %s", other.status, other.body)
			}
			s.ClearFaults()
			if after := call(t, s, "GET /v1/users/user_ada", ""); after.json["id"] != "user_ada" {
				t.Errorf("still broken: %d %s", after.status, after.body)
			}
		})
	}
}

func TestFaultScope(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	s.SetFault("", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 500})
	s.SetFault("GET /v1/jwks", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 429, Count: 2})
	want := func(route string, status int) {
		t.Helper()
		if got := call(t, s, route, ""); got.status != status {
			t.Errorf("%s: %d, want %d", route, got.status, status)
		}
	}
	want("GET /v1/users/user_ada", 500)
	want("GET /v1/nothing", 500)
	want("GET /token?email=ada@example.com", 200) // a convenience continues to work
	want("GET /v1/jwks", 429)
	want("GET /v1/jwks", 429)
	want("GET /v1/jwks", 500) // used up: that of every route
	if got := s.Requests("GET /v1/jwks"); got != 3 {
		t.Errorf("%d requests counted, want 3", got)
	}
	s.SetFault("", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 500, Count: 1})
	want("GET /v1/users/user_ada", 500)
	want("GET /v1/users/user_ada", 200)
}

func TestConnectionRefused(t *testing.T) {
	// again waits until the server takes connections again.
	again := func(t *testing.T, s *fakeclerk.Server) {
		t.Helper()
		deadline := time.Now().Add(10 * time.Second)
		for {
			if _, err := send(request(t, s, "GET /v1/jwks", "")); err == nil {
				return
			}
			if time.Now().After(deadline) {
				t.Fatal("not open again")
			}
		}
	}
	t.Run("set in Go", func(t *testing.T) {
		s := start(t, fakeclerk.Options{})
		for range 2 { // again, to see that it opens more than once
			kept, err := net.Dial("tcp", strings.TrimPrefix(s.URL(), "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer kept.Close()
			call(t, s, "GET /v1/jwks", "")
			s.SetFault("", fakeclerk.Fault{Kind: fakeclerk.FaultRefused, Duration: 100 * time.Millisecond})
			s.SetFault("", fakeclerk.Fault{Kind: fakeclerk.FaultRefused, Duration: time.Hour}) // while it lasts: nothing
			if _, err := send(request(t, s, "GET /v1/jwks", "")); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("%v, want connection refused", err)
			}
			if _, err := kept.Read(make([]byte, 1)); err == nil || errors.Is(err, net.ErrClosed) {
				t.Errorf("%v, want a connection that the server closed", err)
			}
			again(t, s)
		}
	})
	t.Run("for a while, set over HTTP", func(t *testing.T) {
		s := start(t, fakeclerk.Options{})
		if got := call(t, s, "PUT /fakeclerk/faults", `{"kind":"refused","duration":"100ms"}`); got.status != http.StatusNoContent {
			t.Fatalf("%d %s", got.status, got.body)
		}
		if _, err := send(request(t, s, "GET /v1/jwks", "")); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%v, want connection refused", err)
		}
		again(t, s)
	})
}

func TestInvalidFaultsPanic(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	for name, set := range map[string]func(){
		"unknown route":           func() { s.SetFault("GET /v1/user", fakeclerk.Fault{Kind: fakeclerk.FaultHang}) },
		"not of the Backend API":  func() { s.SetFault("GET /token", fakeclerk.Fault{Kind: fakeclerk.FaultHang}) },
		"no kind":                 func() { s.SetFault("", fakeclerk.Fault{}) },
		"status that is no error": func() { s.SetFault("", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 200}) },
		"latency without a time":  func() { s.SetFault("", fakeclerk.Fault{Kind: fakeclerk.FaultLatency}) },
		"refused for ever":        func() { s.SetFault("", fakeclerk.Fault{Kind: fakeclerk.FaultRefused}) },
		"one route refused": func() {
			s.SetFault("GET /v1/jwks", fakeclerk.Fault{Kind: fakeclerk.FaultRefused, Duration: time.Second})
		},
		"wrong JSON that is none":  func() { s.SetFault("", fakeclerk.Fault{Kind: fakeclerk.FaultWrongJSON, Body: "{"}) },
		"a negative request count": func() { s.SetFault("", fakeclerk.Fault{Kind: fakeclerk.FaultHang, Count: -1}) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			set()
		})
	}
}
