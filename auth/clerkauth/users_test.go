package clerkauth_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
)

func rename(email string) func(*fakeclerk.User) {
	return func(u *fakeclerk.User) { u.EmailAddresses[len(u.EmailAddresses)-1].EmailAddress = email }
}

func TestUserIsFreshForAMinute(t *testing.T) {
	t.Parallel()
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
		wantError(t, err, clerkauth.Unauthenticated, clerkauth.ReasonUnknownUser)
	}
	if n := f.clerk.Requests(userRoute); n != 1 {
		t.Errorf("%d loads of a deleted user, want 1", n)
	}
}

func TestBanIsNoticedAndLifted(t *testing.T) {
	t.Parallel()
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

// While the users of the first answer after a failure are handed out, no other
// user may be refused for that failure: a served user shows that it is over.
func TestFailureIsOverBeforeAnybodyIsServed(t *testing.T) {
	for _, users := range []int{1, 20} {
		atLoad := &onLoad{do: func() {}}
		f := newFixture(t, func(o *clerkauth.Options) { o.Observer = atLoad })
		if _, err := f.authenticate(t, "user_ada"); err != nil { // which fetches the keys
			t.Fatal(err)
		}
		f.clerk.SetFault("", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 401})
		_, err := f.authenticate(t, f.newUser(t))
		wantError(t, err, clerkauth.Misconfigured, clerkauth.ReasonSecretKeyRefused)
		f.clerk.ClearFaults()
		f.clock.Advance(time.Second)
		var others atomic.Int32
		atLoad.do = func() {
			others.Add(1)
			request := clerk.NewAPIRequest(http.MethodGet, "/users/user_ada")
			if err := f.authenticator.Backend().Call(t.Context(), request, new(clerk.User)); err != nil {
				t.Errorf("of %d users: another call: %v", users, err)
			}
		}
		var working sync.WaitGroup
		for range users {
			token := f.token(t, f.newUser(t))
			working.Go(func() { _, _ = f.authenticator.Authenticate(t.Context(), token) })
		}
		working.Wait()
		if others.Load() == 0 {
			t.Errorf("none of %d users was loaded", users)
		}
	}
}

// onLoad does something each time a user was loaded, before anybody has the
// user.
type onLoad struct{ do func() }

func (o *onLoad) Add(counter clerkauth.Counter, label string, _ int) {
	if counter == clerkauth.CountUsers && label == "loaded" {
		o.do()
	}
}

func TestBackoffGrowsToFifteenSeconds(t *testing.T) {
	f := newFixture(t)
	if _, err := f.authenticate(t, "user_ada"); err != nil {
		t.Fatal(err)
	}
	f.clerk.SetFault(userRoute, fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 500})
	for range 4 { // each may be about the user
		_, err := f.authenticate(t, f.newUser(t))
		wantError(t, err, clerkauth.Unavailable, clerkauth.ReasonInvalidResponse)
	}
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
	f.clerk.SetFault(userRoute, fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 500, Count: 5})
	for range 5 {
		_, err := f.authenticate(t, f.newUser(t))
		wantError(t, err, clerkauth.Unavailable, clerkauth.ReasonInvalidResponse)
	}
	f.clock.Advance(time.Second)
	f.clerk.SetLatency(200 * time.Millisecond)
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
	if n := f.clerk.Requests(userRoute) + f.clerk.Requests(usersRoute); n != 1 {
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

// TestUserRecords is the table of what becomes of a user by their record alone:
// a surprise in a field that is not used costs nothing.
func TestUserRecords(t *testing.T) {
	for _, test := range []struct {
		name, body string // ID stands for the user's id
		email      string
		verified   bool
		reason     clerkauth.Reason
	}{
		{"verified", `{"id":"ID","primary_email_address_id":"idn_1","email_addresses":[{"id":"idn_1","email_address":"a@example.com","verification":{"status":"verified"}}]}`, "a@example.com", true, ""},
		{"unverified", `{"id":"ID","primary_email_address_id":"idn_1","email_addresses":[{"id":"idn_1","email_address":"a@example.com","verification":{"status":"unverified"}}]}`, "a@example.com", false, ""},
		{"no verification", `{"id":"ID","primary_email_address_id":"idn_1","email_addresses":[{"id":"idn_1","email_address":"a@example.com","verification":null}]}`, "a@example.com", false, ""},
		{"no primary address", `{"id":"ID","primary_email_address_id":null,"email_addresses":[{"id":"idn_1","email_address":"a@example.com"}]}`, "", false, ""},
		{"a primary address that is not there", `{"id":"ID","primary_email_address_id":"idn_2","email_addresses":[{"id":"idn_1","email_address":"a@example.com"}]}`, "", false, ""},
		{"surprises in what is not used", `{"id":"ID","created_at":"soon","public_metadata":7,"a":1,"a":2,"b":"\ud800","email_addresses":null}`, "", false, ""},
		{"banned", `{"id":"ID","banned":true,"email_addresses":null}`, "", false, clerkauth.ReasonUserBanned},
		{"another user", `{"id":"user_other"}`, "", false, clerkauth.ReasonInvalidResponse},
		{"no id", `{}`, "", false, clerkauth.ReasonInvalidResponse},
		{"a ban in words", `{"id":"ID","banned":"no"}`, "", false, clerkauth.ReasonInvalidResponse},
		{"null", `null`, "", false, clerkauth.ReasonInvalidResponse},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			user := f.newUser(t)
			f.clerk.SetUserFault(user, fakeclerk.Fault{Kind: fakeclerk.FaultWrongJSON, Body: strings.ReplaceAll(test.body, "ID", user)})
			caller, err := f.authenticate(t, user)
			if test.reason != "" {
				if err == nil || clerkauth.AsError(err).Reason != test.reason {
					t.Errorf("got %v, want %s", err, test.reason)
				}
				return
			}
			if err != nil || caller.Email != test.email || caller.EmailVerified != test.verified {
				t.Errorf("got %q, verified: %v, %v", caller.Email, caller.EmailVerified, err)
			}
		})
	}
}

// TestNewerTokenAsksAgain: Clerk issues no tokens to a user who is banned, so
// that a token issued after the ban was seen shows that it has been lifted.
func TestNewerTokenAsksAgain(t *testing.T) {
	f := newFixture(t)
	old := f.token(t, "user_banned")
	refused := func(token string) {
		t.Helper()
		_, err := f.authenticator.Authenticate(t.Context(), token)
		wantError(t, err, clerkauth.Unauthenticated, clerkauth.ReasonUserBanned)
	}
	refused(old)
	if err := f.clerk.UnbanUser("user_banned"); err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(2 * time.Second)
	refused(old)
	if n := f.clerk.Requests(userRoute); n != 1 {
		t.Errorf("%d loads for an old token, want 1", n)
	}
	if _, err := f.authenticate(t, "user_banned"); err != nil {
		t.Errorf("a new token: %v", err)
	}
	if err := f.clerk.BanUser("user_banned"); err != nil {
		t.Fatal(err)
	}
	f.authenticator.StoreUser(clerkauth.UserRecord{ID: "user_banned", Banned: true, UpdatedAt: f.clock.Now()})
	ahead := f.token(t, "user_banned", fakeclerk.Claim("iat", f.clock.Now().Add(4*time.Second).Unix()))
	f.clerk.ResetRequests()
	for range 5 { // by a clock that is ahead: asks again once
		_, err := f.authenticator.Authenticate(t.Context(), ahead)
		if err == nil {
			t.Error("a banned user is let in")
		}
	}
	if n := f.clerk.Requests(userRoute); n != 1 {
		t.Errorf("%d loads, want 1", n)
	}
}

// TestListThatLeavesUsersOut: Clerk does not promise that a list is complete.
func TestListThatLeavesUsersOut(t *testing.T) {
	c := newCrowd(t)
	tokens := c.tokens(t, 200)
	if c.arrive(t, tokens[:1]) != 0 {
		t.Fatal("refused")
	}
	gone, err := c.clerk.SessionToken("user_ada", fakeclerk.Claim("sub", "user_gone"))
	if err != nil {
		t.Fatal(err)
	}
	c.clerk.SetLatency(5 * time.Millisecond)
	c.clerk.SetFault(usersRoute, fakeclerk.Fault{Kind: fakeclerk.FaultWrongJSON, Body: `[{"id":"user_of_nobody"},7]`, Count: 1})
	if refused := c.arrive(t, append(tokens[1:100:100], gone)); refused != 1 {
		t.Errorf("%d refused, want the one who is gone", refused)
	}
	c.clerk.ClearFaults()
	if refused := c.arrive(t, tokens[100:]); refused != 0 {
		t.Errorf("%d refused", refused)
	}
	_, err = c.authenticator.Authenticate(t.Context(), gone)
	wantError(t, err, clerkauth.Unauthenticated, clerkauth.ReasonUnknownUser)
}

// TestNothingIsRemembered with durations that say so.
func TestNothingIsRemembered(t *testing.T) {
	f := newFixture(t, func(o *clerkauth.Options) {
		o.KeysMaxAge, o.KeysStaleIfError, o.UserMaxAge, o.UserStaleIfError = -1, -1, -1, -1
	})
	for i := range 3 {
		if _, err := f.authenticate(t, "user_ada"); err != nil {
			t.Fatal(err)
		}
		if keys, users := f.clerk.Requests(jwksRoute), f.clerk.Requests(userRoute); keys != i+1 || users != i+1 {
			t.Errorf("request %d: %d key fetches and %d user loads", i+1, keys, users)
		}
	}
	f.clerk.SetFault(userRoute, fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 500})
	_, err := f.authenticate(t, "user_ada")
	wantError(t, err, clerkauth.Unavailable, clerkauth.ReasonInvalidResponse)
}

// A token that was used before must not keep the user that it found then.
func TestAUsedTokenSeesWhatIsNewOfItsUser(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token := f.token(t, "user_ada")
	if _, err := f.authenticator.Authenticate(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var others sync.WaitGroup
	defer others.Wait()
	defer cancel()
	for range 4 {
		others.Go(func() {
			for ctx.Err() == nil {
				_, _ = f.authenticator.Authenticate(ctx, token)
			}
		})
	}
	changedAt := f.clock.Now()
	for i := range 500 {
		changedAt = changedAt.Add(time.Millisecond)
		want := fmt.Sprintf("ada+%d@example.com", i)
		banned := i%5 == 4
		f.authenticator.StoreUser(clerkauth.UserRecord{ID: "user_ada", PrimaryEmail: want, Banned: banned, UpdatedAt: changedAt})
		caller, err := f.authenticator.Authenticate(t.Context(), token)
		if banned && err == nil || !banned && (err != nil || caller.Email != want) {
			t.Fatalf("after change %d (banned: %t): got %q, %v", i, banned, caller.Email, err)
		}
	}
}

func TestAUsedTokenDoesNotServeAnOldUserForLonger(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *clerkauth.Options) { o.UserMaxAge, o.UserStaleIfError = 10*time.Second, -1 })
	token := f.token(t, "user_ada")
	for range 2 {
		if _, err := f.authenticator.Authenticate(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	f.clerk.SetFault(userRoute, fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 500})
	f.clock.Advance(10 * time.Second)
	_, err := f.authenticator.Authenticate(t.Context(), token)
	wantError(t, err, clerkauth.Unavailable, clerkauth.ReasonInvalidResponse)
}

// TestUserWhomClerkHasOnlyNow: a sign-up may be quicker than Clerk's own replicas.
// A newer token is good as soon as Clerk has the user.
func TestUserWhomClerkHasOnlyNow(t *testing.T) {
	f := newFixture(t)
	user := f.newUser(t)
	f.clock.Advance(time.Second)
	f.clerk.SetUserFault(user, fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 404, Body: `{"errors":[{"code":"resource_not_found"}]}`})
	_, err := f.authenticate(t, user)
	wantError(t, err, clerkauth.Unauthenticated, clerkauth.ReasonUnknownUser)
	f.clerk.ClearFaults()
	f.clock.Advance(2 * time.Second)
	if _, err := f.authenticate(t, user); err != nil {
		t.Errorf("once Clerk has the user: %v", err)
	}
}
