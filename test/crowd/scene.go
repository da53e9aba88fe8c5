package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"encore.app/fakeclerk"
)

// scenario is one thing that happens to a crowd.
type scenario struct {
	name  string
	users func(size) int // how many take part
	known func(size) int // how many of them the backend has seen before; nil: none
	play  func(context.Context, *scene) (outcome, error)

	together  bool // the backends play at once, because they leave processors idle
	fastClock bool // backend and Clerk go by a clock that runs at clockSpeed
}

// stage is what every scenario is played with.
type stage struct {
	client client
	tokens *tokens
	size   size
}

// scene is a scenario for one backend, with a fake Clerk of its own.
type scene struct {
	client  client
	size    size
	backend backend
	clerk   *fakeclerk.Server
	now     func() time.Time
	users   []user
	admin   user // of an organization

	reasons reasons
	first   *instance // knows scenario.known users; nil if there are none
	running []*instance
}

// run plays the scenario to the backends, each with a fake Clerk of its own.
func (s scenario) run(ctx context.Context, st stage, backends []backend) ([]outcome, error) {
	outcomes, errs := make([]outcome, len(backends)), make([]error, len(backends))
	var wg sync.WaitGroup
	for i, b := range backends {
		wg.Go(func() {
			sc, err := s.open(ctx, st, b)
			if err != nil {
				errs[i] = err
				return
			}
			defer sc.close()
			stop := watch()
			outcomes[i], errs[i] = s.play(ctx, sc)
			outcomes[i].late, outcomes[i].reasons = stop(), sc.reasons.all()
		})
		if !s.together {
			wg.Wait()
		}
	}
	wg.Wait()
	return outcomes, errors.Join(append(errs, ctx.Err())...)
}

// watch measures until stop is called how late a timer fires at worst.
func watch() (stop func() time.Duration) {
	const interval = 20 * time.Millisecond
	done, late := make(chan struct{}), make(chan time.Duration)
	go func() {
		var worst time.Duration
		for {
			due := time.Now().Add(interval)
			select {
			case <-time.After(interval):
				worst = max(worst, time.Since(due))
			case <-done:
				late <- worst
				return
			}
		}
	}()
	return func() time.Duration {
		close(done)
		return <-late
	}
}

// open makes a scene ready to play.
func (s scenario) open(ctx context.Context, st stage, b backend) (*scene, error) {
	sc := &scene{client: st.client, size: st.size, backend: b, now: time.Now, admin: st.tokens.admin}
	if s.fastClock {
		sc.now = newClock()
	}
	sc.users = st.tokens.users[:s.users(st.size)]
	var err error
	if sc.clerk, err = startClerk(st.tokens.key, fakeclerk.Options{Now: sc.now}, len(sc.users)); err != nil {
		return nil, err
	}
	if s.known == nil {
		return sc, nil
	}
	if sc.first, err = sc.start(ctx, settings{}); err != nil {
		sc.close()
		return nil, err
	}
	if b.remembers {
		sc.clerk.SetRateLimit(fakeclerk.RateLimit{})
		sc.client.atOnce(ctx, sc.first.url, sc.users[:s.known(st.size)], time.Minute)
		sc.clerk.SetRateLimit(clerkLimit)
		sc.clerk.ResetRequests()
		sc.reasons.reset()
	}
	return sc, nil
}

// start starts another instance of the backend.
func (sc *scene) start(ctx context.Context, s settings) (*instance, error) {
	s.secretKey, s.now, s.observer = secretKey, sc.now, &sc.reasons
	if s.apiURL == "" {
		s.apiURL = sc.clerk.URL()
	}
	i, err := startInstance(ctx, sc.backend, s, sc.client)
	if err == nil {
		sc.running = append(sc.running, i)
	}
	return i, err
}

func (sc *scene) close() {
	for _, i := range sc.running {
		_ = i.server.Close() // every request is answered
	}
	_ = sc.clerk.Close()
}

// clockSpeed is how much faster the fast clock runs, so that 2 minutes take 24
// seconds. What Clerk needs for an answer and what the network does stay as
// they are, and so weigh more than they would.
const clockSpeed = 5

func newClock() func() time.Time {
	began := time.Now()
	return func() time.Time { return began.Add(clockSpeed * time.Since(began)) }
}

// callsFor counts the calls to Clerk that name a user, in their path or query.
type callsFor struct {
	userID string
	next   http.RoundTripper
	n      atomic.Int64
}

// RoundTrip implements [http.RoundTripper].
func (c *callsFor) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.Contains(r.URL.Path, c.userID) || strings.Contains(r.URL.RawQuery, c.userID) {
		c.n.Add(1)
	}
	return c.next.RoundTrip(r)
}
