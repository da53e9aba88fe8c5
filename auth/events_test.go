//go:build encore_local

package auth

import (
	"testing"
	"time"

	"encore.dev/beta/errs"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
)

func TestEvents(t *testing.T) {
	service, err := initService() // the service that the endpoints act on
	if err != nil {
		t.Fatal(err)
	}
	email := fakeclerk.Claim("email", "grace@example.com") // with it, no user is loaded
	grace := "Bearer " + token(t, "user_grace", email, fakeclerk.Claim("sid", "sess_1"))
	elsewhere := "Bearer " + token(t, "user_grace", email, fakeclerk.Claim("sid", "sess_2"))
	at := time.Now()
	updated := func(banned bool) error {
		at = at.Add(time.Millisecond)
		return UserUpdated(t.Context(), &clerkauth.UserRecord{ID: "user_grace", PrimaryEmail: "grace@example.com", Banned: banned, UpdatedAt: at})
	}
	for _, test := range []struct {
		name                   string
		event                  func() error
		session1In, session2In bool
	}{
		{"another user is deleted", func() error { return UserDeleted(t.Context(), &Ended{ID: "user_other", At: at}) }, true, true},
		{"a session ended", func() error { return SessionEnded(t.Context(), &Ended{ID: "sess_1", At: at}) }, false, true},
		{"the user is banned", func() error { return updated(true) }, false, false},
		{"the user is admitted again", func() error { return updated(false) }, false, true},
		{"the user is deleted", func() error {
			at = at.Add(time.Millisecond)
			return UserDeleted(t.Context(), &Ended{ID: "user_grace", At: at})
		}, false, false},
	} {
		for range 2 { // delivered at least once
			if err := test.event(); err != nil {
				t.Fatal(err)
			}
		}
		for authorization, in := range map[string]bool{grace: test.session1In, elsewhere: test.session2In} {
			_, _, err := service.AuthHandler(t.Context(), &Params{Authorization: authorization})
			if (err == nil) != in || err != nil && errs.Code(err) != errs.Unauthenticated {
				t.Errorf("%s: signed in: %v, want %v", test.name, err, in)
			}
		}
	}
}
