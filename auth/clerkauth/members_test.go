package clerkauth_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"encore.app/auth/clerkauth"
	"encore.app/internal/fakeclerk"
)

func newMembers(t *testing.T, now func() time.Time) (*clerkauth.Members, *fakeclerk.Server) {
	t.Helper()
	clerk, err := fakeclerk.Start(fakeclerk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = clerk.Close() })
	members, err := clerkauth.NewMembers(clerkauth.Options{SecretKey: clerk.SecretKey(), APIURL: clerk.URL(), Now: now, BudgetShare: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return members, clerk
}

const (
	listMemberships = "GET /v1/organizations/{id}/memberships"
)

func TestMembersAreListedByPage(t *testing.T) {
	members, clerk := newMembers(t, nil)
	for i := range 5 {
		id := fmt.Sprintf("user_%d", i)
		if _, err := clerk.AddUser(fakeclerk.User{ID: id, Username: id}); err != nil {
			t.Fatal(err)
		}
		if _, err := clerk.AddMembership("org_analytical", id, ""); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		limit, offset int
		want          []string
	}{
		{2, 0, []string{"user_ada", "user_grace"}},
		{2, 2, []string{"user_0", "user_1"}},
		{clerkauth.MaxMembersLimit, 6, []string{"user_4"}},
		{10, 7, nil},
		{0, -1, []string{"user_ada"}},
	} {
		page, err := members.List(t.Context(), "org_analytical", test.limit, test.offset)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, m := range page.Members {
			ids = append(ids, m.UserID)
		}
		if !reflect.DeepEqual(ids, test.want) || page.Total != 7 {
			t.Errorf("limit %d, offset %d: %v of %d, want %v", test.limit, test.offset, ids, page.Total, test.want)
		}
	}
	page, err := members.List(t.Context(), "org_analytical", 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	ada := page.Members[0]
	if ada.Role != "org:admin" || ada.Identifier != "ada@example.com" || ada.FirstName != "Ada" || ada.LastName != "Lovelace" || time.Since(ada.JoinedAt) > time.Minute {
		t.Errorf("%+v", ada)
	}
}

func TestMembersAreRememberedBriefly(t *testing.T) {
	clock := newClock()
	members, clerk := newMembers(t, clock.Now)
	list := func() int {
		t.Helper()
		page, err := members.List(t.Context(), "org_analytical", 10, 0)
		if err != nil {
			t.Fatal(err)
		}
		return page.Total
	}
	list()
	if _, err := clerk.AddMembership("org_analytical", "user_noemail", ""); err != nil {
		t.Fatal(err)
	}
	clock.Advance(9 * time.Second)
	if got := list(); got != 2 || clerk.Requests(listMemberships) != 1 {
		t.Errorf("%d members after %d requests", got, clerk.Requests(listMemberships))
	}
	clock.Advance(time.Second)
	if got := list(); got != 3 || clerk.Requests(listMemberships) != 2 {
		t.Errorf("%d members after %d requests", got, clerk.Requests(listMemberships))
	}
}

func TestMembersAtOnceShareACall(t *testing.T) {
	members, clerk := newMembers(t, nil)
	clerk.SetFault(listMemberships, fakeclerk.Fault{Kind: fakeclerk.FaultLatency, Latency: 100 * time.Millisecond})
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if _, err := members.List(t.Context(), "org_analytical", 10, 0); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := clerk.Requests(listMemberships); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestMemberIsRemoved(t *testing.T) {
	members, _ := newMembers(t, nil)
	if _, err := members.List(t.Context(), "org_analytical", 10, 0); err != nil {
		t.Fatal(err)
	}
	if err := members.Remove(t.Context(), "org_analytical", "user_grace"); err != nil {
		t.Fatal(err)
	}
	page, err := members.List(t.Context(), "org_analytical", 10, 0)
	if err != nil || page.Total != 1 {
		t.Errorf("%d members are left, %v", page.Total, err)
	}
	for _, test := range []struct {
		name, organization, user string
		want                     error
	}{
		{"no longer a member", "org_analytical", "user_grace", clerkauth.ErrNotFound},
		{"no such organization", "org_other", "user_ada", clerkauth.ErrNotFound},
		{"the last admin", "org_analytical", "user_ada", clerkauth.ErrLastAdministrator},
	} {
		if err := members.Remove(t.Context(), test.organization, test.user); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	// None of these is a fault of Clerk's: there is no back-off.
	if _, err := members.List(t.Context(), "org_analytical", 5, 0); err != nil {
		t.Error(err)
	}
}

func TestIDsThatAreNoneDoNotReachClerk(t *testing.T) {
	members, clerk := newMembers(t, nil)
	for _, id := range []string{"", "org_", "org_a/../org_b", "org_a?x=1", "org_a%2fb", "user_ada"} {
		if _, err := members.List(t.Context(), id, 10, 0); !errors.Is(err, clerkauth.ErrNotFound) {
			t.Errorf("list %q: %v", id, err)
		}
		if err := members.Remove(t.Context(), id, "user_ada"); !errors.Is(err, clerkauth.ErrNotFound) {
			t.Errorf("remove from %q: %v", id, err)
		}
	}
	for _, id := range []string{"", "user_", "user_a/..", "../user_a", "org_analytical"} {
		if err := members.Remove(t.Context(), "org_analytical", id); !errors.Is(err, clerkauth.ErrNotFound) {
			t.Errorf("remove %q: %v", id, err)
		}
	}
	if n := clerk.TotalRequests(); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestMembersErrors(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		name  string
		ctx   context.Context
		fault fakeclerk.Fault
		want  clerkauth.Kind
	}{
		{"Clerk is down", t.Context(), fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 503}, clerkauth.Unavailable},
		{"Clerk answers something else", t.Context(), fakeclerk.Fault{Kind: fakeclerk.FaultWrongJSON, Body: `{"data":[{"id":"orgmem_1"}],"total_count":1}`}, clerkauth.Unavailable},
		{"our key is refused", t.Context(), fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 401}, clerkauth.Misconfigured},
		{"the request is over", ended, fakeclerk.Fault{Kind: fakeclerk.FaultHang}, clerkauth.Canceled},
	} {
		t.Run(test.name, func(t *testing.T) {
			members, clerk := newMembers(t, nil)
			clerk.SetFault(listMemberships, test.fault)
			_, err := members.List(test.ctx, "org_analytical", 10, 0)
			if got := clerkauth.AsError(err).Kind; got != test.want {
				t.Errorf("list: %v", err)
			}
		})
	}
	if _, err := clerkauth.NewMembers(clerkauth.Options{}); err == nil {
		t.Error("no secret key, no error")
	}
}
