package main

import (
	"testing"
	"time"
)

// small is over in seconds. Its crowds are big enough that a call for each user
// would be over Clerk's limit.
var small = size{
	oddOthers: 40, oddRate: 100, oddLasting: 2 * time.Second,
	few: 500, many: 2000,
	active: 1000, newRate: 20, activeLasting: 12 * time.Second,
	slowRate: 200, slowLasting: 3 * time.Second,
	silentRate: 20, silentLasting: 9 * time.Second,
	instances: 10, fleetRate: 20, listRate: 500, fleetLasting: 3 * time.Second,
	restartUsers: 1000, restartRate: 1000, restartLasting: 3 * time.Second,
}

// TestCrowd plays the scenarios to this backend alone, all at once.
func TestCrowd(t *testing.T) {
	trustLines()
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
		t.Run(one.name, func(t *testing.T) {
			t.Parallel()
			outcomes, err := one.run(t.Context(), st, backends[:1])
			if err != nil {
				t.Fatal(err)
			}
			for _, count := range outcomes[ours].missed {
				t.Error(count)
			}
			t.Logf("%d of %d served, %d refusals, %d calls to Clerk", outcomes[ours].served, outcomes[ours].requests, outcomes[ours].refused, outcomes[ours].calls)
		})
	}
}
