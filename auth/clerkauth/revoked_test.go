package clerkauth_test

import (
	"testing"
	"time"

	"encore.app/auth/clerkauth"
	"encore.app/internal/fakeclerk"
)

func TestRefusedUsersAndSessions(t *testing.T) {
	f := newFixture(t)
	tokens := make(map[string]string)
	sign := func() {
		tokens["a token without email claim"] = f.token(t, "user_ada")
		tokens["a token with email claim"] = f.token(t, "user_ada", fakeclerk.Claim("email", "ada@example.com"))
	}
	want := func(reason clerkauth.Reason) {
		t.Helper()
		for name, token := range tokens {
			_, err := f.authenticator.Authenticate(t.Context(), token)
			var got clerkauth.Reason
			if err != nil {
				got = clerkauth.AsError(err).Reason
			}
			if got != reason {
				t.Errorf("%s: refused for %q, want %q", name, got, reason)
			}
		}
	}
	sign()
	want("")
	caller, err := f.authenticate(t, "user_ada")
	if err != nil {
		t.Fatal(err)
	}
	now := f.clock.Now()

	f.authenticator.RefuseUser("user_grace", now)
	f.authenticator.RefuseSession("sess_other", now)
	f.authenticator.RefuseUser("", now)
	want("")

	f.authenticator.RefuseUser("user_ada", now)
	want(clerkauth.ReasonUserRevoked)
	f.authenticator.AdmitUser("user_ada", now.Add(-time.Second)) // older news
	want(clerkauth.ReasonUserRevoked)
	f.authenticator.AdmitUser("user_ada", now)
	want("")
	f.authenticator.RefuseUser("user_ada", now.Add(-time.Second)) // older news
	want("")

	f.authenticator.RefuseSession(caller.SessionID, now.Add(time.Hour)) // by a clock that is wrong
	want(clerkauth.ReasonSessionRevoked)
	f.clock.Advance(time.Minute)
	want(clerkauth.ReasonSessionRevoked)
	f.clock.Advance(time.Minute)
	want(clerkauth.ReasonExpired)
	sign()
	want("") // Clerk would not have signed these

	f.authenticator.RefuseUser("user_ada", f.clock.Now().Add(-2*time.Minute)) // too old to matter
	want("")
}

func TestForgottenUserIsAskedForAgain(t *testing.T) {
	f := newFixture(t)
	token := f.token(t, "user_ada")
	want := func(email string) {
		t.Helper()
		caller, err := f.authenticator.Authenticate(t.Context(), token)
		if err != nil || caller.Email != email {
			t.Errorf("got %q, %v, want %q", caller.Email, err, email)
		}
	}
	want("ada@example.com")
	if err := f.clerk.UpdateUser("user_ada", func(u *fakeclerk.User) { u.PrimaryEmailAddressID = "idn_ada_work" }); err != nil {
		t.Fatal(err)
	}
	want("ada@example.com")
	f.authenticator.ForgetUser("user_ada")
	want("ada.lovelace@example.org")
}

func BenchmarkAuthenticateWhileRefusing(b *testing.B) {
	for name, refuse := range map[string]bool{"nobody": false, "another user": true} {
		b.Run(name, func(b *testing.B) {
			f := newFixture(b)
			if refuse {
				f.authenticator.RefuseUser("user_grace", f.clock.Now())
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
