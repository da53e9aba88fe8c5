package fakeclerk_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"encore.app/fakeclerk"
)

func TestStartListensOnLoopbackOnly(t *testing.T) {
	for _, addr := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:4000", "nonsense"} {
		t.Run("refuses "+addr, func(t *testing.T) {
			s, err := fakeclerk.Start(fakeclerk.Options{Addr: addr, SigningKey: testKey()})
			if err == nil {
				s.Close()
				t.Fatal("started")
			}
		})
	}
	for _, addr := range []string{"", "127.0.0.1:0", "localhost:0"} {
		t.Run("accepts "+addr, func(t *testing.T) {
			s := start(t, fakeclerk.Options{Addr: addr})
			if got := call(t, s, "GET /v1/jwks", ""); got.status != http.StatusOK {
				t.Errorf("status %d", got.status)
			}
		})
	}
}

func TestStartReportsATakenPort(t *testing.T) {
	first := start(t, fakeclerk.Options{})
	addr := strings.TrimPrefix(first.URL(), "http://")
	if s, err := fakeclerk.Start(fakeclerk.Options{Addr: addr, SigningKey: testKey()}); err == nil {
		s.Close()
		t.Fatal("two servers on one port")
	}
}

func TestCloseLeavesNoGoroutine(t *testing.T) {
	key := testKey()
	http.DefaultClient.CloseIdleConnections()
	before := runtime.NumGoroutine()

	s, err := fakeclerk.Start(fakeclerk.Options{SigningKey: key})
	if err != nil {
		t.Fatal(err)
	}
	call(t, s, "GET /v1/jwks", "") // leaves a keep-alive connection
	s.SetFault("GET /v1/jwks", fakeclerk.Fault{Kind: fakeclerk.FaultHang})
	s.SetFault("POST /v1/sessions", fakeclerk.Fault{Kind: fakeclerk.FaultLatency, Latency: time.Hour})
	hung := make(chan error, 2)
	for _, r := range []*http.Request{request(t, s, "GET /v1/jwks", ""), request(t, s, "POST /v1/sessions", `{"user_id":"user_ada"}`)} {
		go func() {
			_, err := send(r)
			hung <- err
		}()
	}
	for s.Requests("GET /v1/jwks") < 2 || s.Requests("POST /v1/sessions") < 1 {
		runtime.Gosched()
	}
	s.SetFault("", fakeclerk.Fault{Kind: fakeclerk.FaultRefused, Duration: time.Hour})

	for range 2 {
		if err := s.Close(); err != nil { // the second time too
			t.Fatal(err)
		}
	}
	for range cap(hung) {
		if err := <-hung; err == nil {
			t.Error("a hung request was answered")
		}
	}
	http.DefaultClient.CloseIdleConnections()
	deadline := time.Now().Add(5 * time.Second) // the client's own goroutines end in their own time
	for runtime.NumGoroutine() > before {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<16)
			t.Fatalf("goroutines left:\n%s", stacks[:runtime.Stack(stacks, true)])
		}
		runtime.Gosched()
	}
}

func TestBackendAPIAsksForTheSecretKey(t *testing.T) {
	s := start(t, fakeclerk.Options{SecretKey: "sk_test_right"})
	tests := []struct {
		name, authorization, path string
		status                    int
		code                      string
	}{
		{"right key", "Bearer sk_test_right", "/v1/jwks", 200, ""},
		{"no key", "", "/v1/jwks", 401, "authorization_header_format_invalid"},
		{"another scheme", "Basic sk_test_right", "/v1/jwks", 401, "authorization_header_format_invalid"},
		{"wrong key", "Bearer sk_test_wrong", "/v1/users/user_ada", 401, "clerk_key_invalid"},
		{"wrong key on an unknown route", "Bearer sk_test_wrong", "/v1/nothing", 401, "clerk_key_invalid"},
		{"unknown route", "Bearer sk_test_right", "/v1/nothing", 404, "resource_not_found"},
		{"unknown route outside the API", "", "/nothing", 404, "resource_not_found"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := request(t, s, "GET "+test.path, "")
			r.Header.Set("Authorization", test.authorization)
			got, err := send(r)
			if err != nil {
				t.Fatal(err)
			}
			if got.status != test.status || got.errorCode() != test.code {
				t.Errorf("got %d %q, want %d %q", got.status, got.errorCode(), test.status, test.code)
			}
			if got.header.Get("Content-Type") != "application/json" {
				t.Errorf("content type %q", got.header.Get("Content-Type"))
			}
			if test.code != "" && got.json["clerk_trace_id"] == "" {
				t.Error("no clerk_trace_id")
			}
		})
	}
}

func TestRequestsAreCounted(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	for _, route := range []string{"GET /v1/users/user_ada", "GET /v1/users/user_none", "GET /v1/users/count", "GET /token?email=ada@example.com", "GET /v1/x"} {
		call(t, s, route, "")
	}
	for route, want := range map[string]int{"GET /v1/users/{id}": 2, "GET /v1/users/count": 1, "GET /v1/jwks": 0, "GET /token": 1, "/v1/": 1} {
		if got := s.Requests(route); got != want {
			t.Errorf("%s: %d requests, want %d", route, got, want)
		}
	}
	if got := s.TotalRequests(); got != 4 { // all but GET /token
		t.Errorf("%d requests of the Backend API, want 4", got)
	}
	s.ResetRequests()
	if got := s.TotalRequests() + s.Requests("GET /token"); got != 0 {
		t.Errorf("%d requests after the reset", got)
	}
	defer func() {
		if recover() == nil {
			t.Error("no panic for a misspelt route")
		}
	}()
	s.Requests("GET /v1/user/{id}")
}

func TestLogHasOneLineARequestWithoutSecrets(t *testing.T) {
	var log bytes.Buffer
	s, err := fakeclerk.Start(fakeclerk.Options{SigningKey: testKey(), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	token := call(t, s, "GET /token?email=ada@example.com", "").body
	call(t, s, "GET /v1/users/grace@example.com", "")
	call(t, s, "GET /v1/"+token, "")
	s.SetFault("GET /v1/jwks", fakeclerk.Fault{Kind: fakeclerk.FaultReset})
	if _, err := send(request(t, s, "GET /v1/jwks", "")); err == nil {
		t.Error("the connection was not reset")
	}
	s.Close()

	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) < 4 { // net/http may repeat a GET whose connection was reset
		t.Fatalf("%d lines, want one a request:\n%s", len(lines), &log)
	}
	for i, want := range []string{
		"method=GET path=/token status=200 duration=",
		"method=GET path=/v1/users/{id} status=404 duration=",
		"method=GET path=/v1/ status=404 duration=",
		"method=GET path=/v1/jwks status=0 duration=",
	} {
		if !strings.Contains(lines[i], want) {
			t.Errorf("line %q lacks %q", lines[i], want)
		}
	}
	for _, secret := range []string{token, "example.com", s.SecretKey()} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}

func TestSlowClientCanGiveUp(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	s.SetFault("", fakeclerk.Fault{Kind: fakeclerk.FaultHang})
	for _, route := range []string{"GET /v1/jwks", "POST /v1/sessions"} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err := send(request(t, s, route, "").WithContext(ctx))
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v, want the client's own deadline", route, err)
		}
	}
}
