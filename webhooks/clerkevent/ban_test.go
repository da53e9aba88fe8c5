package clerkevent_test

import (
	"context"
	"testing"
	"time"

	"encore.app/auth/clerkauth"
	"encore.app/webhooks/clerkevent"
)

type updates struct {
	clerkevent.Target
	last *clerkauth.UserRecord
}

func (u *updates) UserUpdated(_ context.Context, user *clerkauth.UserRecord) error {
	u.last = user
	return nil
}

// TestBanCountsFromTheLaterTime: a ban is news although the record keeps its
// time. Another change is as old as the record.
func TestBanCountsFromTheLaterTime(t *testing.T) {
	old, now := time.Unix(1_700_000_000, 0), time.Unix(1_800_000_000, 0)
	for _, test := range []struct {
		banned           bool
		at, record, want time.Time
	}{
		{true, now, old, now},
		{true, old, now, now},
		{true, now, time.Time{}, now},
		{false, now, old, old},
		{false, now, time.Time{}, now},
	} {
		var target updates
		event := clerkevent.Event{Type: clerkevent.UserUpdated, At: test.at, User: &clerkevent.User{ID: "user_ada", Banned: test.banned, UpdatedAt: test.record}}
		if err := event.Tell(t.Context(), &target); err != nil || !target.last.UpdatedAt.Equal(test.want) {
			t.Errorf("%+v: %v, %v", test, target.last, err)
		}
	}
}
