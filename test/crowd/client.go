package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
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

func newClient() client {
	var c client
	for range connections {
		transport := &http.Transport{Protocols: new(http.Protocols)}
		transport.Protocols.SetUnencryptedHTTP2(true)
		c = append(c, &http.Client{Transport: transport})
	}
	return c
}

func (c client) close() {
	for _, one := range c {
		one.CloseIdleConnections()
	}
}

// connect opens the connections to a server, so that a crowd finds them open.
func (c client) connect(ctx context.Context, server string) error {
	for _, one := range c {
		if _, _, err := get(ctx, one, server+"/not-found", ""); err != nil {
			return err
		}
	}
	return nil
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

// lists asks for a page of the members of the user's organization, and reports
// whether it came. No two pages are the same.
func (c client) lists(ctx context.Context, server string, i int, u user) bool {
	status, _, err := get(ctx, c[i%len(c)], fmt.Sprintf("%s/organization/members?offset=%d", server, i+1), u.token)
	return err == nil && status == http.StatusOK
}

func get(ctx context.Context, c *http.Client, url, token string) (int, string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := c.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, strings.TrimSpace(string(body)), err
}

// tally counts the answers to users who ask for their profile.
type tally struct {
	users                  int          // who asked
	served, refused, wrong atomic.Int64 // answers
	began                  time.Time
	took                   atomic.Int64 // until the last one was served, in nanoseconds
}

func (t *tally) add(a answer) {
	switch a {
	case served:
		t.served.Add(1)
		t.took.Store(time.Since(t.began).Nanoseconds())
	case refused:
		t.refused.Add(1)
	case wrong:
		t.wrong.Add(1)
	}
}

// atOnce lets all users ask at the same moment. Who is refused asks again a
// second later, until it is served or patience ends.
func (c client) atOnce(ctx context.Context, server string, all []user, patience time.Duration) *tally {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	t := &tally{users: len(all), began: time.Now()}
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
				t.add(a)
				if a != refused || !pause(ctx, time.Second) {
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
	every(ctx, len(all), perSecond, func(i int) { t.add(c.profile(ctx, server(i), i, all[i])) })
	return t
}

// every calls do n times, so often a second, each time in a goroutine of its
// own, and returns when all calls have.
func every(ctx context.Context, n int, perSecond float64, do func(i int)) {
	var wg sync.WaitGroup
	began := time.Now()
	for i := range n {
		at := began.Add(time.Duration(float64(i) / perSecond * float64(time.Second)))
		if !pause(ctx, time.Until(at)) {
			break
		}
		wg.Go(func() { do(i) })
	}
	wg.Wait()
}

// pause reports whether the time has passed before ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
