package clerkauth_test

import (
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/clerk/clerk-sdk-go/v2/organization"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
)

// counter is an Observer by counter and label.
type counter struct {
	mu    sync.Mutex
	count map[string]int
}

func (c *counter) Add(counter clerkauth.Counter, label string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count == nil {
		c.count = make(map[string]int)
	}
	c.count[string(counter)+" "+label] += n
}

func (c *counter) take() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() { c.count = nil }()
	return c.count
}

func TestObserver(t *testing.T) {
	var counter counter
	f := newFixture(t, func(o *clerkauth.Options) { o.Observer = &counter })
	ada := f.token(t, "user_ada")
	authenticate := func(token string) { _, _ = f.authenticator.Authenticate(t.Context(), token) }
	for _, test := range []struct {
		name string
		do   func()
		want map[string]int
	}{
		{"a first sign-in", func() { authenticate(ada) }, map[string]int{
			"decisions accepted": 1, "calls ok": 2, "key_fetches ok": 1, "user_batches sign_in": 1, "users loaded": 1,
		}},
		{"requests of somebody known", func() { authenticate(ada); authenticate(ada) }, map[string]int{"decisions accepted": 2}},
		{"nonsense", func() { authenticate("x") }, map[string]int{"decisions malformed": 1}},
		{"somebody banned", func() { authenticate(f.token(t, "user_banned")) }, map[string]int{
			"decisions user_banned": 1, "calls ok": 1, "user_batches sign_in": 1, "users refused": 1,
		}},
		{"somebody who is gone", func() { authenticate(f.token(t, "user_ada", fakeclerk.Claim("sub", "user_gone"))) }, map[string]int{
			"decisions unknown_user": 1, "calls not_found": 1, "user_batches sign_in": 1, "users refused": 1,
		}},
		{"another call", func() {
			organizations := organization.Client{Backend: f.authenticator.Backend()}
			_, _ = organizations.Get(t.Context(), "org_analytical")
			_, _ = organizations.Get(t.Context(), "org_gone")
		}, map[string]int{"calls ok": 1, "calls not_found": 1}},
		{"a failure", func() {
			f.clerk.SetFault(userRoute, fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 429, RetryAfter: 30 * time.Second})
			authenticate(f.token(t, f.newUser(t)))
			authenticate(f.token(t, f.newUser(t)))
		}, map[string]int{
			"decisions clerk_rate_limited": 2, "calls clerk_rate_limited": 1, "user_batches sign_in": 1, "users clerk_rate_limited": 1,
		}},
		{"a stale user", func() {
			for range 3 {
				f.clock.Advance(29 * time.Second)
			}
			f.authenticator.StoreUser(clerkauth.UserRecord{ID: "user_grace", UpdatedAt: f.clock.Now().Add(-time.Minute)})
			f.clerk.ClearFaults()
			authenticate(f.token(t, "user_grace"))
		}, map[string]int{"decisions accepted": 1, "stale user": 1}},
	} {
		test.do()
		if got := counter.take(); !maps.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}

// TestNothingIsAllocated for a request of somebody known, counted or not.
func TestNothingIsAllocated(t *testing.T) {
	for name, observer := range map[string]clerkauth.Observer{"counted": ignore{}, "not counted": nil} {
		f := newFixture(t, func(o *clerkauth.Options) { o.Observer = observer })
		token := f.token(t, "user_ada")
		allocations := testing.AllocsPerRun(1000, func() {
			if _, err := f.authenticator.Authenticate(t.Context(), token); err != nil {
				t.Fatal(err)
			}
		})
		if allocations != 0 {
			t.Errorf("%s: %v allocations", name, allocations)
		}
	}
}

type ignore struct{}

func (ignore) Add(clerkauth.Counter, string, int) {}
