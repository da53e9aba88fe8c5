//go:build encore_local

package auth

import (
	"testing"
	"time"

	"encore.dev/beta/errs"

	"encore.app/internal/fakeclerk"
	"encore.app/webhooks/clerkevent"
)

func TestRevoke(t *testing.T) {
	service, err := initService()
	if err != nil {
		t.Fatal(err)
	}
	email := fakeclerk.Claim("email", "grace@example.com") // with it, no user is loaded
	grace := "Bearer " + token(t, "user_grace", email, fakeclerk.Claim("sid", "sess_1"))
	elsewhere := "Bearer " + token(t, "user_grace", email, fakeclerk.Claim("sid", "sess_2"))
	now := time.Now()
	user := func(eventType clerkevent.Type, banned bool) *clerkevent.Event {
		now = now.Add(time.Millisecond)
		return &clerkevent.Event{Type: eventType, At: now, User: &clerkevent.User{ID: "user_grace", Banned: banned}}
	}
	for _, test := range []struct {
		name                   string
		event                  *clerkevent.Event
		session1In, session2In bool
	}{
		{"another user is deleted", &clerkevent.Event{Type: clerkevent.UserDeleted, At: now, User: &clerkevent.User{ID: "user_other"}}, true, true},
		{"an organization changed", &clerkevent.Event{Type: clerkevent.OrganizationUpdated, At: now, Organization: &clerkevent.Organization{ID: "org_1"}}, true, true},
		{"a session ended", &clerkevent.Event{Type: clerkevent.SessionEnded, At: now, Session: &clerkevent.Session{ID: "sess_1", UserID: "user_grace"}}, false, true},
		{"the user is banned", user(clerkevent.UserUpdated, true), false, false},
		{"the user is admitted again", user(clerkevent.UserUpdated, false), false, true},
		{"the user is deleted", user(clerkevent.UserDeleted, false), false, false},
	} {
		for range 2 { // delivered at least once
			if err := service.Revoke(t.Context(), test.event); err != nil {
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
