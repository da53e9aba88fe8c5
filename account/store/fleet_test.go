package store

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"encore.app/auth/clerkauth"
	"encore.app/internal/postgres/postgrestest"
	"encore.app/webhooks/clerkevent"
)

// heard is a [clerkevent.Target] that records the calls it receives.
type heard struct {
	mu   sync.Mutex
	all  []string
	fail error
	user clerkauth.UserRecord // the last
}

func (h *heard) add(what string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fail == nil {
		h.all = append(h.all, what)
	}
	return h.fail
}

func (h *heard) UserUpdated(_ context.Context, u *clerkauth.UserRecord) error {
	h.user = *u
	if u.Banned {
		return h.add(u.ID + " banned")
	}
	return h.add(u.ID + " " + u.PrimaryEmail)
}

func (h *heard) UserDeleted(_ context.Context, id string, _ time.Time) error {
	return h.add(id + " deleted")
}

func (h *heard) MembershipChanged(_ context.Context, m *clerkauth.MembershipRecord) error {
	return h.add(m.UserID + " in " + m.OrganizationID + " " + m.Role)
}

func (h *heard) SessionEnded(_ context.Context, id string, _ time.Time) error {
	return h.add(id + " ended")
}

// expect polls once and compares what is new.
func (h *heard) expect(t *testing.T, f *follower, want ...string) {
	t.Helper()
	if err := f.poll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(h.all, want) {
		t.Errorf("heard %q, want %q", h.all, want)
	}
	h.all = nil
}

func TestFollow(t *testing.T) {
	s, _ := newStore(t, nil)
	apply := func(e *clerkevent.Event) {
		t.Helper()
		if err := s.Apply(t.Context(), e); err != nil {
			t.Fatal(codeOf(err))
		}
	}
	session := &clerkevent.Event{ID: "session", Type: clerkevent.SessionEnded, At: at(1), Session: &clerkevent.Session{ID: "sess_1", UserID: "user_ada"}}
	banned := userEvent("banned", clerkevent.UserUpdated, 1, func(u *clerkevent.User) { u.Banned = true })
	admitted := userEvent("admitted", clerkevent.UserUpdated, 2, func(u *clerkevent.User) { u.PrimaryEmailAddress = "ada@example.com" })

	var one, two heard
	first := &follower{store: s, target: &one}
	one.expect(t, first)
	apply(banned)
	apply(session)
	apply(joined("org_1", "user_ada", 1))
	one.expect(t, first, "user_ada banned", "sess_1 ended", "user_ada in org_1 org:member")
	one.expect(t, first)
	second := &follower{store: s, target: &two}
	two.expect(t, second, "user_ada banned", "sess_1 ended", "user_ada in org_1 org:member") // an instance that starts
	apply(admitted)
	apply(banned) // again
	one.expect(t, first, "user_ada ada@example.com")
	two.expect(t, second, "user_ada ada@example.com")

	one.fail = context.DeadlineExceeded
	apply(userEvent("deleted", clerkevent.UserDeleted, 3, nil))
	if err := first.poll(t.Context()); err == nil {
		t.Error("a target that fails is not reported")
	}
	one.fail = nil
	one.expect(t, first, "user_ada deleted")
	if err := s.Erase(t.Context(), "user_grace"); err != nil {
		t.Fatal(codeOf(err))
	}
	one.expect(t, first, "user_grace deleted")
	two.expect(t, second, "user_ada deleted", "user_grace deleted")
	apply(joined("org_1", "user_lin", 1))
	apply(&clerkevent.Event{ID: "org", Type: clerkevent.OrganizationDeleted, At: at(4), Organization: &clerkevent.Organization{ID: "org_1"}})
	one.expect(t, first, " in org_1 ") // the membership's row is gone
}

// TestFollowForgetsOldEvents although nothing reconciles.
func TestFollowForgetsOldEvents(t *testing.T) {
	s, _ := newStore(t, nil)
	execute(t, s, "INSERT INTO events (id, type, at, stored_at) VALUES ('old', 'user.updated', now(), now() - interval '8 days'), ('new', 'user.updated', now(), now())")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		s.Follow(ctx, &heard{})
		close(ended)
	}()
	for left := []string{}; !slices.Equal(left, []string{"new"}); runtime.Gosched() {
		left = must[[]string](t)(collect[string](t.Context(), s.pool, "SELECT id FROM events"))
	}
	stop()
	<-ended
}

// TestFollowTellsOfABanWhenItWas: the record may keep its time.
func TestFollowTellsOfABanWhenItWas(t *testing.T) {
	s, _ := newStore(t, nil)
	banned := userEvent("banned", clerkevent.UserUpdated, 9, func(u *clerkevent.User) { u.Banned, u.UpdatedAt = true, at(1) })
	if err := s.Apply(t.Context(), banned); err != nil {
		t.Fatal(codeOf(err))
	}
	var h heard
	if err := (&follower{store: s, target: &h}).poll(t.Context()); err != nil || !h.user.UpdatedAt.Equal(at(9)) {
		t.Errorf("%v, %v", h.user.UpdatedAt, err)
	}
}

// TestFollowRecallsSessions starts an instance hours after sessions ended, whose
// tokens may live longer.
func TestFollowRecallsSessions(t *testing.T) {
	s, _ := newStore(t, nil)
	execute(t, s, `
		INSERT INTO events (id, type, user_id, session_id, at, stored_at) VALUES
			('1', 'session.ended', 'user_ada', 'sess_yesterday', now(), now() - interval '25 hours'),
			('2', 'session.removed', 'user_ada', 'sess_later', now(), now() - interval '1 hour'),
			('3', 'session.ended', 'user_ada', 'sess_first', now(), now() - interval '23 hours'),
			('4', 'user.updated', 'user_ada', NULL, now(), now() - interval '1 hour')`)
	var target heard
	f := &follower{store: s, target: &target}
	target.fail = context.DeadlineExceeded
	if err := f.poll(t.Context()); err == nil {
		t.Error("a target that fails is not reported")
	}
	target.fail = nil
	target.expect(t, f, "sess_first ended", "sess_later ended")
	target.expect(t, f)
}

// TestFollowMissesNoLateCommit commits transactions in another order than that
// of their numbers, with one beside them that takes long.
func TestFollowMissesNoLateCommit(t *testing.T) {
	s, _ := newStore(t, nil)
	ctx := t.Context()
	begin := func(id string) func() {
		t.Helper()
		tx, err := s.pool.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		event := &clerkevent.Event{ID: id, Type: clerkevent.SessionEnded, At: at(1), Session: &clerkevent.Session{ID: id, UserID: "user_ada"}}
		if err := apply(ctx, tx, event); err != nil {
			t.Fatal(err)
		}
		return func() {
			if err := tx.Commit(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	var h heard
	f := &follower{store: s, target: &h}
	h.expect(t, f)
	long := begin("sess_long")
	first, second := begin("sess_1"), begin("sess_2")
	second()
	h.expect(t, f, "sess_2 ended")
	begin("sess_3")()
	h.expect(t, f, "sess_3 ended")
	first()
	h.expect(t, f, "sess_1 ended")
	h.expect(t, f)
	long()
	h.expect(t, f, "sess_long ended")
	h.expect(t, f)
	begin("sess_4")()
	h.expect(t, f, "sess_4 ended")
}

// TestBanReachesEveryInstance has three instances on one database, of which one
// takes the webhook.
func TestBanReachesEveryInstance(t *testing.T) {
	s, _ := newStore(t, nil)
	ctx, stop := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	arrived := make(chan struct{}, 3)
	for range 3 {
		wait.Go(func() {
			s.Follow(ctx, signal{arrived})
		})
	}
	if err := s.Apply(ctx, userEvent("banned", clerkevent.UserUpdated, 1, func(u *clerkevent.User) { u.Banned = true })); err != nil {
		t.Fatal(codeOf(err))
	}
	begin := time.Now()
	for range 3 {
		<-arrived
	}
	t.Logf("the ban was everywhere after %v", time.Since(begin).Round(time.Millisecond))
	stop()
	wait.Wait()
}

type signal struct{ arrived chan struct{} }

func (s signal) UserUpdated(context.Context, *clerkauth.UserRecord) error {
	s.arrived <- struct{}{}
	return nil
}
func (signal) UserDeleted(context.Context, string, time.Time) error { return nil }
func (signal) MembershipChanged(context.Context, *clerkauth.MembershipRecord) error {
	return nil
}
func (signal) SessionEnded(context.Context, string, time.Time) error { return nil }

// TestFollowBesideALongTransaction stores many events while a transaction is open
// that began before them, in another database of the server. A follower reads
// each event once, page by page. After that it reads only new events.
func TestFollowBesideALongTransaction(t *testing.T) {
	rows := &rowCount{}
	s, _ := newStore(t, rows)
	elsewhere, err := pgx.Connect(t.Context(), postgrestest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	defer elsewhere.Close(context.Background())
	if _, err := elsewhere.Exec(t.Context(), "BEGIN; CREATE TABLE long ()"); err != nil {
		t.Fatal(err)
	}
	pages, followers := 3, make([]*follower, 2)
	if whole {
		pages, followers = 50, make([]*follower, 20)
	}
	for i := range followers {
		followers[i] = &follower{store: s, target: &heard{}}
	}
	expect := func(want ...string) {
		t.Helper()
		rows.n.Store(0)
		begin := time.Now()
		for _, f := range followers {
			f.target.(*heard).expect(t, f, want...)
		}
		if n, most := int(rows.n.Load()), len(followers)*(len(want)+1); n > most {
			t.Errorf("%d rows were read for %d events by %d followers", n, len(want), len(followers))
		}
		t.Logf("%d events reached %d followers, one after the other, in %v", len(want), len(followers), time.Since(begin).Round(time.Millisecond))
	}
	expect()
	session := func(id string) {
		t.Helper()
		event := &clerkevent.Event{ID: id, Type: clerkevent.SessionEnded, At: at(1), Session: &clerkevent.Session{ID: id, UserID: "user_ada"}}
		if err := s.Apply(t.Context(), event); err != nil {
			t.Fatal(codeOf(err))
		}
	}
	want := []string{}
	for i := range pages * followPage {
		want = append(want, fmt.Sprintf("sess_%06d ended", i))
	}
	// One transaction has more than a page, and the rest have one event each.
	execute(t, s, `
		INSERT INTO events (id, type, user_id, session_id, at)
		SELECT 'msg_' || n, 'session.ended', 'user_ada', 'sess_' || lpad(n::text, 6, '0'), now() FROM generate_series(0, $1 - 1) AS n`, pages*followPage-500)
	for i := range 500 {
		session(fmt.Sprintf("sess_%06d", pages*followPage-500+i))
	}
	expect(want...)
	for _, id := range []string{"sess_a", "sess_b", "sess_c"} {
		session(id)
		expect(id + " ended")
	}
	expect()
}

// rowCount counts the rows that statements return or change.
type rowCount struct{ n atomic.Int64 }

func (r *rowCount) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

func (r *rowCount) TraceQueryEnd(_ context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	r.n.Add(data.CommandTag.RowsAffected())
}

// TestFollowQueriesUseIndexes explains the statements of a follower in a table
// with 200,000 old events.
func TestFollowQueriesUseIndexes(t *testing.T) {
	if !whole {
		t.Skip("TESTS=whole explains the queries: 200,000 events take a while")
	}
	s, _ := newStore(t, nil)
	execute(t, s, `
		INSERT INTO events (id, type, user_id, at, stored_at)
		SELECT 'msg_' || n, 'user.updated', 'user_' || n, now(), now() - interval '1 hour' FROM generate_series(1, 200000) AS n`)
	execute(t, s, "INSERT INTO users (id, updated_at) SELECT 'user_' || n, now() FROM generate_series(1, 100000) AS n")
	execute(t, s, "ANALYZE events")
	execute(t, s, "ANALYZE users")
	f := &follower{store: s, target: &heard{}}
	if err := f.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(t.Context(), userEvent("new", clerkevent.UserUpdated, 1, nil)); err != nil {
		t.Fatal(codeOf(err))
	}
	f.from, f.to = f.to, ""
	if err := f.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	explain(t, s, "ended sessions", recallStatement, recallSessions, learnSince, maxRecalled)
	explain(t, s, "the first snapshot", snapshotStatement, "", learnSince)
	explain(t, s, "a page", followStatement, f.from, f.to, f.transaction, f.seq, followPage)
}
