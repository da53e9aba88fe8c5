package crowd

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"encore.app/test/load"
)

const (
	// connections carry all requests, as those of a load balancer would:
	// 20,000 users at once on a socket each would need 40,000 file descriptors.
	connections = 16

	// requestTimeout ends what hangs.
	requestTimeout = 30 * time.Second
)

// client sends the requests of users over HTTP/2 without TLS.
type client []*http.Client

func newClient(t *testing.T) (c client) {
	for range connections {
		transport := &http.Transport{Protocols: new(http.Protocols)}
		transport.Protocols.SetUnencryptedHTTP2(true)
		t.Cleanup(transport.CloseIdleConnections)
		c = append(c, &http.Client{Transport: transport})
	}
	return c
}

// answer is how a request ended.
type answer int

const (
	served  answer = iota
	refused        // 429 or 5xx, or no answer in time: nothing is wrong with the user
	wrong          // anything else: a good user is turned away, or answered for another
)

// profile asks for a user's profile.
func (c client) profile(ctx context.Context, server string, i int, u user) answer {
	status, body, err := get(ctx, c[i%len(c)], server+"/user/profile", u.token)
	switch {
	case err != nil, status == http.StatusTooManyRequests, status >= 500:
		return refused
	case status == http.StatusOK && body == u.profile:
		return served
	}
	return wrong
}

// lists asks for a page of the members of the user's organization. No two pages
// are the same.
func (c client) lists(ctx context.Context, server string, i int, u user) {
	_, _, _ = get(ctx, c[i%len(c)], fmt.Sprintf("%s/organization/members?offset=%d", server, i+1), u.token)
}

func get(ctx context.Context, c *http.Client, url, token string) (int, string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := c.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, strings.TrimSpace(string(body)), err
}

// atOnce lets all users ask at the same moment. A user who is refused asks again a
// second later, for a minute.
func (c client) atOnce(ctx context.Context, server string, all []user) *tally {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	t := &tally{users: len(all)}
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i, u := range all {
		wg.Go(func() {
			<-start
			for {
				a := c.profile(ctx, server, i, u)
				if a == refused && ctx.Err() != nil {
					return // unanswered rather than refused
				}
				t.add(a, time.Since(t.began))
				if a != refused || !load.Pause(ctx, time.Second) {
					return
				}
			}
		})
	}
	t.began = time.Now()
	close(start)
	wg.Wait()
	return t
}

// arriving lets the users ask one after the other, each once, without waiting
// for the answer before. The server may be another for each request.
func (c client) arriving(ctx context.Context, server func(i int) string, all []user, perSecond float64) *tally {
	t := &tally{users: len(all), began: time.Now()}
	load.Open(ctx, len(all), perSecond, func(i int) {
		began := time.Now()
		t.add(c.profile(ctx, server(i), i, all[i]), time.Since(began))
	})
	return t
}
