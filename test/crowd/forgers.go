package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// forgers: known users ask one after the other, first alone and then beside
// forged tokens of the shapes that cost the most.
func forgers(ctx context.Context, sc *scene) (outcome, error) {
	server := func(int) string { return sc.first.url }
	asking := repeat(sc.users, count(sc.size.callerRate, sc.size.forgersLasting))
	alone := &timings{}
	first := sc.client.measured(ctx, server, asking, float64(sc.size.callerRate), alone)

	forged := forgedTokens()
	beside := &timings{}
	var second *tally
	var accepted atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		every(ctx, count(sc.size.forgerRate, sc.size.forgersLasting), float64(sc.size.forgerRate), func(i int) {
			if sc.client.profile(ctx, sc.first.url, i, user{token: forged[i%len(forged)]}) == served {
				accepted.Add(1)
			}
		})
	})
	wg.Go(func() { second = sc.client.measured(ctx, server, asking, float64(sc.size.callerRate), beside) })
	wg.Wait()
	o := newOutcome(sc.clerk, first, second)
	o.nobodyRefused()
	o.atMost("forged tokens that are accepted", int(accepted.Load()), 0)
	a, b := alone.median(), beside.median()
	o.notef("p50 %.2f ms alone, %.2f ms beside %d forged tokens a second: %.1f times", a.Seconds()*1e3, b.Seconds()*1e3, sc.size.forgerRate, float64(b)/float64(a))
	return o, nil
}

// timings are how long requests took.
type timings struct {
	mu  sync.Mutex
	all []time.Duration
}

func (t *timings) median() time.Duration {
	if len(t.all) == 0 {
		return 0 // interrupted
	}
	slices.Sort(t.all)
	return t.all[len(t.all)/2]
}

// measured is arriving, and notes how long each request took.
func (c client) measured(ctx context.Context, server func(i int) string, all []user, perSecond float64, took *timings) *tally {
	t := &tally{users: len(all), began: time.Now()}
	every(ctx, len(all), perSecond, func(i int) {
		began := time.Now()
		t.add(c.profile(ctx, server(i), i, all[i]))
		took.mu.Lock()
		took.all = append(took.all, time.Since(began))
		took.mu.Unlock()
	})
	return t
}

// forgedTokens name the right key and fill 13 KB, in the header or the payload:
// many names, deep nesting, many objects.
func forgedTokens() []string {
	const length = 9000 // before base64
	var names strings.Builder
	for i := 0; names.Len() < length; i++ {
		fmt.Fprintf(&names, `,"%x":0`, i)
	}
	var forged []string
	for _, filler := range []string{
		names.String(),
		`,"x":` + strings.Repeat("[", length/2) + strings.Repeat("]", length/2),
		`,"x":[` + strings.Repeat("{},", length/3) + `0]`,
	} {
		const header, payload = `{"alg":"RS256","kid":"ins_fakeclerk","typ":"JWT"`, `{"exp":4102444800,"sid":"sess_1"`
		for _, parts := range [][2]string{{header + filler + "}", payload + "}"}, {header + "}", payload + filler + "}"}} {
			encode := base64.RawURLEncoding.EncodeToString
			forged = append(forged, encode([]byte(parts[0]))+"."+encode([]byte(parts[1]))+"."+encode(make([]byte, 256)))
		}
	}
	return forged
}
