// Package crowd plays to this backend what happens when many users come at once
// and Clerk is not at its best, and logs what users and Clerk saw:
//
//	TESTS=whole go test -v -count=1 ./test/crowd
//
// Without TESTS=whole the crowds are small. A test fails if a count is not as it
// must be. Times are logged and never decide.
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

var whole = os.Getenv("TESTS") == "whole"

// size is how much happens. Rates are a second.
type size struct {
	oddOthers, oddRate int // other users, and the requests of the odd one
	oddLasting         time.Duration

	few, many int // users at once

	active, newRate int           // users who ask once a minute, and new ones
	activeLasting   time.Duration // by the fast clock

	slowRate    int // new users
	slowLasting time.Duration

	silentRate    int // new users
	silentLasting time.Duration

	instances, fleetRate, listRate int // new users and member lists of all instances
	fleetLasting                   time.Duration

	restartUsers, restartRate int
	restartLasting            time.Duration

	callers, callerRate, forgerRate int // known users, how often they ask, and forged tokens
	forgersLasting                  time.Duration
}

// small is over in seconds. Many are enough that a call for each user would be
// over Clerk's limit. It leaves out the silent connection, which takes longer.
var small = size{
	oddOthers: 20, oddRate: 100, oddLasting: time.Second,
	few: 300, many: 1200,
	active: 1000, newRate: 20, activeLasting: 6 * time.Second,
	slowRate: 200, slowLasting: time.Second,
	instances: 10, fleetRate: 20, listRate: 500, fleetLasting: time.Second,
	restartUsers: 500, restartRate: 500, restartLasting: 1500 * time.Millisecond,
	callers: 20, callerRate: 50, forgerRate: 300, forgersLasting: time.Second,
}

var full = size{
	oddOthers: 160, oddRate: 100, oddLasting: 8 * time.Second,
	few: 5000, many: 20_000,
	active: 15_000, newRate: 20, activeLasting: 2 * time.Minute,
	slowRate: 200, slowLasting: 8 * time.Second,
	silentRate: 20, silentLasting: 12 * time.Second,
	instances: 10, fleetRate: 20, listRate: 500, fleetLasting: 11 * time.Second,
	restartUsers: 3000, restartRate: 1000, restartLasting: 6 * time.Second,
	callers: 50, callerRate: 50, forgerRate: 300, forgersLasting: 6 * time.Second,
}

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

func (s size) scenarios() []scenario {
	return []scenario{
		{name: "one user's record fails", users: s.oddOthers + 1, idle: true, play: oddUser},
		{name: "5,000 at once", users: s.few, play: atOnce},
		{name: "20,000 at once", users: s.many, play: atOnce},
		{name: "15,000 a minute, 20 new a second", users: s.active + count(s.newRate, s.activeLasting), known: s.active, fastClock: true, play: active},
		{name: "Clerk slows down to 1.5 s", users: count(s.slowRate, s.slowLasting), idle: true, play: slow},
		{name: "the connection to Clerk dies silently", users: count(s.silentRate, s.silentLasting), idle: true, play: silent},
		{name: "ten instances and their member lists", users: count(s.fleetRate, s.fleetLasting), idle: true, play: fleet},
		{name: "a restart in the middle", users: s.restartUsers, known: s.restartUsers, play: restart},
		{name: "forged tokens of the worst shapes", users: s.callers, known: s.callers, play: forgers},
	}
}

func TestCrowd(t *testing.T) {
	size := small
	if whole {
		size = full
	}
	users := 0
	for _, one := range size.scenarios() {
		users = max(users, one.users)
	}
	trustLines()
	tokens := signTokens(t, users)
	for _, one := range size.scenarios() {
		if one.users == 0 {
			continue
		}
		t.Run(one.name, func(t *testing.T) {
			if one.idle || !whole {
				t.Parallel() // in the small size even those that keep processors busy in the full size
			}
			s := open(t, size, one, tokens)
			late := watch()
			one.play(s)
			s.report(late())
		})
	}
}

// scene is a scenario and its fake Clerk.
type scene struct {
	*testing.T
	size
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
func open(t *testing.T, size size, one scenario, tokens *tokens) *scene {
	s := &scene{T: t, size: size, client: newClient(t), now: time.Now, users: tokens.users[:one.users], admin: tokens.admin}
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
		asked = s.client.arriving(s.Context(), on.always, repeat(s.users[:1], count(s.oddRate, s.oddLasting)), float64(s.oddRate))
	})
	load.Pause(s.Context(), s.oddLasting/8) // the odd user comes first
	s.add(s.client.arriving(s.Context(), on.always, others, float64(len(others))/(s.oddLasting.Seconds()*3/4)))
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
	known, newcomers := s.users[:s.active], s.users[s.active:]
	asking := repeat(known, int(s.activeLasting.Minutes()*float64(len(known))))
	var old *tally
	var wg sync.WaitGroup
	wg.Go(func() {
		old = s.client.arriving(s.Context(), s.first.always, asking, clockSpeed*float64(len(known))/60)
	})
	fresh := s.client.arriving(s.Context(), s.first.always, newcomers, clockSpeed*float64(s.newRate))
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
	}, s.users, float64(s.slowRate)))
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
	}, s.users, float64(s.silentRate)))
	// Users arrive evenly, so how many are refused measures how long it lasts.
	s.atMost("refused requests", s.refused, 6*s.silentRate)
	s.Logf("refused for %.1f s", float64(s.refused)/float64(s.silentRate))
}

// fleet: several instances share one Clerk, each with its part of the limit. An
// administrator lists members all the time, and never the same page.
func fleet(s *scene) {
	var instances []*instance
	for range s.instances {
		instances = append(instances, s.start(settings{share: 1 / float64(s.instances)}))
	}
	server := func(i int) string { return instances[i%len(instances)].url }
	var wg sync.WaitGroup
	wg.Go(func() {
		load.Open(s.Context(), count(s.listRate, s.fleetLasting), float64(s.listRate), func(i int) { s.client.lists(s.Context(), server(i), i, s.admin) })
	})
	s.add(s.client.arriving(s.Context(), server, s.users, float64(s.fleetRate)))
	wg.Wait()
	s.nobodyRefused()
}

// restart: cached users send requests while their instance is replaced by another
// with an empty cache.
func restart(s *scene) {
	second := s.start(settings{})
	asking := repeat(s.users, count(s.restartRate, s.restartLasting))
	var wg sync.WaitGroup
	drained := len(asking)/2 + s.restartRate/2 // half a second later
	s.add(s.client.arriving(s.Context(), func(i int) string {
		if i < len(asking)/2 {
			return s.first.url
		}
		if i == drained {
			wg.Go(s.first.stop)
		}
		return second.url
	}, asking, float64(s.restartRate)))
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
