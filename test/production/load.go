package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"encore.app/fakeclerk"
)

const connections = 16

// crowd is a number of users, with a fresh token of each at hand.
type crowd struct {
	clerk *clerk
	users []string

	mu     sync.Mutex
	tokens map[string]signed
}

type signed struct {
	token string
	at    time.Time
}

func newCrowd(c *clerk, prefix string, size int) (*crowd, error) {
	crowd := &crowd{clerk: c, tokens: make(map[string]signed)}
	for i := range size {
		id := fmt.Sprintf("user_%s%d", prefix, i)
		user := fakeclerk.User{ID: id, EmailAddresses: []fakeclerk.EmailAddress{{EmailAddress: id + "@example.com"}}}
		if _, err := c.AddUser(user); err != nil {
			return nil, err
		}
		crowd.users = append(crowd.users, id)
	}
	return crowd, nil
}

// token returns a token of the user that lives for at least half a minute, as a
// frontend has.
func (c *crowd) token(user string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known := c.tokens[user]; time.Since(known.at) < 30*time.Second {
		return known.token, nil
	}
	token, err := c.clerk.SessionToken(user, fakeclerk.Claim("azp", party))
	c.tokens[user] = signed{token, time.Now()}
	return token, err
}

// profile asks an address for the user's profile and returns the status. The body
// of a 200 has to be the user's.
func (c *crowd) profile(client *http.Client, address, user string) (int, error) {
	status, body, err := c.get(client, address, "/user/profile", user)
	if want := fmt.Sprintf(`{"userId":%q,"email":"%s@example.com"}`, user, user); status == http.StatusOK && strings.TrimSpace(string(body)) != want {
		return 0, fmt.Errorf("the body is %.80q", body)
	}
	return status, err
}

// get asks an address for a path as the user.
func (c *crowd) get(client *http.Client, address, path, user string) (status int, body []byte, err error) {
	token, err := c.token(user)
	if err != nil {
		return 0, nil, err
	}
	request, err := http.NewRequest(http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	if body, err = io.ReadAll(response.Body); err != nil {
		return 0, nil, err
	}
	return response.StatusCode, body, nil
}

// post sends a signed event, which must not be sent twice by a balancer.
func (c *crowd) post(client *http.Client, address, id string) (int, error) {
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
	request.Header = c.clerk.SignWebhook(id, time.Now(), body)
	request.Header.Set("Content-Type", "application/json")
	request.GetBody = nil // so that net/http does not send it twice either
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode, response.Body.Close()
}

// load is a constant load: most connections read, two write.
type load struct {
	cancel  context.CancelFunc
	working sync.WaitGroup

	mu       sync.Mutex
	gets     map[string]int // by outcome
	posts    map[string]int
	slowest  time.Duration
	lastFail string
}

func (c *crowd) startLoad(ctx context.Context, address string, every time.Duration) *load {
	ctx, cancel := context.WithCancel(ctx)
	l := &load{cancel: cancel, gets: make(map[string]int), posts: make(map[string]int)}
	var next atomic.Int64
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
	for i := range connections {
		l.working.Go(func() {
			defer client.CloseIdleConnections()
			tick := time.NewTicker(every)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				began, n := time.Now(), next.Add(1)
				outcomes := l.gets
				var status int
				var err error
				if i < 2 {
					outcomes = l.posts
					status, err = c.post(client, address, fmt.Sprintf("msg_%d_%d", began.UnixNano(), n))
				} else {
					status, err = c.profile(client, address, c.users[int(n)%len(c.users)])
				}
				l.count(outcomes, status, err, time.Since(began))
			}
		})
	}
	return l
}

func (l *load) count(outcomes map[string]int, status int, err error, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	outcome := fmt.Sprint(status)
	if err != nil {
		outcome, l.lastFail = "failed", err.Error()
	}
	outcomes[outcome]++
	l.slowest = max(l.slowest, took)
}

func (l *load) stop() {
	l.cancel()
	l.working.Wait()
}

// others counts the outcomes that are not the wanted one.
func others(outcomes map[string]int, wanted string) (n int) {
	for outcome, count := range outcomes {
		if outcome != wanted {
			n += count
		}
	}
	return n
}

func (l *load) String() string {
	return fmt.Sprintf("GET %s; POST %s; the slowest took %d ms%s", tally(l.gets), tally(l.posts), l.slowest.Milliseconds(), l.why())
}

func (l *load) why() string {
	if l.lastFail == "" {
		return ""
	}
	return "; last failure: " + l.lastFail
}

func tally(outcomes map[string]int) string {
	var parts []string
	for _, outcome := range slices.Sorted(maps.Keys(outcomes)) {
		parts = append(parts, fmt.Sprintf("%d × %s", outcomes[outcome], outcome))
	}
	return strings.Join(parts, ", ")
}
