package store

import (
	"strings"
	"testing"
	"time"

	"encore.app/webhooks/clerkevent"
)

// at is a time of Clerk's, in minutes.
func at(minutes int) time.Time {
	return time.Date(2026, 1, 1, 0, minutes, 0, 0, time.UTC)
}

func userEvent(id string, eventType clerkevent.Type, minute int, change func(*clerkevent.User)) *clerkevent.Event {
	u := &clerkevent.User{ID: "user_ada", CreatedAt: at(0), UpdatedAt: at(minute), FirstName: id}
	if change != nil {
		change(u)
	}
	return &clerkevent.Event{ID: id, Type: eventType, At: at(minute), User: u}
}

func TestUserEvents(t *testing.T) {
	created := userEvent("created", clerkevent.UserCreated, 0, nil)
	first := userEvent("first", clerkevent.UserUpdated, 1, nil)
	second := userEvent("second", clerkevent.UserUpdated, 2, func(u *clerkevent.User) { u.Banned = true })
	deleted := userEvent("deleted", clerkevent.UserDeleted, 3, func(u *clerkevent.User) { *u = clerkevent.User{ID: u.ID} })
	// Two changes in the millisecond of the first.
	laterEvent := userEvent("later event", clerkevent.UserUpdated, 1, nil)
	laterEvent.At = laterEvent.At.Add(time.Millisecond)
	sameMoment := userEvent("same moment", clerkevent.UserUpdated, 1, nil)
	bannedThen := userEvent("banned then", clerkevent.UserUpdated, 1, func(u *clerkevent.User) { u.Banned = true })
	undated := userEvent("undated", clerkevent.UserUpdated, 2, func(u *clerkevent.User) { u.UpdatedAt = time.Time{} })
	odd := userEvent("odd", clerkevent.UserUpdated, 1, func(u *clerkevent.User) {
		u.FirstName, u.LastName = "A\x00da\xff", strings.Repeat("é", 3000)
	})
	s, _ := newStore(t, nil)
	execute(t, s, guards)
	for _, test := range []struct {
		name   string
		events []*clerkevent.Event
		want   string // the first name; "" for a deleted user
	}{
		{"in order", []*clerkevent.Event{created, first, second}, "second"},
		{"out of order", []*clerkevent.Event{second, created, first}, "second"},
		{"repeated", []*clerkevent.Event{first, second, first}, "second"},
		{"the first is lost", []*clerkevent.Event{first}, "first"},
		{"deleted at the end", []*clerkevent.Event{created, second, deleted}, ""},
		{"deleted before anything else came", []*clerkevent.Event{deleted, second, created}, ""},
		{"two at once, in order", []*clerkevent.Event{first, laterEvent}, "later event"},
		{"two at once, out of order", []*clerkevent.Event{laterEvent, first}, "later event"},
		{"two in one event time", []*clerkevent.Event{first, sameMoment}, "same moment"},
		{"a ban stays in one event time", []*clerkevent.Event{bannedThen, sameMoment}, "banned then"},
		{"a ban wins in one event time", []*clerkevent.Event{sameMoment, bannedThen}, "banned then"},
		{"no time of change", []*clerkevent.Event{first, undated}, "undated"},
		{"a name that PostgreSQL cannot store", []*clerkevent.Event{odd}, "Ada\uFFFD"},
	} {
		t.Run(test.name, func(t *testing.T) {
			empty(t, s)
			for _, e := range test.events {
				if err := s.Apply(t.Context(), e); err != nil {
					t.Fatal(codeOf(err))
				}
			}
			var name string
			var deleted bool
			if err := s.pool.QueryRow(t.Context(), "SELECT first_name, deleted_at IS NOT NULL FROM users").Scan(&name, &deleted); err != nil {
				t.Fatal(err)
			}
			if name != test.want || deleted != (test.want == "") {
				t.Errorf("got %q, deleted: %v; want %q", name, deleted, test.want)
			}
		})
	}
}

func TestMembershipEvents(t *testing.T) {
	event := func(id string, eventType clerkevent.Type, minute, created int, role string) *clerkevent.Event {
		return &clerkevent.Event{ID: id + string(eventType) + role, Type: eventType, At: at(minute), Membership: &clerkevent.Membership{
			ID: id, OrganizationID: "org_1", UserID: "user_ada", Role: role, CreatedAt: at(created), UpdatedAt: at(minute),
		}}
	}
	joined := event("orgmem_1", clerkevent.MembershipCreated, 1, 1, "org:member")
	promoted := event("orgmem_1", clerkevent.MembershipUpdated, 2, 1, "org:admin")
	left := event("orgmem_1", clerkevent.MembershipDeleted, 3, 1, "org:admin")
	rejoined := event("orgmem_2", clerkevent.MembershipCreated, 4, 4, "org:guest")
	leftAgain := event("orgmem_2", clerkevent.MembershipDeleted, 5, 4, "org:guest")
	userGone := userEvent("gone", clerkevent.UserDeleted, 6, nil)
	organizationGone := &clerkevent.Event{
		ID: "organization gone", Type: clerkevent.OrganizationDeleted, At: at(6), Organization: &clerkevent.Organization{ID: "org_1"},
	}
	s, _ := newStore(t, nil)
	for _, test := range []struct {
		name   string
		events []*clerkevent.Event
		want   string // the role; "" for no member
	}{
		{"joined", []*clerkevent.Event{joined}, "org:member"},
		{"promoted", []*clerkevent.Event{joined, promoted}, "org:admin"},
		{"promoted, out of order", []*clerkevent.Event{promoted, joined}, "org:admin"},
		{"left", []*clerkevent.Event{joined, promoted, left}, ""},
		{"left, and the rest comes late", []*clerkevent.Event{left, joined, promoted}, ""},
		{"joined again", []*clerkevent.Event{joined, left, rejoined}, "org:guest"},
		{"joined again, the end of the first comes late", []*clerkevent.Event{joined, rejoined, left}, "org:guest"},
		{"joined again, the first comes late", []*clerkevent.Event{rejoined, joined, promoted}, "org:guest"},
		{"left again, the first comes late", []*clerkevent.Event{rejoined, leftAgain, joined, promoted}, ""},
		{"the user is deleted", []*clerkevent.Event{joined, userGone}, ""},
		{"the user is deleted before", []*clerkevent.Event{userGone, joined, left, rejoined}, ""},
		{"the organization is deleted", []*clerkevent.Event{joined, organizationGone}, ""},
		{"the organization is deleted before", []*clerkevent.Event{organizationGone, joined, left, rejoined}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			empty(t, s)
			for _, e := range test.events {
				if err := s.Apply(t.Context(), e); err != nil {
					t.Fatal(codeOf(err))
				}
			}
			roles, err := collect[string](t.Context(), s.pool, "SELECT role FROM memberships WHERE deleted_at IS NULL")
			if err != nil {
				t.Fatal(err)
			}
			found, err := collect[string](t.Context(), s.pool, inconsistencies)
			if got := strings.Join(roles, " "); err != nil || got != test.want || len(found) > 0 {
				t.Errorf("got %q, want %q; %v, %v", got, test.want, found, err)
			}
		})
	}
}

func TestNothingIsStoredOfAnEventThatFails(t *testing.T) {
	s, log := newStore(t, nil)
	execute(t, s, "ALTER TABLE users ADD CHECK (first_name <> 'created')")
	log.expects.Store(true)
	created := userEvent("created", clerkevent.UserCreated, 0, nil)
	if err := s.Apply(t.Context(), created); err == nil {
		t.Fatal("no error")
	}
	execute(t, s, "ALTER TABLE users DROP CONSTRAINT users_first_name_check")
	if err := s.Apply(t.Context(), created); err != nil {
		t.Fatal(codeOf(err))
	}
	if ids, err := collect[string](t.Context(), s.pool, "SELECT id FROM users"); err != nil || len(ids) != 1 {
		t.Errorf("got %v, %v", ids, err)
	}
}
