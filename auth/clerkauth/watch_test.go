package clerkauth_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
)

// watching returns a watch of Ada, admin of org_analytical, and what issues her
// further tokens.
func watching(t *testing.T) (a *clerkauth.Authenticator, w *clerkauth.Watch, token func(...fakeclerk.TokenOption) string) {
	t.Helper()
	clerk, err := fakeclerk.Start(fakeclerk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { clerk.Close() })
	a, err = clerkauth.New(clerkauth.Options{SecretKey: clerk.SecretKey(), APIURL: clerk.URL(), AuthorizedParties: []string{fakeclerk.DefaultAuthorizedParty}})
	if err != nil {
		t.Fatal(err)
	}
	token = func(options ...fakeclerk.TokenOption) string {
		t.Helper()
		signed, err := clerk.SessionToken("user_ada", append([]fakeclerk.TokenOption{fakeclerk.ActiveOrganization("org_analytical")}, options...)...)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	caller, err := a.Authenticate(t.Context(), token())
	if err != nil {
		t.Fatal(err)
	}
	w = a.Watch(t.Context(), &caller)
	t.Cleanup(w.Stop)
	return a, w, token
}

func TestWatchEnds(t *testing.T) {
	now := time.Now().Add(time.Minute)
	member := clerkauth.MembershipRecord{OrganizationID: "org_analytical", UserID: "user_ada", Role: "org:member", UpdatedAt: now}
	admin, gone, before, elsewhere := member, member, member, member
	admin.Role, gone.Role, before.UpdatedAt, elsewhere.OrganizationID = "org:admin", "", now.Add(-time.Hour), "org_other"
	for _, test := range []struct {
		name   string
		report func(*clerkauth.Authenticator, string)
		reason clerkauth.Reason // "": it continues
	}{
		{"ban", func(a *clerkauth.Authenticator, _ string) {
			a.StoreUser(clerkauth.UserRecord{ID: "user_ada", Banned: true, UpdatedAt: now})
		}, clerkauth.ReasonUserRevoked},
		{"deletion", func(a *clerkauth.Authenticator, _ string) { a.RevokeUser("user_ada", now) }, clerkauth.ReasonUserRevoked},
		{"sign-out", func(a *clerkauth.Authenticator, session string) { a.RevokeSession(session, now) }, clerkauth.ReasonSessionRevoked},
		{"another role", func(a *clerkauth.Authenticator, _ string) { a.StoreMembership(member) }, clerkauth.ReasonRoleChanged},
		{"no member any more", func(a *clerkauth.Authenticator, _ string) { a.StoreMembership(gone) }, clerkauth.ReasonRoleChanged},
		{"the same role", func(a *clerkauth.Authenticator, _ string) { a.StoreMembership(admin) }, ""},
		{"a role before the token", func(a *clerkauth.Authenticator, _ string) { a.StoreMembership(before) }, ""},
		{"a role elsewhere", func(a *clerkauth.Authenticator, _ string) { a.StoreMembership(elsewhere) }, ""},
		{"the end of the organization", func(a *clerkauth.Authenticator, _ string) {
			a.StoreMembership(clerkauth.MembershipRecord{OrganizationID: "org_analytical", UpdatedAt: now})
		}, clerkauth.ReasonRoleChanged},
		{"the end of another organization", func(a *clerkauth.Authenticator, _ string) {
			a.StoreMembership(clerkauth.MembershipRecord{OrganizationID: "org_other", UpdatedAt: now})
		}, ""},
		{"another user's ban", func(a *clerkauth.Authenticator, _ string) {
			a.StoreUser(clerkauth.UserRecord{ID: "user_grace", Banned: true, UpdatedAt: now})
		}, ""},
		{"another session's end", func(a *clerkauth.Authenticator, _ string) { a.RevokeSession("sess_other", now) }, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, w, _ := watching(t)
			test.report(a, w.Caller().SessionID)
			var reason clerkauth.Reason
			if err := context.Cause(w.Context()); err != nil {
				reason = clerkauth.AsError(err).Reason
			}
			if reason != test.reason {
				t.Errorf("ended with %q, want %q", reason, test.reason)
			}
		})
	}
}

// A report that came before the connection counts as well.
func TestWatchOfOneWhoWasRevoked(t *testing.T) {
	a, w, _ := watching(t)
	caller := w.Caller()
	a.RevokeSession(caller.SessionID, time.Now())
	late := a.Watch(t.Context(), &caller)
	defer late.Stop()
	if err := context.Cause(late.Context()); clerkauth.AsError(err).Reason != clerkauth.ReasonSessionRevoked {
		t.Errorf("got %v", err)
	}
}

func TestWatchIsRenewedByTheSameCallerOnly(t *testing.T) {
	_, w, token := watching(t)
	if err := w.Renew(t.Context(), token()); err != nil {
		t.Fatal(err)
	}
	if err := w.Renew(t.Context(), token(fakeclerk.ActiveOrganization(""))); clerkauth.AsError(err).Reason != clerkauth.ReasonCallerChanged {
		t.Errorf("another organization: %v", err)
	}
	if w.Context().Err() == nil {
		t.Error("it goes on")
	}
	_, w, _ = watching(t)
	if err := w.Renew(t.Context(), "x"); clerkauth.AsError(err).Kind != clerkauth.Unauthenticated || w.Context().Err() == nil {
		t.Errorf("a forged token: %v, %v", err, w.Context().Err())
	}
}

// A watch ends with its token, five seconds of leeway included.
func TestWatchExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, err := clerkauth.New(clerkauth.Options{SecretKey: "sk_test_x", AuthorizedParties: []string{fakeclerk.DefaultAuthorizedParty}})
		if err != nil {
			t.Fatal(err)
		}
		w := a.Watch(t.Context(), &clerkauth.Caller{TokenType: clerkauth.SessionToken, UserID: "user_ada", SessionID: "sess_1", ExpiresAt: time.Now().Add(time.Minute)})
		defer w.Stop()
		time.Sleep(time.Minute)
		if w.Context().Err() != nil {
			t.Fatal("it ended early")
		}
		<-w.Context().Done()
		if reason := clerkauth.AsError(context.Cause(w.Context())).Reason; reason != clerkauth.ReasonExpired {
			t.Errorf("ended with %q", reason)
		}
	})
}

// oauthWatch returns a watch of an OAuth client that acts for Ada.
func oauthWatch(t *testing.T, f *fixture, token fakeclerk.MachineToken) (*clerkauth.Watch, fakeclerk.MachineToken) {
	t.Helper()
	token.Type, token.Subject = fakeclerk.TypeOAuthToken, "user_ada"
	issued := f.issue(t, token)
	caller, err := f.authenticator.Authenticate(t.Context(), issued.Token)
	if err != nil {
		t.Fatal(err)
	}
	w := f.authenticator.Watch(t.Context(), &caller)
	t.Cleanup(w.Stop)
	return w, issued
}

// An OAuth access token lives for long, and an event that Clerk repeats is late.
func TestWatchOfAMachineEndsByALateEvent(t *testing.T) {
	for _, jwt := range []bool{true, false} {
		f := newFixture(t, acceptEvery)
		w, _ := oauthWatch(t, f, fakeclerk.MachineToken{JWT: jwt, ExpiresAt: f.clock.Now().Add(20 * time.Hour)})
		banned := f.clock.Now()
		f.clock.Advance(5 * time.Minute)
		f.authenticator.StoreUser(clerkauth.UserRecord{ID: "user_ada", Banned: true, UpdatedAt: banned})
		if err := context.Cause(w.Context()); err == nil || clerkauth.AsError(err).Reason != clerkauth.ReasonUserRevoked {
			t.Errorf("JWT %v: %v", jwt, err)
		}
	}
}

func TestWatchOfAMachineIsRenewedByTheSameClientOnly(t *testing.T) {
	f := newFixture(t, acceptEvery)
	wide := fakeclerk.MachineToken{ClientID: "client_a", Scopes: []string{"profile", "admin"}, JWT: true, ExpiresAt: f.clock.Now().Add(time.Hour)}
	narrow, another := wide, wide
	narrow.Scopes, another.ClientID = []string{"profile"}, "client_b"
	for _, token := range []fakeclerk.MachineToken{wide, narrow, another} {
		w, _ := oauthWatch(t, f, wide)
		token.Type, token.Subject = fakeclerk.TypeOAuthToken, "user_ada"
		token.ExpiresAt = f.clock.Now().Add(2 * time.Hour)
		err := w.Renew(t.Context(), f.issue(t, token).Token)
		if same := token.ClientID == wide.ClientID && len(token.Scopes) == len(wide.Scopes); same != (err == nil) {
			t.Errorf("%s %v: %v", token.ClientID, token.Scopes, err)
		}
	}
}

// Nobody reports that an API key was revoked.
func TestWatchOfAnOpaqueTokenExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, err := clerkauth.New(clerkauth.Options{SecretKey: "sk_test_x", AcceptsToken: []clerkauth.TokenType{clerkauth.APIKey}})
		if err != nil {
			t.Fatal(err)
		}
		w := a.Watch(t.Context(), &clerkauth.Caller{TokenType: clerkauth.APIKey, Subject: "user_ada", UserID: "user_ada"})
		defer w.Stop()
		time.Sleep(time.Minute)
		if w.Context().Err() != nil {
			t.Fatal("it ended early")
		}
		time.Sleep(time.Minute)
		if reason := clerkauth.AsError(context.Cause(w.Context())).Reason; reason != clerkauth.ReasonExpired {
			t.Errorf("ended with %q", reason)
		}
	})
}
