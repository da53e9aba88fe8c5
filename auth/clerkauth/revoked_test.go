package clerkauth_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
)

// tokens are valid tokens of user_ada.
func (f *fixture) tokens(t *testing.T) map[string]string {
	return map[string]string{
		"a token without email claim": f.token(t, "user_ada"),
		"a token with email claim":    f.token(t, "user_ada", fakeclerk.Claim("email", "ada@example.com")),
	}
}

func (f *fixture) wantAll(t *testing.T, tokens map[string]string, reasons ...clerkauth.Reason) {
	t.Helper()
	for name, token := range tokens {
		_, err := f.authenticator.Authenticate(t.Context(), token)
		var got clerkauth.Reason
		if err != nil {
			got = clerkauth.AsError(err).Reason
		}
		if !slices.Contains(reasons, got) {
			t.Errorf("%s: refused for %q, want %q", name, got, reasons)
		}
	}
}

func TestRefusedUsersAndSessions(t *testing.T) {
	f := newFixture(t)
	tokens := f.tokens(t)
	f.wantAll(t, tokens, "")
	caller, err := f.authenticate(t, "user_ada")
	if err != nil {
		t.Fatal(err)
	}
	now := f.clock.Now()
	store := func(banned bool, at time.Time) {
		f.authenticator.StoreUser(clerkauth.UserRecord{ID: "user_ada", PrimaryEmail: "ada@example.com", Banned: banned, UpdatedAt: at})
	}

	f.authenticator.RevokeUser("user_grace", now)
	f.authenticator.RevokeSession("sess_other", now)
	f.authenticator.RevokeUser("", now)
	f.wantAll(t, tokens, "")

	store(true, now)
	f.wantAll(t, tokens, clerkauth.ReasonUserRevoked, clerkauth.ReasonUserBanned)
	store(false, now.Add(-time.Second)) // older
	f.wantAll(t, tokens, clerkauth.ReasonUserRevoked, clerkauth.ReasonUserBanned)
	store(false, now) // a tie
	f.wantAll(t, tokens, clerkauth.ReasonUserRevoked, clerkauth.ReasonUserBanned)
	store(false, now.Add(time.Millisecond))
	f.wantAll(t, tokens, "")
	store(true, now.Add(-time.Second)) // older
	f.wantAll(t, tokens, "")

	f.authenticator.RevokeSession(caller.SessionID, now.Add(time.Hour)) // by a clock that is wrong
	f.wantAll(t, tokens, clerkauth.ReasonSessionRevoked)
	f.clock.Advance(time.Minute)
	f.wantAll(t, tokens, clerkauth.ReasonSessionRevoked)
	f.clock.Advance(time.Minute)
	f.wantAll(t, tokens, clerkauth.ReasonExpired)
	f.wantAll(t, f.tokens(t), clerkauth.ReasonSessionRevoked) // Clerk would not have signed these
	tokens = map[string]string{"a token of another session": f.token(t, "user_ada", fakeclerk.Claim("sid", "sess_another"))}
	f.wantAll(t, tokens, "")

	f.authenticator.RevokeUser("user_ada", f.clock.Now().Add(-3*time.Minute)) // the tokens show that the user is back
	f.wantAll(t, tokens, "")
	f.authenticator.RevokeUser("user_ada", f.clock.Now())
	f.wantAll(t, tokens, clerkauth.ReasonUserRevoked, clerkauth.ReasonUserDeleted)
	store(false, f.clock.Now().Add(-time.Millisecond)) // an event that was late
	f.wantAll(t, tokens, clerkauth.ReasonUserRevoked, clerkauth.ReasonUserDeleted)
}

// TestRefusalLastsAsLongAsTheToken: Clerk makes session tokens for an hour and
// longer on request.
func TestRefusalLastsAsLongAsTheToken(t *testing.T) {
	f := newFixture(t)
	lasting := func(options ...fakeclerk.TokenOption) string {
		return f.token(t, "user_ada", append(options, fakeclerk.Claim("exp", f.clock.Now().Add(12*time.Hour).Unix()))...)
	}
	email := fakeclerk.Claim("email", "ada@example.com")
	tokens := map[string]string{"a token": lasting(), "a token with email claim": lasting(email)}
	f.wantAll(t, tokens, "")
	tokens["a token that was not used before"] = lasting()
	caller, err := f.authenticate(t, "user_ada")
	if err != nil {
		t.Fatal(err)
	}
	ofUser := map[string]string{"of another session, with email claim": lasting(email, fakeclerk.Claim("sid", "sess_another"))}

	f.authenticator.RevokeSession(caller.SessionID, f.clock.Now())
	f.wantAll(t, ofUser, "")
	f.authenticator.RevokeUser("user_grace", f.clock.Now())
	for i := range 90_000 { // others sign out
		f.authenticator.RevokeSession(fmt.Sprintf("sess_%d", i), f.clock.Now())
	}
	for range 11 {
		f.clock.Advance(time.Hour)
		f.wantAll(t, tokens, clerkauth.ReasonSessionRevoked)
	}
	f.wantAll(t, ofUser, "")
	f.authenticator.RevokeUser("user_ada", f.clock.Now().Add(-10*time.Minute)) // an event that was late
	f.wantAll(t, ofUser, clerkauth.ReasonUserRevoked)
	f.clock.Advance(time.Hour + time.Minute)
	f.wantAll(t, ofUser, clerkauth.ReasonExpired)
	f.wantAll(t, map[string]string{"a new token": f.token(t, "user_ada", email, fakeclerk.Claim("sid", "sess_new"))}, "")
}

// TestBanOfALastingTokenWithEmailClaim: its user is loaded once the token is old,
// so that a ban counts without an event.
func TestBanOfALastingTokenWithEmailClaim(t *testing.T) {
	f := newFixture(t)
	token := f.token(t, "user_ada", fakeclerk.Claim("email", "ada@example.com"), fakeclerk.Claim("exp", f.clock.Now().Add(time.Hour).Unix()))
	if _, err := f.authenticator.Authenticate(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	if err := f.clerk.BanUser("user_ada"); err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(2 * time.Minute)
	_, err := f.authenticator.Authenticate(t.Context(), token)
	wantError(t, err, clerkauth.Unauthenticated, clerkauth.ReasonUserBanned)
}

// TestStoredUserNeedsNoCall: what an event says is served, while Clerk is down
// as well.
func TestStoredUserNeedsNoCall(t *testing.T) {
	f := newFixture(t)
	if _, err := f.authenticate(t, "user_ada"); err != nil {
		t.Fatal(err)
	}
	f.clerk.SetFault("", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 500})
	user := f.newUser(t)
	want := func(email string, verified bool) {
		t.Helper()
		caller, err := f.authenticate(t, user)
		if err != nil || caller.Email != email || caller.EmailVerified != verified {
			t.Errorf("got %q, verified: %v, %v, want %q, %v", caller.Email, caller.EmailVerified, err, email, verified)
		}
	}
	at := f.clock.Now()
	f.authenticator.StoreUser(clerkauth.UserRecord{ID: user, PrimaryEmail: "old@example.com", UpdatedAt: at})
	want("old@example.com", false)
	f.authenticator.StoreUser(clerkauth.UserRecord{ID: user, PrimaryEmail: "new@example.com", EmailVerified: true, UpdatedAt: at.Add(time.Second)})
	want("new@example.com", true)
	f.authenticator.StoreUser(clerkauth.UserRecord{ID: user, PrimaryEmail: "old@example.com", UpdatedAt: at})
	want("new@example.com", true)
	f.authenticator.StoreUser(clerkauth.UserRecord{ID: user, PrimaryEmail: "timeless@example.com"})
	want("new@example.com", true)
}

// TestOldEventIsNotTakenForNews: an event that comes hours late describes a
// user as they were.
func TestOldEventIsNotTakenForNews(t *testing.T) {
	f := newFixture(t)
	f.authenticator.StoreUser(clerkauth.UserRecord{ID: "user_ada", PrimaryEmail: "old@example.com", UpdatedAt: f.clock.Now().Add(-time.Hour)})
	caller, err := f.authenticate(t, "user_ada")
	if err != nil || caller.Email != "ada@example.com" {
		t.Errorf("got %q, %v", caller.Email, err)
	}
}

// TestOlderAnswerDoesNotOverwriteNewerEvent: a load that was running when the
// event arrived ends with the content of the event.
func TestOlderAnswerDoesNotOverwriteNewerEvent(t *testing.T) {
	f := newFixture(t)
	if _, err := f.authenticate(t, "user_grace"); err != nil {
		t.Fatal(err)
	}
	f.clerk.ResetRequests()
	f.clerk.SetFault(userRoute, fakeclerk.Fault{Kind: fakeclerk.FaultLatency, Latency: 200 * time.Millisecond})
	type answer struct {
		caller clerkauth.Caller
		err    error
	}
	answered := make(chan answer, 1)
	token := f.token(t, "user_ada")
	go func() {
		caller, err := f.authenticator.Authenticate(context.Background(), token)
		answered <- answer{caller, err}
	}()
	eventually(t, "the load is on its way", func() bool { return f.clerk.Requests(userRoute) == 1 })
	f.authenticator.StoreUser(clerkauth.UserRecord{ID: "user_ada", PrimaryEmail: "new@example.com", UpdatedAt: f.clock.Now().Add(time.Second)})
	if got := <-answered; got.err != nil || got.caller.Email != "new@example.com" {
		t.Errorf("the one who waited: got %q, %v", got.caller.Email, got.err)
	}
	if caller, err := f.authenticator.Authenticate(t.Context(), token); err != nil || caller.Email != "new@example.com" {
		t.Errorf("afterwards: got %q, %v", caller.Email, err)
	}
}

func BenchmarkAuthenticateWhileRefusing(b *testing.B) {
	for name, refuse := range map[string]bool{"nobody": false, "another user": true} {
		b.Run(name, func(b *testing.B) {
			f := newFixture(b)
			if refuse {
				f.authenticator.RevokeUser("user_grace", f.clock.Now())
			}
			token := f.token(b, "user_ada")
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.authenticator.Authenticate(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
