package clerkauth_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"encore.app/auth/clerkauth"
	"encore.app/internal/fakeclerk"
)

func rename(email string) func(*fakeclerk.User) {
	return func(u *fakeclerk.User) { u.EmailAddresses[len(u.EmailAddresses)-1].EmailAddress = email }
}

func TestUserIsFreshForAMinute(t *testing.T) {
	f := newFixture(t)
	email := func() string {
		caller, err := f.authenticate(t, "user_ada")
		if err != nil {
			t.Fatal(err)
		}
		return caller.Email
	}
	email()
	if err := f.clerk.UpdateUser("user_ada", rename("new@example.com")); err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(time.Minute - time.Second)
	if got := email(); got != "ada@example.com" || f.clerk.Requests(userRoute) != 1 {
		t.Errorf("got %s after %d loads", got, f.clerk.Requests(userRoute))
	}
	f.clock.Advance(time.Second)
	if got := email(); got != "ada@example.com" {
		t.Errorf("got %s, want the stale address while the new one is fetched", got)
	}
	eventually(t, "the new address", func() bool { return email() == "new@example.com" })
	if n := f.clerk.Requests(userRoute); n != 2 {
		t.Errorf("%d loads, want 2", n)
	}
}

func TestDeletedUserIsRemembered(t *testing.T) {
	f := newFixture(t)
	gone := fakeclerk.Claim("sub", "user_gone")
	for range 10 {
		_, err := f.authenticate(t, "user_ada", gone)
		wantError(t, err, clerkauth.Unauthenticated, clerkauth.ReasonUserDeleted)
	}
	if n := f.clerk.Requests(userRoute); n != 1 {
		t.Errorf("%d loads of a deleted user, want 1", n)
	}
}

func TestBanIsNoticedAndLifted(t *testing.T) {
	f := newFixture(t)
	if _, err := f.authenticate(t, "user_grace"); err != nil {
		t.Fatal(err)
	}
	if err := f.clerk.BanUser("user_grace"); err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(time.Minute)
	eventually(t, "the ban", func() bool {
		_, err := f.authenticate(t, "user_grace")
		return err != nil && clerkauth.AsError(err).Reason == clerkauth.ReasonUserBanned
	})
	if err := f.clerk.UnbanUser("user_grace"); err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(time.Minute)
	if _, err := f.authenticate(t, "user_grace"); err != nil {
		t.Errorf("a ban lifted a minute ago: %v", err)
	}
}

func TestBackoffIsForTheWholeProcess(t *testing.T) {
	f := newFixture(t)
	if _, err := f.authenticate(t, "user_ada"); err != nil {
		t.Fatal(err)
	}
	f.clerk.SetFault(userRoute, fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 429, RetryAfter: 7 * time.Second})
	f.clerk.ResetRequests()
	for range 50 {
		_, err := f.authenticate(t, f.newUser(t))
		wantError(t, err, clerkauth.Unavailable, clerkauth.ReasonRateLimited)
	}
	if n := f.clerk.Requests(userRoute); n != 1 {
		t.Errorf("%d calls while Clerk limits the rate, want 1", n)
	}
	f.clerk.ClearFaults()
	f.clock.Advance(7*time.Second - time.Nanosecond)
	_, err := f.authenticate(t, f.newUser(t))
	wantError(t, err, clerkauth.Unavailable, clerkauth.ReasonRateLimited)
	f.clock.Advance(time.Nanosecond)
	if _, err := f.authenticate(t, f.newUser(t)); err != nil {
		t.Errorf("once Retry-After is over: %v", err)
	}
}

func TestBackoffGrowsToFifteenSeconds(t *testing.T) {
	f := newFixture(t)
	if _, err := f.authenticate(t, "user_ada"); err != nil {
		t.Fatal(err)
	}
	f.clerk.SetFault(userRoute, fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 500})
	_, err := f.authenticate(t, f.newUser(t)) // which may be about this user
	wantError(t, err, clerkauth.Unavailable, clerkauth.ReasonInvalidResponse)
	f.clerk.ResetRequests()
	calls := 0
	for _, wait := range []time.Duration{0, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 15 * time.Second, 15 * time.Second} {
		f.clock.Advance(wait)
		calls++
		for range 5 {
			_, err := f.authenticate(t, f.newUser(t))
			wantError(t, err, clerkauth.Unavailable, clerkauth.ReasonInvalidResponse)
		}
		if n := f.clerk.Requests(userRoute); n != calls {
			t.Fatalf("after waiting %v: %d calls, want %d", wait, n, calls)
		}
	}
	f.clerk.ClearFaults()
	f.clock.Advance(15 * time.Second)
	if _, err := f.authenticate(t, f.newUser(t)); err != nil {
		t.Error(err)
	}
}

func TestOneCallLooksWhetherClerkIsBack(t *testing.T) {
	f := newFixture(t)
	if _, err := f.authenticate(t, "user_ada"); err != nil {
		t.Fatal(err)
	}
	f.clerk.SetFault(userRoute, fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 500, Count: 2})
	for range 2 {
		_, err := f.authenticate(t, f.newUser(t))
		wantError(t, err, clerkauth.Unavailable, clerkauth.ReasonInvalidResponse)
	}
	f.clock.Advance(time.Second)
	f.clerk.SetFault(userRoute, fakeclerk.Fault{Kind: fakeclerk.FaultLatency, Latency: 200 * time.Millisecond})
	f.clerk.ResetRequests()
	tokens := make([]string, 20)
	for i := range tokens {
		tokens[i] = f.token(t, f.newUser(t))
	}
	var group sync.WaitGroup
	for _, token := range tokens {
		group.Go(func() { _, _ = f.authenticator.Authenticate(context.Background(), token) })
	}
	group.Wait()
	if n := f.clerk.Requests(userRoute); n != 1 {
		t.Errorf("%d calls when the back-off was over, want 1", n)
	}
}

func TestStaleUserServesWhileClerkFails(t *testing.T) {
	f := newFixture(t)
	if _, err := f.authenticate(t, "user_ada"); err != nil {
		t.Fatal(err)
	}
	f.clerk.SetFault("", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 503})
	for range 15 {
		f.clock.Advance(time.Minute)
		if _, err := f.authenticate(t, "user_ada"); err != nil {
			t.Fatal(err)
		}
	}
	f.clock.Advance(time.Minute)
	_, err := f.authenticate(t, "user_ada")
	wantError(t, err, clerkauth.Unavailable, clerkauth.ReasonInvalidResponse)
}
