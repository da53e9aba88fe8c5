package main

import (
	"testing"
	"time"
)

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

// TestCrowd plays the scenarios to this backend alone.
func TestCrowd(t *testing.T) {
	users := 0
	for _, one := range scenarios {
		users = max(users, one.users(small))
	}
	tokens, err := signTokens(users)
	if err != nil {
		t.Fatal(err)
	}
	st := stage{client: newClient(), tokens: tokens, size: small}
	t.Cleanup(st.client.close)
	for _, one := range scenarios {
		if one.users(small) == 0 {
			continue
		}
		t.Run(one.name, func(t *testing.T) {
			t.Parallel() // even those that keep processors busy in the full size
			outcomes, err := one.run(t.Context(), st, backends[:1])
			if err != nil {
				t.Fatal(err)
			}
			o := outcomes[ours]
			t.Logf("%d of %d served, %d refusals %v, %d calls to Clerk", o.served, o.requests, o.refused, o.reasons, o.calls)
			if len(o.missed) > 0 && o.busyMachine() {
				t.Skipf("inconclusive: this machine is busy, a timer fired %v late", o.late)
			}
			for _, count := range o.missed {
				t.Error(count)
			}
		})
	}
}
