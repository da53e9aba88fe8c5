package store

import (
	"math/rand/v2"
	"sync"
	"testing"

	"encore.app/auth/clerkauth"
)

// TestAtOnce delivers the events of a history twice each, in any order and many
// at once, during first requests and a reconciliation.
func TestAtOnce(t *testing.T) {
	seed := randomSeed(t)
	t.Logf("SEED=%d", seed)
	crash := new(crasher)
	s, log := newStore(t, crash)
	execute(t, s, guards)
	random := rand.New(rand.NewPCG(seed, 0))
	m := newModel(random)
	for range 400 {
		m.change()
	}
	events := append(m.pending, m.pending...)
	random.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	var wait sync.WaitGroup
	ctx := t.Context()
	for worker := range 8 {
		wait.Go(func() {
			for i := worker; i < len(events); i += 8 {
				if err := s.Apply(ctx, events[i]); err != nil {
					t.Error(err)
				}
				if u := events[i].User; u != nil && i%3 == 0 {
					if _, err := s.Account(ctx, &clerkauth.Caller{UserID: u.ID}); err != nil && codeOf(err) != codeOf(errDeleted()) {
						t.Error(codeOf(err))
					}
				}
			}
		})
	}
	h := &history{t: t, s: s, log: log, crash: crash, seed: seed, model: m}
	wait.Go(func() {
		for range 3 {
			if err := h.reconcile(ctx); err != nil {
				t.Errorf("%#v", err)
			}
		}
	})
	wait.Wait()
	if n := crash.deadlocks.Load(); n > 0 {
		t.Errorf("%d deadlocks", n)
	}
	h.compareVersions(ctx)
	h.reconcileWhole(ctx)
	h.compareVersions(ctx)
	h.compare(ctx)
}
