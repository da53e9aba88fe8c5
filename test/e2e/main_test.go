// Package e2e checks the HTTP contract from outside, over HTTP only, against
// one of three servers:
//
//   - by default the standalone handler, started in this process;
//   - with BACKEND=encore a copy of the app under encore run, started here;
//   - with BACKEND=URL,URL a backend and a fake Clerk that already run, for
//     instance by go run ./cmd/dev.
package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"encore.app/fakeclerk"
)

// world is the backend under test and the fake Clerk that it asks.
type world struct {
	api   string // URL of the backend
	clerk string // URL of the fake Clerk
	// advance lets time pass for both. It is nil where their time is not ours.
	advance func(time.Duration)
	// now is their clock, nil where it is the real one.
	now func() time.Time
	// log returns what the backend has logged. It is nil where it was not started
	// here.
	log func() string
	// For how long the backend takes what Clerk said as it is, and for how much
	// longer while Clerk cannot be asked.
	keysMaxAge, userMaxAge, userStaleIfError time.Duration
	// undeclared reports whether there is an endpoint GET /undeclared that says
	// nothing of its callers.
	undeclared bool
}

var w world

func TestMain(m *testing.M) {
	stop, err := start()
	if err != nil {
		log.Fatal("e2e: ", err)
	}
	code := m.Run()
	stop()
	os.Exit(code)
}

func start() (stop func(), err error) {
	backend := os.Getenv("BACKEND")
	if api, clerk, ok := strings.Cut(backend, ","); ok {
		w = world{api: api, clerk: clerk, keysMaxAge: 5 * time.Minute, userMaxAge: time.Minute, userStaleIfError: 15 * time.Minute}
		return withoutWebhooks()
	}
	switch backend {
	case "", "standalone":
		return startStandalone()
	case "encore":
		return startEncore()
	default:
		return nil, fmt.Errorf("BACKEND=%s: it is standalone, encore, or the URLs of a backend and a fake Clerk with a comma between", backend)
	}
}

// withoutWebhooks keeps the fake Clerk from telling the backend of the users that
// the tests make: they are to be unknown to it. stop has it go on.
func withoutWebhooks() (stop func(), err error) {
	response, err := client.Get(w.clerk + "/fakeclerk/webhooks")
	if err != nil {
		return nil, fmt.Errorf("BACKEND: the fake Clerk: %w", err)
	}
	defer response.Body.Close()
	var before struct {
		URL string `json:"url"`
	}
	if err := json.NewDecoder(response.Body).Decode(&before); err != nil {
		return nil, fmt.Errorf("BACKEND: the second URL is no fake Clerk: %w", err)
	}
	send := func(url string) error {
		body := fmt.Sprintf(`{"url":%q}`, url)
		request, err := http.NewRequest(http.MethodPut, w.clerk+"/fakeclerk/webhooks", strings.NewReader(body))
		if err != nil {
			return err
		}
		request.Header.Set("Content-Type", "application/json")
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		return response.Body.Close()
	}
	return func() { _ = send(before.URL) }, send("")
}

// answer is what the backend said.
type answer struct {
	status int
	header http.Header
	body   []byte
	took   time.Duration
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, a.body) }

var client = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

// ask calls GET path with the Authorization header, or without it when empty.
func ask(t testing.TB, path, authorization string) answer {
	t.Helper()
	return send(t, http.MethodGet, path, authorization)
}

// send calls the backend, with the Authorization header where it is not empty.
func send(t testing.TB, method, path, authorization string) answer {
	t.Helper()
	request, err := http.NewRequest(method, w.api+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	return do(t, request)
}

// do sends a request to the backend.
func do(t testing.TB, request *http.Request) answer {
	t.Helper()
	begin := time.Now()
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, body, time.Since(begin)}
}

// profile asks for the profile with a fresh session token of the user.
func profile(t testing.TB, userID string) answer {
	t.Helper()
	return ask(t, "/user/profile", "Bearer "+token(t, url.Values{"user_id": {userID}}))
}

// token gives a session token that the fake Clerk signs as the query says.
func token(t testing.TB, query url.Values) string {
	t.Helper()
	status, body := clerk(t, http.MethodGet, "/token?"+query.Encode(), nil)
	if status != http.StatusOK {
		t.Fatalf("no token for %v: %d %s", query, status, body)
	}
	return strings.TrimSpace(string(body))
}

// clerk calls the fake Clerk.
func clerk(t testing.TB, method, path string, body any) (int, []byte) {
	t.Helper()
	var content bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&content).Encode(body); err != nil {
			t.Fatal(err)
		}
	}
	request, err := http.NewRequest(method, w.clerk+path, &content)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer sk_test_fakeclerk")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answered, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, answered
}

// control calls the fake Clerk and expects success.
func control(t testing.TB, method, path string, body any) {
	t.Helper()
	if status, answered := clerk(t, method, path, body); status/100 != 2 {
		t.Fatalf("%s %s: %d %s", method, path, status, answered)
	}
}

// calls counts what the fake Clerk was asked for since the last reset.
func calls(t testing.TB) (total int, routes map[string]int) {
	t.Helper()
	_, body := clerk(t, http.MethodGet, "/fakeclerk/requests", nil)
	var counts struct {
		Total  int
		Routes map[string]int
	}
	if err := json.Unmarshal(body, &counts); err != nil {
		t.Fatal(err)
	}
	return counts.Total, counts.Routes
}

var users atomic.Int64

// newUser adds a user of whom the backend knows nothing.
func newUser(t testing.TB) (id string) {
	t.Helper()
	id = fmt.Sprintf("user_e2e_%d_%d", time.Now().UnixNano(), users.Add(1))
	control(t, http.MethodPost, "/fakeclerk/users", fakeclerk.User{
		ID:             id,
		EmailAddresses: []fakeclerk.EmailAddress{{EmailAddress: id + "@example.com"}},
	})
	return id
}

// eventually waits until the condition holds, letting time pass.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(45 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		if w.advance != nil {
			w.advance(w.keysMaxAge / 30)
		}
		<-tick.C
	}
}
