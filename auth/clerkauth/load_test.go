//go:build !race

// Under the race detector these would measure the detector, or take long for nothing:
// one goroutine fills a cache.

package clerkauth_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
)

// TestMemoryIsBounded shows that neither valid nor forged tokens pile up.
func TestMemoryIsBounded(t *testing.T) {
	needsWhole(t)
	const each, limit = 60_000, 64 << 20
	// The key's length makes no difference to the caches.
	clerk, err := fakeclerk.Start(fakeclerk.Options{SigningKey: shortKey(), TokenLifetime: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer clerk.Close()
	authenticator, err := clerkauth.New(clerkauth.Options{
		SecretKey: clerk.SecretKey(), APIURL: clerk.URL(), AuthorizedParties: []string{fakeclerk.DefaultAuthorizedParty},
	})
	if err != nil {
		t.Fatal(err)
	}
	authenticate := func(token string, accepted bool) {
		if _, err := authenticator.Authenticate(context.Background(), token); (err == nil) != accepted {
			t.Errorf("accepted: %v, want %v: %v", err == nil, accepted, err)
		}
	}
	before := heap()
	work := make(chan int)
	var group sync.WaitGroup
	for range runtime.NumCPU() {
		group.Go(func() {
			for i := range work {
				user := fmt.Sprintf("user_%d", i)
				token, err := clerk.SessionToken("user_ada", fakeclerk.Claim("sub", user), fakeclerk.Claim("email", user+"@example.com"))
				if err != nil {
					t.Error(err)
					return
				}
				authenticate(token, true)
				// The same with another signature, of the right length.
				dot := strings.LastIndexByte(token, '.') + 1
				authenticate(token[:dot]+fmt.Sprintf("%08x", i)+token[dot+8:], false)
			}
		})
	}
	for i := range each {
		work <- i
	}
	close(work)
	group.Wait()
	grown := int64(heap()) - int64(before)
	t.Logf("%d valid and %d forged tokens: the heap grew by %.1f MiB", each, each, float64(grown)/(1<<20))
	if grown > limit {
		t.Errorf("the heap grew by %d bytes, want at most %d", grown, limit)
	}
	runtime.KeepAlive(authenticator)
}

// TestHugeHeaderCostsItsRefusal: a token of 10 MB is refused unread.
func TestHugeHeaderCostsItsRefusal(t *testing.T) {
	f := newFixture(t)
	huge := "Bearer " + strings.Repeat("A", 10<<20)
	const times = 1000
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range times {
		token, err := clerkauth.BearerToken(huge)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.authenticator.Authenticate(context.Background(), token)
		wantError(t, err, clerkauth.Unauthenticated, clerkauth.ReasonTooLarge)
	}
	runtime.ReadMemStats(&after)
	if allocated := (after.TotalAlloc - before.TotalAlloc) / times; allocated > 1024 {
		t.Errorf("refusing 10 MB allocates %d bytes", allocated)
	}
}

// TestForgersBesideCallers: 10,000 forged key ids from 64 clients neither cost
// more than two key fetches nor keep valid callers out.
func TestForgersBesideCallers(t *testing.T) {
	f := newFixture(t)
	good := f.token(t, "user_ada")
	if _, err := f.authenticator.Authenticate(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(good, ".")
	work := make(chan int)
	var group sync.WaitGroup
	for range 64 {
		group.Go(func() {
			for i := range work {
				token := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"alg":"RS256","kid":"ins_%d"}`, i)) + "." + rest
				_, err := f.authenticator.Authenticate(context.Background(), token)
				if clerkauth.AsError(err).Reason != clerkauth.ReasonUnknownKey {
					t.Errorf("a forged token: %v", err)
				}
				if _, err := f.authenticator.Authenticate(context.Background(), good); err != nil {
					t.Errorf("a valid caller: %v", err)
				}
			}
		})
	}
	for i := range 10_000 {
		work <- i
		if i == 5_000 {
			f.clock.Advance(3 * time.Second)
		}
	}
	close(work)
	group.Wait()
	if n := f.clerk.Requests(jwksRoute); n > 2 {
		t.Errorf("%d key fetches, want at most 2", n)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestRefusalsAreBounded: the oldest makes room, however often one comes again.
func TestRefusalsAreBounded(t *testing.T) {
	f := newFixture(t)
	email := fakeclerk.Claim("email", "ada@example.com")
	tokens := map[string]string{}
	session := func(i int) string { return fmt.Sprintf("sess_%d", i) }
	for i := range 150_000 {
		f.authenticator.RevokeSession("sess_again", f.clock.Now())
		f.authenticator.RevokeSession(session(i), f.clock.Now())
		f.clock.Advance(time.Microsecond)
	}
	for _, i := range []int{149_999, 120_000, 100_001} {
		tokens[session(i)] = f.token(t, "user_ada", email, fakeclerk.Claim("sid", session(i)))
	}
	tokens["again"] = f.token(t, "user_ada", email, fakeclerk.Claim("sid", "sess_again"))
	f.wantAll(t, tokens, clerkauth.ReasonSessionRevoked)
	f.wantAll(t, map[string]string{"the oldest": f.token(t, "user_ada", email, fakeclerk.Claim("sid", session(0)))}, "")
}

// TestRefusalIsToldTwice: by the webhook, say, and through the database.
func TestRefusalIsToldTwice(t *testing.T) {
	f := newFixture(t)
	token := f.token(t, "user_ada", fakeclerk.Claim("sid", "sess_first"))
	at := f.clock.Now()
	f.authenticator.RevokeSession("sess_first", at)
	for i := range 99_999 {
		for range 2 {
			f.authenticator.RevokeSession(fmt.Sprintf("sess_%d", i), at)
		}
	}
	_, err := f.authenticator.Authenticate(t.Context(), token)
	wantError(t, err, clerkauth.Unauthenticated, clerkauth.ReasonSessionRevoked)
}

// TestAdmissionsPushNoRefusalOut: however many users change, who was refused
// stays refused.
func TestAdmissionsPushNoRefusalOut(t *testing.T) {
	f := newFixture(t)
	token := f.token(t, "user_ada", fakeclerk.Claim("email", "ada@example.com"))
	f.authenticator.RevokeUser("user_ada", f.clock.Now())
	for i := range 150_000 {
		f.authenticator.StoreUser(clerkauth.UserRecord{ID: fmt.Sprintf("user_%d", i), UpdatedAt: f.clock.Now()})
	}
	_, err := f.authenticator.Authenticate(t.Context(), token)
	wantError(t, err, clerkauth.Unauthenticated, clerkauth.ReasonUserRevoked)
}

// More users than the cache holds come once each, all within the time for which
// Clerk may be unavailable. Users who come every minute must not be evicted for
// that.
func TestActiveUsersStayRememberedAmongMany(t *testing.T) {
	needsWhole(t)
	t.Parallel()
	const active, minutes, others = 50, 10, 60_000
	f := newFixture(t)
	users := make([]string, active)
	for i := range users {
		users[i] = f.newUser(t)
	}
	visit := func() (failed int) {
		for _, user := range users {
			token := f.token(t, user)
			for range 3 {
				if _, err := f.authenticator.Authenticate(t.Context(), token); err != nil {
					failed++
				}
			}
		}
		return failed
	}
	for minute := range minutes {
		if failed := visit(); failed > 0 {
			t.Fatalf("minute %d: %d requests failed", minute, failed)
		}
		for i := range others / minutes {
			f.authenticator.StoreUser(clerkauth.UserRecord{ID: fmt.Sprintf("user_other%d_%d", minute, i), UpdatedAt: f.clock.Now()})
		}
		f.clock.Advance(time.Minute)
	}
	down := fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 500}
	f.clerk.SetFault(userRoute, down)
	f.clerk.SetFault(usersRoute, down)
	if failed := visit(); failed > 0 {
		t.Errorf("while Clerk is down, %d of %d requests of active users failed", failed, 3*active)
	}
}
