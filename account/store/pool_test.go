package store

import (
	"testing"

	"encore.app/webhooks/clerkevent"
)

// TestOneConnection does everything with a pool of one connection.
func TestOneConnection(t *testing.T) {
	s := New(newPool(t, oneConnection), &testLog{t: t})
	ctx := t.Context()
	for _, e := range []*clerkevent.Event{userEvent("Ada", clerkevent.UserCreated, 1, nil), joined("org_1", "user_ada", 1)} {
		if err := s.Apply(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	var h heard
	h.expect(t, &follower{store: s, target: &h}, "user_ada ", "user_ada in org_1 org:member")
	_, accountErr := s.SaveSettings(ctx, ada(), &Settings{Theme: "dark"})
	page, membersErr := s.Members(ctx, adminOf("org_1"), &MembersParams{Q: "ada"})
	_, usersErr := s.Users(ctx, &UserIDs{IDs: []string{"user_ada"}})
	_, exportErr := s.Export(ctx, "user_ada")
	eraseErr := s.Erase(ctx, "user_ada")
	for _, err := range []error{accountErr, membersErr, usersErr, exportErr, eraseErr} {
		if err != nil {
			t.Error(codeOf(err))
		}
	}
	if names(page) != "ada" {
		t.Error(names(page))
	}
}
