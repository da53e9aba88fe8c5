package main

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"encore.app/internal/fakeclerk"
)

// size is how much happens. Rates are a second.
type size struct {
	patience time.Duration // how long a crowd goes on asking

	oddOthers, oddRate int // users beside the odd one, and how often it asks
	oddLasting         time.Duration

	few, many int // users at once

	active, newRate int           // users who ask once a minute, and new ones
	activeLasting   time.Duration // on a clock that runs at activeSpeed
	activeSpeed     float64

	slowRate    int // new users
	slowLasting time.Duration

	silentRate    int // new users
	silentLasting time.Duration

	instances, fleetRate, listRate int // new users and member lists of the whole fleet
	fleetLasting                   time.Duration

	restartUsers, restartRate int
	restartLasting            time.Duration
}

var full = size{
	patience:  10 * time.Second,
	oddOthers: 160, oddRate: 100, oddLasting: 8 * time.Second,
	few: 5000, many: 20_000,
	active: 15_000, newRate: 20, activeLasting: 2 * time.Minute, activeSpeed: 4,
	slowRate: 200, slowLasting: 8 * time.Second,
	silentRate: 20, silentLasting: 12 * time.Second,
	instances: 10, fleetRate: 20, listRate: 500, fleetLasting: 12 * time.Second,
	restartUsers: 3000, restartRate: 1000, restartLasting: 9 * time.Second,
}

var scenarios = []scenario{
	{
		name:  "one user's record fails",
		users: func(s size) int { return s.oddOthers + 1 }, play: oddUser,
	},
	{
		name:  "5,000 at once",
		users: func(s size) int { return s.few }, play: crowd, alone: true,
	},
	{
		name:  "20,000 at once",
		users: func(s size) int { return s.many }, play: crowd, alone: true,
	},
	{
		name:  "15,000 a minute, 20 new a second",
		users: func(s size) int { return s.active + s.newcomers() }, play: active,
	},
	{
		name:  "Clerk slows down to 1.5 s",
		users: func(s size) int { return int(float64(s.slowRate) * s.slowLasting.Seconds()) }, play: slow,
	},
	{
		name:  "the connection to Clerk dies silently",
		users: func(s size) int { return int(float64(s.silentRate) * s.silentLasting.Seconds()) }, play: silent,
	},
	{
		name:  "ten instances and their member lists",
		users: func(s size) int { return int(float64(s.fleetRate) * s.fleetLasting.Seconds()) }, play: fleet,
	},
	{
		name:  "a restart in the middle",
		users: func(s size) int { return s.restartUsers }, play: restart,
	},
}

func (s size) newcomers() int { return int(float64(s.newRate) * s.activeLasting.Seconds()) }

// oddUser: Clerk answers 500 whenever one user's record is part of the answer.
// That user keeps asking, while others sign in for the first time.
func oddUser(ctx context.Context, st *stage, b backend, all []user) (outcome, error) {
	const odd = 0
	clerk, err := st.clerk(fakeclerk.Options{}, len(all))
	if err != nil {
		return outcome{}, err
	}
	defer clerk.Close()
	clerk.SetUserFault(userID(odd), fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: http.StatusInternalServerError})
	calls := &callsFor{userID: userID(odd), next: http.DefaultTransport.(*http.Transport).Clone()}
	on, err := st.client.start(ctx, b, settings{secretKey: secretKey, apiURL: clerk.URL(), transport: calls})
	if err != nil {
		return outcome{}, err
	}
	defer on.stop()

	seconds := st.size.oddLasting.Seconds()
	var oddAnswers [wrong + 1]atomic.Int64
	var t *tally
	var wg sync.WaitGroup
	wg.Go(func() {
		every(ctx, int(float64(st.size.oddRate)*seconds), float64(st.size.oddRate), func(int) {
			oddAnswers[st.client.profile(ctx, on.url, odd, all[odd])].Add(1)
		})
	})
	wg.Go(func() {
		if pause(ctx, st.size.oddLasting/8) { // the odd user comes first
			t = st.client.arriving(ctx, on.always, all[1:], float64(len(all)-1)/(seconds*3/4))
		}
	})
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return outcome{}, err
	}
	o := newOutcome(clerk, t)
	o.nobodyRefused()
	o.atMost("calls for the odd user", int(calls.n.Load()), 20)
	o.atMost("wrong answers to the odd user", int(oddAnswers[wrong].Load()+oddAnswers[served].Load()), 0)
	o.notef("%d calls for the odd user", calls.n.Load())
	return o, nil
}

// crowd: users whom the backend does not know ask at the same moment, as
// after a deploy. A batch of 100 users costs one call.
func crowd(ctx context.Context, st *stage, b backend, all []user) (outcome, error) {
	clerk, err := st.clerk(fakeclerk.Options{}, len(all))
	if err != nil {
		return outcome{}, err
	}
	defer clerk.Close()
	on, err := st.client.start(ctx, b, settings{secretKey: secretKey, apiURL: clerk.URL()})
	if err != nil {
		return outcome{}, err
	}
	defer on.stop()
	t := st.client.atOnce(ctx, on.url, all, st.size.patience)
	o := newOutcome(clerk, t)
	o.nobodyRefused()
	o.atMost("calls", o.calls, max(20, len(all)*3/200)) // 300 for 20,000
	return o, nil
}

// active: users who were seen before ask once a minute each, so that every
// record is stale when it is used; new ones come all the time.
func active(ctx context.Context, st *stage, b backend, all []user) (outcome, error) {
	known, newcomers := all[:st.size.active], all[st.size.active:]
	clock := newClock(st.size.activeSpeed)
	clerk, err := st.clerk(fakeclerk.Options{Now: clock.now}, len(all))
	if err != nil {
		return outcome{}, err
	}
	defer clerk.Close()
	on, err := st.client.start(ctx, b, settings{secretKey: secretKey, apiURL: clerk.URL(), now: clock.now})
	if err != nil {
		return outcome{}, err
	}
	defer on.stop()
	if b.ours { // the guide's handler remembers nobody
		if before := st.client.atOnce(ctx, on.url, known, st.size.patience); int(before.served.Load()) < len(known) {
			o := newOutcome(clerk, before)
			o.nobodyRefused()
			o.notef("stopped: not all of the active users could sign in")
			return o, nil
		}
	}

	rounds := st.size.activeLasting.Minutes()
	asking := make([]user, int(rounds*float64(len(known))))
	for i := range asking {
		asking[i] = known[i%len(known)]
	}
	var old, fresh *tally
	var wg sync.WaitGroup
	wg.Go(func() {
		old = st.client.arriving(ctx, on.always, asking, st.size.activeSpeed*float64(len(known))/60)
	})
	wg.Go(func() {
		fresh = st.client.arriving(ctx, on.always, newcomers, st.size.activeSpeed*float64(st.size.newRate))
	})
	wg.Wait()
	o := newOutcome(clerk, old, fresh)
	o.nobodyRefused()
	o.notef("%d of %d new users refused", fresh.refused.Load(), fresh.users)
	return o, nil
}

// slow: under a steady stream of new users Clerk's answers begin to take 1.5 s.
func slow(ctx context.Context, st *stage, b backend, all []user) (outcome, error) {
	clerk, err := st.clerk(fakeclerk.Options{}, len(all))
	if err != nil {
		return outcome{}, err
	}
	defer clerk.Close()
	on, err := st.client.start(ctx, b, settings{secretKey: secretKey, apiURL: clerk.URL()})
	if err != nil {
		return outcome{}, err
	}
	defer on.stop()
	t := st.client.arriving(ctx, func(i int) string {
		if i == len(all)/4 {
			clerk.SetLatency(1500 * time.Millisecond)
		}
		return on.url
	}, all, float64(st.size.slowRate))
	o := newOutcome(clerk, t)
	o.nobodyRefused()
	return o, nil
}

// silent: what is sent on the open connections to Clerk is lost from one moment
// on, without an error; a new connection would work.
func silent(ctx context.Context, st *stage, b backend, all []user) (outcome, error) {
	clerk, err := st.clerk(fakeclerk.Options{}, len(all))
	if err != nil {
		return outcome{}, err
	}
	defer clerk.Close()
	line, err := newLine(clerk.URL())
	if err != nil {
		return outcome{}, err
	}
	defer line.close()
	on, err := st.client.start(ctx, b, settings{secretKey: secretKey, apiURL: line.url})
	if err != nil {
		return outcome{}, err
	}
	defer on.stop()
	t := st.client.arriving(ctx, func(i int) string {
		if i == len(all)/6 {
			line.silence()
		}
		return on.url
	}, all, float64(st.size.silentRate))
	o := newOutcome(clerk, t)
	// Users arrive evenly, so the number refused measures how long it lasted.
	o.atMost("refused requests", o.refused, 6*st.size.silentRate)
	o.notef("refused for %.1f s", float64(o.refused)/float64(st.size.silentRate))
	return o, nil
}

// fleet: several instances share one Clerk, each with its part of the limit.
// An administrator lists members as fast as possible and never the same page.
func fleet(ctx context.Context, st *stage, b backend, all []user) (outcome, error) {
	clerk, err := st.clerk(fakeclerk.Options{}, len(all))
	if err != nil {
		return outcome{}, err
	}
	defer clerk.Close()
	instances := make([]*instance, st.size.instances)
	for i := range instances {
		on, err := st.client.start(ctx, b, settings{secretKey: secretKey, apiURL: clerk.URL(), share: 1 / float64(len(instances))})
		if err != nil {
			return outcome{}, err
		}
		defer on.stop()
		instances[i] = on
	}
	server := func(i int) string { return instances[i%len(instances)].url }

	var t *tally
	var pages atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		lists := int(float64(st.size.listRate) * st.size.fleetLasting.Seconds())
		every(ctx, lists, float64(st.size.listRate), func(i int) {
			if st.client.lists(ctx, server(i), i, st.admin) {
				pages.Add(1)
			}
		})
	})
	wg.Go(func() { t = st.client.arriving(ctx, server, all, float64(st.size.fleetRate)) })
	wg.Wait()
	o := newOutcome(clerk, t)
	o.nobodyRefused()
	o.notef("%d pages of members", pages.Load())
	return o, nil
}

// restart: users who are known go on asking while the instance is replaced by
// another, which knows nobody.
func restart(ctx context.Context, st *stage, b backend, all []user) (outcome, error) {
	clerk, err := st.clerk(fakeclerk.Options{}, len(all))
	if err != nil {
		return outcome{}, err
	}
	defer clerk.Close()
	set := settings{secretKey: secretKey, apiURL: clerk.URL()}
	first, err := st.client.start(ctx, b, set)
	if err != nil {
		return outcome{}, err
	}
	defer first.stop()
	second, err := st.client.start(ctx, b, set)
	if err != nil {
		return outcome{}, err
	}
	defer second.stop()
	if b.ours {
		st.client.atOnce(ctx, first.url, all, st.size.patience)
	}

	requests := int(float64(st.size.restartRate) * st.size.restartLasting.Seconds())
	asking := make([]user, requests)
	for i := range asking {
		asking[i] = all[i%len(all)]
	}
	var wg sync.WaitGroup
	t := st.client.arriving(ctx, func(i int) string {
		switch {
		case i < requests/2:
			return first.url
		case i == requests/2:
			wg.Go(first.stop)
		}
		return second.url
	}, asking, float64(st.size.restartRate))
	wg.Wait()
	o := newOutcome(clerk, t)
	o.nobodyRefused()
	return o, nil
}
