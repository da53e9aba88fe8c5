//go:build linux && !encore_local

package production

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"encore.app/fakeclerk"
	"encore.app/test/load"
)

// users are a number of users, with a fresh token of each at hand.
type users struct {
	clerk  *clerk
	ids    []string
	client *http.Client

	mu     sync.Mutex
	tokens map[string]signed
}

type signed struct {
	token string
	at    time.Time
}

func (e *environment) newUsers(t testing.TB, prefix string, size int) *users {
	t.Helper()
	u := &users{clerk: e.clerk, tokens: make(map[string]signed),
		client: &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 16}}}
	t.Cleanup(u.client.CloseIdleConnections)
	for i := range size {
		id := fmt.Sprintf("user_%s%d", prefix, i)
		must[fakeclerk.User](t)(e.clerk.AddUser(fakeclerk.User{ID: id, EmailAddresses: []fakeclerk.EmailAddress{{EmailAddress: id + "@example.com"}}}))
		u.ids = append(u.ids, id)
	}
	return u
}

// token returns a token of the user that lives for at least half a minute, as a
// frontend has.
func (u *users) token(user string) (string, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if known := u.tokens[user]; time.Since(known.at) < 30*time.Second {
		return known.token, nil
	}
	token, err := u.clerk.SessionToken(user, fakeclerk.Claim("azp", party))
	u.tokens[user] = signed{token, time.Now()}
	return token, err
}

// profile asks an address for the user's profile and returns the status. The body
// of a 200 has to be the user's.
func (u *users) profile(address, user string) (int, error) {
	status, body, err := u.get(address, "/user/profile", user)
	if want := fmt.Sprintf(`{"userId":%q,"email":"%s@example.com"}`, user, user); status == http.StatusOK && strings.TrimSpace(body) != want {
		return 0, fmt.Errorf("the body is %.80q", body)
	}
	return status, err
}

// get asks an address for a path as the user.
func (u *users) get(address, path, user string) (status int, body string, err error) {
	token, err := u.token(user)
	if err != nil {
		return 0, "", err
	}
	request, err := http.NewRequest(http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return 0, "", err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	return u.do(request)
}

// post sends a signed event, which must not be sent twice by a balancer.
func (u *users) post(address, id string) (int, error) {
	body, err := json.Marshal(map[string]any{
		"object": "event", "type": "session.ended", "timestamp": time.Now().UnixMilli(),
		"data": map[string]any{"id": "sess_" + id, "user_id": "user_nobody", "status": "ended", "updated_at": time.Now().UnixMilli()},
	})
	if err != nil {
		return 0, err
	}
	request, err := http.NewRequest(http.MethodPost, "http://"+address+"/webhooks/clerk", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header = u.clerk.SignWebhook(id, time.Now(), body)
	request.Header.Set("Content-Type", "application/json")
	request.GetBody = nil // so that net/http does not send it twice either
	status, _, err := u.do(request)
	return status, err
}

func (u *users) do(request *http.Request) (int, string, error) {
	response, err := u.client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

// traffic is a constant load: 350 reads and 50 events a second.
type traffic struct {
	cancel  context.CancelFunc
	working sync.WaitGroup

	mu          sync.Mutex
	gets, posts map[string]int // by outcome
	slowest     time.Duration
}

// startTraffic loads an address until stop is called or the test ends.
func (u *users) startTraffic(t testing.TB, address string) *traffic {
	ctx, cancel := context.WithCancel(t.Context())
	l := &traffic{cancel: cancel, gets: make(map[string]int), posts: make(map[string]int)}
	l.working.Go(func() {
		load.Open(ctx, math.MaxInt, 400, func(i int) {
			began, outcomes := time.Now(), l.gets
			var status int
			var err error
			if i%8 == 0 {
				outcomes = l.posts
				status, err = u.post(address, fmt.Sprintf("msg_%d_%d", began.UnixNano(), i))
			} else {
				status, err = u.profile(address, u.ids[i%len(u.ids)])
			}
			outcome := fmt.Sprint(status)
			if err != nil {
				outcome = err.Error()
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			outcomes[outcome]++
			l.slowest = max(l.slowest, time.Since(began))
		})
	})
	t.Cleanup(l.stop)
	return l
}

func (l *traffic) stop() {
	l.cancel()
	l.working.Wait()
}

// unwanted counts the outcomes that are not the wanted one.
func unwanted(outcomes map[string]int, wanted string) (n int) {
	for outcome, count := range outcomes {
		if outcome != wanted {
			n += count
		}
	}
	return n
}

func (l *traffic) String() string {
	return fmt.Sprintf("GET %s; POST %s; the slowest took %d ms", tally(l.gets), tally(l.posts), l.slowest.Milliseconds())
}

func tally(outcomes map[string]int) string {
	var parts []string
	for _, outcome := range slices.Sorted(maps.Keys(outcomes)) {
		parts = append(parts, fmt.Sprintf("%d × %s", outcomes[outcome], outcome))
	}
	return strings.Join(parts, ", ")
}
