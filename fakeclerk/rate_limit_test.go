package fakeclerk_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"encore.app/fakeclerk"
)

func TestRateLimit(t *testing.T) {
	var passed atomic.Int64 // nanoseconds
	begin := time.Now()
	s := start(t, fakeclerk.Options{
		Now: func() time.Time { return begin.Add(time.Duration(passed.Load())) },
	})
	s.SetRateLimit(fakeclerk.RateLimit{Requests: 2, Window: 10 * time.Second})
	want := func(route string, status int, retryAfter string) {
		t.Helper()
		a := call(t, s, route, "")
		if a.status != status || a.header.Get("Retry-After") != retryAfter {
			t.Errorf("after %v: %d, Retry-After %q, want %d, %q", time.Duration(passed.Load()), a.status, a.header.Get("Retry-After"), status, retryAfter)
		}
		if status == http.StatusTooManyRequests && a.errorCode() != "too_many_requests" {
			t.Errorf("body %s", a.body)
		}
	}
	wrongKey := request(t, s, "GET /v1/users", "")
	wrongKey.Header.Set("Authorization", "Bearer sk_test_other")
	if a, err := send(wrongKey); err != nil || a.status != http.StatusUnauthorized {
		t.Errorf("wrong key: %d, %v", a.status, err)
	}

	want("GET /v1/users/user_ada", 200, "")
	passed.Store(int64(4500 * time.Millisecond))
	want("GET /v1/users", 200, "")
	want("GET /v1/users/user_ada", 429, "6") // 5.5 s, rounded up
	want("GET /v1/nothing", 429, "6")
	want("GET /v1/jwks", 200, "") // not limited
	want("GET /token?email=ada@example.com", 200, "")
	passed.Store(int64(10 * time.Second)) // the first call has left the window
	want("GET /v1/users/user_ada", 200, "")
	want("GET /v1/users/user_ada", 429, "5")

	if got := s.RateLimited(); got != 3 {
		t.Errorf("%d calls refused, want 3", got)
	}
	if got := call(t, s, "GET /fakeclerk/requests", "").json["rate_limited"]; got != 3.0 {
		t.Errorf("over HTTP: %v refused", got)
	}
	s.ResetRequests()
	if got := s.RateLimited(); got != 0 {
		t.Errorf("%d refused after a reset", got)
	}
	if a := call(t, s, "PUT /fakeclerk/rate_limit", `{"requests":1,"window":"1s"}`); a.status != http.StatusNoContent {
		t.Errorf("set over HTTP: %d %s", a.status, a.body)
	}
	want("GET /v1/users/user_ada", 200, "")
	want("GET /v1/users/user_ada", 429, "1")
	s.SetRateLimit(fakeclerk.RateLimit{})
	for range 3 {
		want("GET /v1/users/user_ada", 200, "")
	}
}

func TestLatencyDelaysTheBackendAPI(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	s.SetLatency(time.Hour) // only giving up ends a request
	for _, path := range []string{"GET /v1/jwks", "GET /v1/users/{id}"} {
		ctx, cancel := context.WithCancel(t.Context())
		answered := make(chan error, 1)
		go func() {
			_, err := send(request(t, s, path, "").WithContext(ctx))
			answered <- err
		}()
		for s.Requests(path) == 0 {
			runtime.Gosched()
		}
		if a := call(t, s, "GET /token?email=ada@example.com", ""); a.status != http.StatusOK {
			t.Errorf("a token: %d", a.status)
		}
		cancel()
		if err := <-answered; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want no answer", path, err)
		}
	}
	if a := call(t, s, "PUT /fakeclerk/latency", `{"latency":"0s"}`); a.status != http.StatusNoContent {
		t.Errorf("over HTTP: %d %s", a.status, a.body)
	}
	call(t, s, "GET /v1/jwks", "")
	s.SetLatency(time.Nanosecond)
	call(t, s, "GET /v1/jwks", "")
}

func TestUserFaults(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	list := "GET /v1/users?user_id=user_ada&user_id=user_grace"
	want := func(route string, status int, contains string) {
		t.Helper()
		if a := call(t, s, route, ""); a.status != status || !strings.Contains(a.body, contains) {
			t.Errorf("%s: %d %s, want %d and %s", route, a.status, a.body, status, contains)
		}
	}
	s.SetUserFault("user_grace", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 500})
	want("GET /v1/users/user_grace", 500, "internal_clerk_error")
	want(list, 500, "internal_clerk_error")
	want("GET /v1/users?order_by=created_at&limit=2", 500, "internal_clerk_error")
	want("GET /v1/users?order_by=created_at&limit=1", 200, "user_ada") // not on this page
	want("GET /v1/users/user_ada", 200, "user_ada")
	want("POST /v1/users/user_grace/ban", 200, `"banned":true`) // only reading is broken

	s.SetUserFault("user_grace", fakeclerk.Fault{Kind: fakeclerk.FaultWrongJSON, Body: `{"id":"user_grace","banned":"odd"}`})
	want("GET /v1/users/user_grace", 200, `{"id":"user_grace","banned":"odd"}`)
	a := call(t, s, list, "")
	var records []struct {
		ID     string `json:"id"`
		Banned any    `json:"banned"`
	}
	if err := json.Unmarshal([]byte(a.body), &records); err != nil || len(records) != 2 || records[0].Banned != "odd" || records[1].Banned != false {
		t.Errorf("one odd record: %s, %v", a.body, err)
	}

	if a := call(t, s, "PUT /fakeclerk/faults", `{"user_id":"user_ada","kind":"status","status":404,"count":1}`); a.status != http.StatusNoContent {
		t.Errorf("over HTTP: %d %s", a.status, a.body)
	}
	want("GET /v1/users/user_ada", 404, "resource_not_found")
	want("GET /v1/users/user_ada", 200, "user_ada")
	want(`PUT /fakeclerk/faults`, 422, "unknown kind")

	s.ClearFaults()
	want(list, 200, "grace@example.com")
}

func TestListUsersByID(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	ids := make([]string, 100)
	for i := range ids {
		ids[i] = fmt.Sprintf("user_id=user_%03d", i)
		if _, err := s.AddUser(fakeclerk.User{ID: fmt.Sprintf("user_%03d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	query := strings.Join(ids, "&")
	count := func(query string) int {
		t.Helper()
		var list []any
		a := call(t, s, "GET /v1/users?"+query, "")
		if err := json.Unmarshal([]byte(a.body), &list); err != nil {
			t.Fatalf("%s: %s", query, a.body)
		}
		return len(list)
	}
	for _, test := range []struct {
		name, query string
		want        int
	}{
		{"ten unless a limit says otherwise", query, 10},
		{"a hundred", query + "&limit=100", 100},
		{"the same id twice is one user", "user_id=user_ada&user_id=user_ada", 1},
		{"+ includes", "user_id=%2Buser_ada&user_id=+user_grace", 2},
		{"- excludes", "user_id=-user_ada&limit=500", 103},
		{"both", "user_id=user_ada&user_id=-user_ada", 0},
		{"no id is known", "user_id=user_none", 0},
	} {
		if got := count(test.query); got != test.want {
			t.Errorf("%s: %d users, want %d", test.name, got, test.want)
		}
	}
	if a := call(t, s, "GET /v1/users?"+query+"&user_id=user_ada", ""); a.status != http.StatusUnprocessableEntity {
		t.Errorf("101 ids: %d %s", a.status, a.body)
	}
}
