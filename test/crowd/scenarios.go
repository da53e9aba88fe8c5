package main

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"encore.app/fakeclerk"
)

var scenarios = []scenario{
	{
		name:  "one user's record fails",
		users: func(s size) int { return s.oddOthers + 1 }, play: oddUser, together: true,
	},
	{
		name:  "5,000 at once",
		users: func(s size) int { return s.few }, play: atOnce,
	},
	{
		name:  "20,000 at once",
		users: func(s size) int { return s.many }, play: atOnce,
	},
	{
		name:  "15,000 a minute, 20 new a second",
		users: func(s size) int { return s.active + count(s.newRate, s.activeLasting) },
		known: func(s size) int { return s.active }, fastClock: true, play: active,
	},
	{
		name:  "Clerk slows down to 1.5 s",
		users: func(s size) int { return count(s.slowRate, s.slowLasting) }, play: slow, together: true,
	},
	{
		name:  "the connection to Clerk dies silently",
		users: func(s size) int { return count(s.silentRate, s.silentLasting) }, play: silent, together: true,
	},
	{
		name:  "ten instances and their member lists",
		users: func(s size) int { return count(s.fleetRate, s.fleetLasting) }, play: fleet,
	},
	{
		name:  "a restart in the middle",
		users: func(s size) int { return s.restartUsers },
		known: func(s size) int { return s.restartUsers }, play: restart,
	},
	{
		name:  "forged tokens of the worst shapes",
		users: func(s size) int { return s.callers },
		known: func(s size) int { return s.callers }, play: forgers,
	},
}

// oddUser: Clerk answers 500 whenever one user's record is part of the answer.
// That user keeps asking, while others sign in for the first time.
func oddUser(ctx context.Context, sc *scene) (outcome, error) {
	odd, others := sc.users[0], sc.users[1:]
	sc.clerk.SetUserFault(odd.id, fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: http.StatusInternalServerError})
	calls := &callsFor{userID: odd.id, next: http.DefaultTransport.(*http.Transport).Clone()}
	on, err := sc.start(ctx, settings{transport: calls})
	if err != nil {
		return outcome{}, err
	}
	var accepted atomic.Int64
	var t *tally
	var wg sync.WaitGroup
	wg.Go(func() {
		every(ctx, count(sc.size.oddRate, sc.size.oddLasting), float64(sc.size.oddRate), func(int) {
			if sc.client.profile(ctx, on.url, 0, odd) != refused {
				accepted.Add(1)
			}
		})
	})
	wg.Go(func() {
		pause(ctx, sc.size.oddLasting/8) // the odd user comes first
		t = sc.client.arriving(ctx, on.always, others, float64(len(others))/(sc.size.oddLasting.Seconds()*3/4))
	})
	wg.Wait()
	o := newOutcome(sc.clerk, t)
	o.nobodyRefused()
	o.atMost("calls for the odd user", int(calls.n.Load()), 20)
	o.atMost("answers to the odd user that are no refusal", int(accepted.Load()), 0)
	o.notef("%d calls for the odd user", calls.n.Load())
	return o, nil
}

// atOnce: users whom the backend does not know ask at the same moment, as after
// a deploy. A call can load 100 of them.
func atOnce(ctx context.Context, sc *scene) (outcome, error) {
	on, err := sc.start(ctx, settings{})
	if err != nil {
		return outcome{}, err
	}
	o := newOutcome(sc.clerk, sc.client.atOnce(ctx, on.url, sc.users, sc.backend.patience))
	o.nobodyRefused()
	o.atMost("calls", o.calls, max(75, len(sc.users)*3/200)) // 300 for 20,000
	return o, nil
}

// active: users whom the backend knows ask once a minute each, so that every
// record is stale when it is used; new ones come all the time.
func active(ctx context.Context, sc *scene) (outcome, error) {
	known, newcomers := sc.users[:sc.size.active], sc.users[sc.size.active:]
	asking := repeat(known, int(sc.size.activeLasting.Minutes()*float64(len(known))))
	var old, fresh *tally
	var wg sync.WaitGroup
	wg.Go(func() {
		old = sc.client.arriving(ctx, sc.first.always, asking, clockSpeed*float64(len(known))/60)
	})
	wg.Go(func() {
		fresh = sc.client.arriving(ctx, sc.first.always, newcomers, clockSpeed*float64(sc.size.newRate))
	})
	wg.Wait()
	o := newOutcome(sc.clerk, old, fresh)
	o.nobodyRefused()
	o.notef("%d of %d new users refused", fresh.refused.Load(), fresh.users)
	return o, nil
}

// slow: under a steady stream of new users Clerk's answers begin to take 1.5 s.
func slow(ctx context.Context, sc *scene) (outcome, error) {
	on, err := sc.start(ctx, settings{})
	if err != nil {
		return outcome{}, err
	}
	t := sc.client.arriving(ctx, func(i int) string {
		if i == len(sc.users)/4 {
			sc.clerk.SetLatency(1500 * time.Millisecond)
		}
		return on.url
	}, sc.users, float64(sc.size.slowRate))
	o := newOutcome(sc.clerk, t)
	o.nobodyRefused()
	return o, nil
}

// silent: what is sent on the open connections to Clerk is lost from one moment
// on, without an error; a new connection would work.
func silent(ctx context.Context, sc *scene) (outcome, error) {
	line, err := newLine(sc.clerk.URL())
	if err != nil {
		return outcome{}, err
	}
	defer line.close()
	on, err := sc.start(ctx, settings{apiURL: line.url})
	if err != nil {
		return outcome{}, err
	}
	t := sc.client.arriving(ctx, func(i int) string {
		if i == len(sc.users)/6 {
			line.silence()
		}
		return on.url
	}, sc.users, float64(sc.size.silentRate))
	o := newOutcome(sc.clerk, t)
	// Users arrive evenly, so how many are refused measures how long it lasts.
	o.atMost("refused requests", o.refused, 6*sc.size.silentRate)
	o.notef("refused for %.1f s", float64(o.refused)/float64(sc.size.silentRate))
	return o, nil
}

// fleet: several instances share one Clerk, each with its part of the limit. An
// administrator lists members all the time, and never the same page.
func fleet(ctx context.Context, sc *scene) (outcome, error) {
	instances := make([]*instance, sc.size.instances)
	for i := range instances {
		var err error
		if instances[i], err = sc.start(ctx, settings{share: 1 / float64(len(instances))}); err != nil {
			return outcome{}, err
		}
	}
	server := func(i int) string { return instances[i%len(instances)].url }

	var t *tally
	var pages atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		every(ctx, count(sc.size.listRate, sc.size.fleetLasting), float64(sc.size.listRate), func(i int) {
			if sc.client.lists(ctx, server(i), i, sc.admin) {
				pages.Add(1)
			}
		})
	})
	wg.Go(func() { t = sc.client.arriving(ctx, server, sc.users, float64(sc.size.fleetRate)) })
	wg.Wait()
	o := newOutcome(sc.clerk, t)
	o.nobodyRefused()
	o.notef("%d pages of members", pages.Load())
	return o, nil
}

// restart: users whom the backend knows go on asking while its instance is
// replaced by another, which knows nobody.
func restart(ctx context.Context, sc *scene) (outcome, error) {
	second, err := sc.start(ctx, settings{})
	if err != nil {
		return outcome{}, err
	}
	asking := repeat(sc.users, count(sc.size.restartRate, sc.size.restartLasting))
	var wg sync.WaitGroup
	drained := len(asking)/2 + sc.size.restartRate/2 // half a second later
	t := sc.client.arriving(ctx, func(i int) string {
		if i < len(asking)/2 {
			return sc.first.url
		}
		if i == drained {
			wg.Go(sc.first.stop)
		}
		return second.url
	}, asking, float64(sc.size.restartRate))
	wg.Wait()
	o := newOutcome(sc.clerk, t)
	o.nobodyRefused()
	return o, nil
}

// repeat lets the users come one after the other, n times in all.
func repeat(all []user, n int) []user {
	asking := make([]user, n)
	for i := range asking {
		asking[i] = all[i%len(all)]
	}
	return asking
}
