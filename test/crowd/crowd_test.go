// Package crowd plays to this backend what happens when many users come at once
// and Clerk is not at its best, and logs what users and Clerk saw:
//
//	TESTS=whole go test -v -count=1 ./test/crowd
//
// A test fails if a count is not as it must be. Times are logged and never decide.
package crowd

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"encore.app/fakeclerk"
	"encore.app/test/load"
)

// How much happens. Rates are a second.
const (
	oddOthers, oddRate, oddLasting = 160, 100, 8 * time.Second // other users, and the requests of the odd one

	few, many = 5000, 20_000 // users at once

	activeUsers, newRate, activeLasting = 15_000, 20, 2 * time.Minute // users who ask once a minute, and new ones, by the fast clock

	slowRate, slowLasting     = 200, 8 * time.Second // new users
	silentRate, silentLasting = 20, 12 * time.Second

	instances, fleetRate, listRate, fleetLasting = 10, 20, 500, 11 * time.Second // new users and member lists of all instances

	restartUsers, restartRate, restartLasting = 3000, 1000, 6 * time.Second

	callers, callerRate, forgerRate, forgersLasting = 50, 50, 300, 6 * time.Second // known users, how often they ask, and forged tokens
)

// count is how many come at a rate a second.
func count(perSecond int, lasting time.Duration) int {
	return int(float64(perSecond) * lasting.Seconds())
}

// scenario is one thing that happens to a crowd.
type scenario struct {
	name      string
	users     int // how many take part
	known     int // how many of them are cached
	fastClock bool
	idle      bool // it leaves processors idle
	play      func(*scene)
}

var scenarios = []scenario{
	{name: "one user's record fails", users: oddOthers + 1, idle: true, play: oddUser},
	{name: "5,000 at once", users: few, play: atOnce},
	{name: "20,000 at once", users: many, play: atOnce},
	{name: "15,000 a minute, 20 new a second", users: activeUsers + count(newRate, activeLasting), known: activeUsers, fastClock: true, play: active},
	{name: "Clerk slows down to 1.5 s", users: count(slowRate, slowLasting), idle: true, play: slow},
	{name: "the connection to Clerk dies silently", users: count(silentRate, silentLasting), idle: true, play: silent},
	{name: "ten instances and their member lists", users: count(fleetRate, fleetLasting), idle: true, play: fleet},
	{name: "a restart in the middle", users: restartUsers, known: restartUsers, play: restart},
	{name: "forged tokens of the worst shapes", users: callers, known: callers, play: forgers},
}

func TestCrowd(t *testing.T) {
	if os.Getenv("TESTS") != "whole" {
		t.Skip("TESTS=whole plays the crowds, which takes minutes and the whole machine")
	}
	users := 0
	for _, one := range scenarios {
		users = max(users, one.users)
	}
	trustLines()
	tokens := signTokens(t, users)
	for _, one := range scenarios {
		t.Run(one.name, func(t *testing.T) {
			if one.idle {
				t.Parallel()
			}
			s := open(t, one, tokens)
			late := watch()
			one.play(s)
			s.report(late())
		})
	}
}

// scene is a scenario and its fake Clerk.
type scene struct {
	*testing.T
	client client
	clerk  *fakeclerk.Server
	now    func() time.Time
	users  []user
	admin  user // of an organization

	outcome
	reasons reasons
	first   *instance // has cached scenario.known users; nil if there are none
}

// clockSpeed is the speed of the fast clock: 2 minutes take 24 seconds. Clerk's
// latency is real, which is stricter than in production.
const clockSpeed = 5

// open makes a scene ready to play.
func open(t *testing.T, one scenario, tokens *tokens) *scene {
	s := &scene{T: t, client: newClient(t), now: time.Now, users: tokens.users[:one.users], admin: tokens.admin}
	if began := time.Now(); one.fastClock {
		s.now = func() time.Time { return began.Add(clockSpeed * time.Since(began)) }
	}
	s.clerk = startClerk(t, tokens.key, fakeclerk.Options{Now: s.now}, one.users)
	if one.known > 0 {
		s.first = s.start(settings{})
		s.clerk.SetRateLimit(fakeclerk.RateLimit{})
		s.client.atOnce(t.Context(), s.first.url, s.users[:one.known])
		s.clerk.SetRateLimit(clerkLimit)
		s.clerk.ResetRequests()
		s.reasons.reset()
	}
	return s
}

// oddUser: Clerk answers 500 whenever one user's record is part of the answer.
// That user repeats the request, while others sign in for the first time.
func oddUser(s *scene) {
	odd, others := s.users[0], s.users[1:]
	s.clerk.SetUserFault(odd.id, fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: http.StatusInternalServerError})
	calls := &callsFor{userID: odd.id, next: http.DefaultTransport.(*http.Transport).Clone()}
	on := s.start(settings{transport: calls})
	var asked *tally
	var wg sync.WaitGroup
	wg.Go(func() {
		asked = s.client.arriving(s.Context(), on.always, repeat(s.users[:1], count(oddRate, oddLasting)), float64(oddRate))
	})
	load.Pause(s.Context(), oddLasting/8) // the odd user comes first
	s.add(s.client.arriving(s.Context(), on.always, others, float64(len(others))/(oddLasting.Seconds()*3/4)))
	wg.Wait()
	s.nobodyRefused()
	s.atMost("calls for the odd user", int(calls.n.Load()), 20)
	s.atMost("answers to the odd user that are no refusal", int(asked.served.Load()+asked.wrong.Load()), 0)
	s.Logf("%d calls for the odd user", calls.n.Load())
}

// atOnce: users send their first request at the same moment, as after a deploy. A
// call to Clerk can load 100 of them.
func atOnce(s *scene) {
	s.add(s.client.atOnce(s.Context(), s.start(settings{}).url, s.users))
	s.nobodyRefused()
	s.atMost("calls", s.clerk.TotalRequests(), max(150, len(s.users)*3/200)) // 300 for 20,000
}

// active: each cached user sends a request once a minute, so every cached record
// is stale when it is used. New users sign in all the time.
func active(s *scene) {
	known, newcomers := s.users[:activeUsers], s.users[activeUsers:]
	asking := repeat(known, int(activeLasting.Minutes()*float64(len(known))))
	var old *tally
	var wg sync.WaitGroup
	wg.Go(func() {
		old = s.client.arriving(s.Context(), s.first.always, asking, clockSpeed*float64(len(known))/60)
	})
	fresh := s.client.arriving(s.Context(), s.first.always, newcomers, clockSpeed*float64(newRate))
	wg.Wait()
	s.add(old, fresh)
	s.nobodyRefused()
	s.Logf("%d of %d new users refused", fresh.refused.Load(), fresh.users)
}

// slow: under a steady stream of new users Clerk's answers begin to take 1.5 s.
func slow(s *scene) {
	on := s.start(settings{})
	s.add(s.client.arriving(s.Context(), func(i int) string {
		if i == len(s.users)/4 {
			s.clerk.SetLatency(1500 * time.Millisecond)
		}
		return on.url
	}, s.users, float64(slowRate)))
	s.nobodyRefused()
}

// silent: what is sent on the open connections to Clerk is lost from one moment
// on, without an error; a new connection would work.
func silent(s *scene) {
	line := newLine(s.T, s.clerk.URL())
	on := s.start(settings{apiURL: line.url})
	s.add(s.client.arriving(s.Context(), func(i int) string {
		if i == len(s.users)/6 {
			line.silence()
		}
		return on.url
	}, s.users, float64(silentRate)))
	// Users arrive evenly, so how many are refused measures how long it lasts.
	s.atMost("refused requests", s.refused, 6*silentRate)
	s.Logf("refused for %.1f s", float64(s.refused)/float64(silentRate))
}

// fleet: several instances share one Clerk, each with its part of the limit. An
// administrator lists members all the time, and never the same page.
func fleet(s *scene) {
	var all []*instance
	for range instances {
		all = append(all, s.start(settings{share: 1.0 / instances}))
	}
	server := func(i int) string { return all[i%len(all)].url }
	var wg sync.WaitGroup
	wg.Go(func() {
		load.Open(s.Context(), count(listRate, fleetLasting), float64(listRate), func(i int) { s.client.lists(s.Context(), server(i), i, s.admin) })
	})
	s.add(s.client.arriving(s.Context(), server, s.users, float64(fleetRate)))
	wg.Wait()
	s.nobodyRefused()
}

// restart: cached users send requests while their instance is replaced by another
// with an empty cache.
func restart(s *scene) {
	second := s.start(settings{})
	asking := repeat(s.users, count(restartRate, restartLasting))
	var wg sync.WaitGroup
	drained := len(asking)/2 + restartRate/2 // half a second later
	s.add(s.client.arriving(s.Context(), func(i int) string {
		if i < len(asking)/2 {
			return s.first.url
		}
		if i == drained {
			wg.Go(s.first.stop)
		}
		return second.url
	}, asking, float64(restartRate)))
	wg.Wait()
	s.nobodyRefused()
}

// repeat lets the users come one after the other, n times in all.
func repeat(all []user, n int) []user {
	asking := make([]user, n)
	for i := range asking {
		asking[i] = all[i%len(all)]
	}
	return asking
}

// watch measures until stop is called how late a timer fires at worst.
func watch() (stop func() time.Duration) {
	const interval = 20 * time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	late := make(chan time.Duration)
	go func() {
		var worst time.Duration
		for due := time.Now().Add(interval); load.Pause(ctx, interval); due = time.Now().Add(interval) {
			worst = max(worst, time.Since(due))
		}
		late <- worst
	}()
	return func() time.Duration {
		cancel()
		return <-late
	}
}

// trustLines lets HTTP clients that follow the default transport trust a line.
// It comes before any of them is made.
func trustLines() {
	server := httptest.NewTLSServer(nil) // httptest has one certificate for all
	defer server.Close()
	transport := http.DefaultTransport.(*http.Transport)
	transport.TLSClientConfig = transport.Clone().TLSClientConfig // which allows HTTP/2
	transport.TLSClientConfig.RootCAs = server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
}
