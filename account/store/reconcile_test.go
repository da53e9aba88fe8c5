package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"encore.dev/beta/errs"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
)

// startClerk returns a fake Clerk and the connection of an application to it.
func startClerk(t testing.TB, options fakeclerk.Options) (*fakeclerk.Server, *clerkauth.Backend) {
	t.Helper()
	clerk, err := fakeclerk.Start(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { clerk.Close() })
	authenticator, err := clerkauth.New(clerkauth.Options{
		SecretKey: clerk.SecretKey(), APIURL: clerk.URL(), RateLimitShare: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	return clerk, authenticator.Backend()
}

func must[T any](t testing.TB) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatalf("%#v", err)
		}
		return value
	}
}

func TestReconcileWithClerk(t *testing.T) {
	clerk, backend := startClerk(t, fakeclerk.Options{SecretKey: "sk_live_fakeclerk"})
	s, _ := newStore(t, nil)
	execute(t, s, guards)
	ctx := t.Context()
	now := pace{pageSize: pageSize, wait: wait}
	reconcile := func(dryRun bool, pace pace) string {
		t.Helper()
		r := must[*Report](t)(s.reconcile(ctx, clerkAPI{backend}, ReconcileParams{DryRun: dryRun}, pace))
		var parts []string
		for _, d := range []Difference{r.Users, r.Organizations, r.Memberships} {
			parts = append(parts, fmt.Sprintf("+%d ~%d -%d", d.Added, d.Changed, d.Hidden))
		}
		return strings.Join(parts, ", ")
	}
	expect := func(when, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %s, want %s", when, got, want)
		}
	}

	const first = "+4 ~0 -0, +1 ~0 -0, +2 ~0 -0"
	expect("a dry run", reconcile(true, now), first)
	expect("another dry run", reconcile(true, now), first)
	expect("the first", reconcile(false, now), first)
	expect("the second", reconcile(false, now), "+0 ~0 -0, +0 ~0 -0, +0 ~0 -0")
	page := must[*Members](t)(s.Members(ctx, adminOf("org_analytical"), &MembersParams{}))
	if page.Total != 2 || *page.Members[0] != (Member{UserID: "user_ada", Role: "org:admin", Identifier: "ada@example.com", FirstName: "Ada", LastName: "Lovelace"}) {
		t.Errorf("%+v %+v", page, page.Members[0])
	}
	users := must[*Users](t)(s.Users(ctx, &UserIDs{IDs: []string{"user_banned", "user_ada"}}))
	if len(users.Users) != 2 || !users.Users[1].Banned || !users.Users[0].EmailVerified {
		t.Errorf("%+v", users)
	}

	var h heard
	f := &follower{store: s, target: &h}
	h.expect(t, f) // what was added is no news
	if err := clerk.BanUser("user_grace"); err != nil {
		t.Fatal(err)
	}
	if err := clerk.DeleteUser("user_noemail"); err != nil {
		t.Fatal(err)
	}
	must[fakeclerk.Membership](t)(clerk.AddMembership("org_analytical", "user_banned", ""))
	must[fakeclerk.Membership](t)(clerk.RemoveMembership("org_analytical", "user_grace"))
	// Known from first requests alone: one is there, one is gone.
	added := must[fakeclerk.User](t)(clerk.AddUser(fakeclerk.User{ID: "user_new", FirstName: "New"}))
	for _, id := range []string{added.ID, "user_gone"} {
		must[*Account](t)(s.Account(ctx, &clerkauth.Caller{UserID: id}))
	}
	expect("settling", reconcile(false, usualPace), "+0 ~2 -0, +0 ~0 -0, +1 ~0 -0") // rows of this minute are not deleted yet
	expect("at last", reconcile(false, now), "+0 ~0 -2, +0 ~0 -0, +0 ~0 -1")
	h.expect(t, f, "user_grace banned", "user_new ", "user_gone deleted", "user_noemail deleted")

	if err := clerk.DeleteOrganization("org_analytical"); err != nil {
		t.Fatal(err)
	}
	if err := s.Erase(ctx, "user_ada"); err != nil {
		t.Fatal(codeOf(err))
	}
	report := must[*Report](t)(s.reconcile(ctx, clerkAPI{backend}, ReconcileParams{}, now))
	if report.Organizations.Hidden != 1 || report.Users.DeletedHere != 1 || report.Users.Added+report.Users.Changed > 0 {
		t.Errorf("%+v", report)
	}
	if found := must[[]string](t)(collect[string](ctx, s.pool, inconsistencies)); len(found) > 0 {
		t.Error(found)
	}
}

// TestReconcileGoesOn stops a reconciliation in the middle.
func TestReconcileGoesOn(t *testing.T) {
	s, log := newStore(t, nil)
	m := newModel(rand.New(rand.NewPCG(1, 1)))
	for m.maxUsers = 20; len(m.userOf) < 20; {
		m.change()
	}
	quick := pace{pageSize: 3, wait: func(context.Context, time.Duration) error { return nil }}
	clerk := &failing{model: m, after: 4}
	log.expects.Store(true)
	if _, err := s.reconcile(t.Context(), clerk, ReconcileParams{}, quick); codeOf(err) != errs.Unavailable {
		t.Fatal(codeOf(err))
	}
	if clerk.failures != maxFailures {
		t.Errorf("gave up after %d failures", clerk.failures)
	}
	before := m.calls
	clerk.after = 1 << 30
	report := must[*Report](t)(s.reconcile(t.Context(), clerk, ReconcileParams{}, quick))
	if report.Users.Listed < 20 || report.Users.Added != len(m.userOf) {
		t.Errorf("%+v", report.Users)
	}
	if rest, whole := m.calls-before, report.Calls; rest >= whole {
		t.Errorf("%d calls of %d after it stopped", rest, whole)
	}
}

// failing is a Clerk that fails after some calls for users.
type failing struct {
	*model
	after, failures int
}

func (f *failing) users(ctx context.Context, limit, offset int) (listing[userRecord], error) {
	if f.after--; f.after < 0 {
		f.failures++
		return listing[userRecord]{}, &clerkauth.Error{Kind: clerkauth.Unavailable, Reason: clerkauth.ReasonRateLimitShare}
	}
	return f.model.users(ctx, limit, offset)
}

// TestOneReconciliationAtATime begins another in the middle of one.
func TestOneReconciliationAtATime(t *testing.T) {
	s, _ := newStore(t, nil)
	m := newModel(rand.New(rand.NewPCG(1, 1)))
	m.change()
	other := newModel(rand.New(rand.NewPCG(2, 2)))
	begun := 0
	m.between = func() {
		begun++
		if _, err := s.reconcile(t.Context(), other, ReconcileParams{}, usualPace); codeOf(err) != errs.Aborted {
			t.Error(codeOf(err))
		}
		if _, err := s.reconcile(t.Context(), other, ReconcileParams{DryRun: true}, usualPace); err != nil {
			t.Error(codeOf(err))
		}
	}
	must[*Report](t)(s.reconcile(t.Context(), m, ReconcileParams{}, usualPace))
	if begun == 0 {
		t.Error("none was begun")
	}
	due := must[bool](t)(s.reconcileDue(t.Context(), time.Hour))
	soon := must[bool](t)(s.reconcileDue(t.Context(), time.Nanosecond))
	if due || !soon {
		t.Errorf("due: %v, %v", due, soon)
	}
	ctx, cancel := context.WithCancel(t.Context())
	m.between = cancel
	if _, err := s.reconcile(ctx, m, ReconcileParams{}, usualPace); codeOf(err) != errs.Canceled {
		t.Error(codeOf(err))
	}
}

// TestLockIsLost ends the connection that holds the lock in the middle of a
// reconciliation, and another process continues.
func TestLockIsLost(t *testing.T) {
	s, _ := newStore(t, nil)
	m := newModel(rand.New(rand.NewPCG(1, 1)))
	m.change()
	m.between = func() {
		m.between = func() {}
		loseLock(t, s)
		must[*Report](t)(s.reconcile(t.Context(), m, ReconcileParams{}, usualPace))
	}
	if _, err := s.reconcile(t.Context(), m, ReconcileParams{}, usualPace); codeOf(err) != errs.Aborted {
		t.Error(codeOf(err))
	}
}

// loseLock ends the connection that holds the lock of a reconciliation.
func loseLock(t testing.TB, s *Store) {
	t.Helper()
	var ended bool
	err := s.pool.QueryRow(t.Context(), `
		SELECT pg_terminate_backend(pid, 10000) FROM pg_locks
		WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
			AND (classid::bigint << 32 | objid::bigint) = $1`, reconcileLock).Scan(&ended)
	if err != nil || !ended {
		t.Fatal(ended, err)
	}
}

// TestFirstSynchronization takes over 5,000 users at
// Clerk's rate limit for production.
func TestFirstSynchronization(t *testing.T) {
	const users = 2000
	clerk, backend := startClerk(t, fakeclerk.Options{SecretKey: "sk_live_fakeclerk"})
	clerk.SetRateLimit(fakeclerk.RateLimit{Requests: 1000, Window: 10 * time.Second})
	s, _ := newStore(t, nil)
	organization := must[fakeclerk.Organization](t)(clerk.AddOrganization(fakeclerk.Organization{Name: "Everybody"}))
	for i := range users {
		u := must[fakeclerk.User](t)(clerk.AddUser(fakeclerk.User{FirstName: "User", LastName: fmt.Sprint(i)}))
		if i%10 == 0 {
			must[fakeclerk.Membership](t)(clerk.AddMembership(organization.ID, u.ID, ""))
		}
	}
	begin := time.Now()
	report := must[*Report](t)(s.Reconcile(t.Context(), backend, &ReconcileParams{}))
	t.Logf("%d users, %d memberships: %d calls, %v", report.Users.Added, report.Memberships.Added, report.Calls, time.Since(begin).Round(time.Millisecond))
	if report.Users.Added != users+4 || report.Memberships.Added != (users+9)/10+2 {
		t.Errorf("%+v", report)
	}
	if most := (users+users/10)/400 + 10; report.Calls > most {
		t.Errorf("%d calls, at most %d", report.Calls, most)
	}
	again := must[*Report](t)(s.Reconcile(t.Context(), backend, &ReconcileParams{}))
	if again.Users.Added+again.Users.Changed+again.Users.Hidden+again.Memberships.Added > 0 {
		t.Errorf("again: %+v", again)
	}
}
