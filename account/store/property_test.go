package store

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"encore.dev/beta/errs"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"encore.app/auth/clerkauth"
)

// guards are triggers that fail a statement which breaks a promise: a deleted
// user comes back, or a newer value gives way to an older one.
const guards = `
	CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF OLD.deleted_at IS NOT NULL AND OLD.hidden_at IS NULL THEN RAISE 'a tombstone is changed'; END IF;
		IF NEW.deleted_at IS NULL AND (OLD.updated_at > NEW.updated_at OR OLD.updated_at IS NOT NULL AND NEW.updated_at IS NULL)
			THEN RAISE 'a newer value gives way'; END IF;
		RETURN NEW;
	END $$;
	CREATE FUNCTION guard_deletion() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF current_setting('test.between', true) = 'histories' THEN RETURN OLD; END IF;
		RAISE 'a row that keeps others from coming back is removed';
	END $$;
	CREATE TRIGGER guard BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION guard();
	CREATE TRIGGER guard BEFORE UPDATE ON organizations FOR EACH ROW EXECUTE FUNCTION guard();
	CREATE TRIGGER guard BEFORE UPDATE ON memberships FOR EACH ROW EXECUTE FUNCTION guard();
	CREATE TRIGGER guard_deletion BEFORE DELETE ON users FOR EACH ROW EXECUTE FUNCTION guard_deletion();
	CREATE TRIGGER guard_deletion BEFORE DELETE ON organizations FOR EACH ROW EXECUTE FUNCTION guard_deletion();`

// crasher breaks the connection before some statement, or after it was sent.
type crasher struct {
	in        int // statements; 0: never
	crashed   bool
	deadlocks atomic.Int32
}

func (c *crasher) TraceQueryStart(ctx context.Context, conn *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	if c.in > 0 {
		if c.in--; c.in == 0 {
			c.crashed = true
			_ = conn.PgConn().Conn().Close()
		}
	}
	return ctx
}

func (c *crasher) TraceQueryEnd(_ context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	var refused *pgconn.PgError
	if errors.As(data.Err, &refused) && refused.Code == "40P01" {
		c.deadlocks.Add(1)
	}
}

var histories = flag.Uint64("histories", 0, "how many histories TestHistories plays; 0: 10, or 10,000 with TESTS=whole")

// randomSeed is SEED, or one that was not used before.
func randomSeed(t *testing.T) uint64 {
	text := os.Getenv("SEED")
	if text == "" {
		return uint64(time.Now().UnixNano())
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("SEED: %v", err)
	}
	return seed
}

// TestHistories plays random histories of Clerk whose events are lost, doubled,
// delayed and reordered, mixed with first requests, crashes before any statement
// and reconciliations while Clerk changes. Lists have several pages, records that
// do not fit into one answer, and leave out for a while what is there; the lock of
// a reconciliation is lost to another process. A reconciliation at the end makes
// the tables equal to Clerk, with the settings of everybody. SEED is the first seed.
func TestHistories(t *testing.T) {
	most := cmp.Or(*histories, 10)
	if whole {
		most = cmp.Or(*histories, 10_000)
	}
	seed := randomSeed(t)
	t.Logf("SEED=%d go test -run TestHistories ./account/store -histories %d", seed, most)
	var next, crashes atomic.Uint64
	t.Run("all", func(t *testing.T) {
		for worker := range 4 { // as many at once as -parallel says
			t.Run(strconv.Itoa(worker), func(t *testing.T) {
				t.Parallel()
				crash := new(crasher)
				s, log := newStore(t, crash)
				execute(t, s, guards)
				for n := next.Add(1); n <= most && !t.Failed(); n = next.Add(1) {
					h := &history{t: t, s: s, log: log, crash: crash, seed: seed + n,
						model: newModel(rand.New(rand.NewPCG(seed+n, 0)))}
					h.play()
					crashes.Add(h.crashes)
				}
			})
		}
	})
	t.Logf("%d crashes", crashes.Load())
}

type history struct {
	t       *testing.T
	s       *Store
	log     *testLog
	crash   *crasher
	seed    uint64
	model   *model
	crashes uint64
	saved   map[string]Settings // by user
	robbed  bool                // of the lock
}

func (h *history) fatal(args ...any) {
	h.t.Helper()
	h.t.Fatal(append([]any{fmt.Sprintf("SEED=%d go test -run TestHistories ./account/store -histories 1:", h.seed-1)}, args...)...)
}

func (h *history) play() {
	ctx := h.t.Context()
	empty(h.t, h.s)
	execute(h.t, h.s, "INSERT INTO clerk_instance (id) VALUES ($1)", modelInstance)
	h.saved = map[string]Settings{}
	random := h.model.random
	for step := range 15 + random.IntN(30) {
		switch random.IntN(10) {
		case 0, 1, 2, 3:
			h.model.change()
		case 4, 5, 6, 7:
			h.deliver(ctx)
		case 8:
			h.firstRequest(ctx)
		case 9:
			switch random.IntN(8) {
			case 0, 1:
				h.reconcileMeanwhile(ctx)
			case 2, 3:
				h.hideSomething()
			}
		}
		if step%5 == 0 {
			h.compareVersions(ctx)
		}
	}
	clear(h.model.unlisted)
	h.reconcileWhole(ctx)
	h.compareVersions(ctx)
	h.compare(ctx)
}

// hideSomething lets Clerk's lists leave out something that is there, or not any
// more.
func (h *history) hideSomething() {
	m := h.model
	if m.random.IntN(2) == 0 {
		clear(m.unlisted)
		return
	}
	for _, id := range []string{pick(m.random, m.userOf), pick(m.random, m.organizationOf), pick(m.random, m.membershipOf)} {
		if m.random.IntN(2) == 0 {
			m.unlisted[id] = true
		}
	}
}

// empty empties the tables, against which the guards have nothing.
func empty(t testing.TB, s *Store) {
	t.Helper()
	execute(t, s, `
		BEGIN; SET LOCAL test.between = 'histories';
		DELETE FROM memberships; DELETE FROM settings; DELETE FROM events; DELETE FROM reconciliation;
		DELETE FROM missing; DELETE FROM clerk_instance;
		DELETE FROM users; DELETE FROM organizations; COMMIT`)
}

// try runs what may crash. It reports whether it did not.
func (h *history) try(work func() error) bool {
	h.t.Helper()
	if h.model.random.IntN(10) == 0 {
		h.crash.in = 1 + h.model.random.IntN(9)
	}
	h.log.expects.Store(true)
	err := work()
	crashed := h.crash.crashed
	h.crash.in, h.crash.crashed = 0, false
	h.log.expects.Store(false)
	if crashed {
		h.crashes++
	}
	if err != nil && !crashed {
		h.fatal(fmt.Sprintf("%#v", err))
	}
	return err == nil
}

// deliver delivers an event, mostly the next: it may be any, and may come again.
func (h *history) deliver(ctx context.Context) {
	m := h.model
	if len(m.pending) == 0 {
		return
	}
	i := 0
	if m.random.IntN(3) == 0 {
		i = m.random.IntN(len(m.pending))
	}
	event := m.pending[i]
	lost := m.random.IntN(6) == 0
	taken := !lost && h.try(func() error { return h.s.Apply(ctx, event) })
	if lost || taken && m.random.IntN(5) != 0 {
		m.pending = slices.Delete(m.pending, i, i+1)
	}
}

// firstRequest is of a user who may have been deleted within the last minute.
func (h *history) firstRequest(ctx context.Context) {
	m := h.model
	id := pick(m.random, m.userOf)
	if len(m.deleted) > 0 && m.random.IntN(3) == 0 {
		id = m.deleted[m.random.IntN(len(m.deleted))]
	}
	if id == "" {
		return
	}
	caller := &clerkauth.Caller{UserID: id, Email: m.userOf[id].PrimaryEmail}
	h.try(func() error {
		account, err := h.s.Account(ctx, caller)
		if err == nil && m.random.IntN(2) == 0 {
			err = h.saveSettings(ctx, caller, account.Settings.Version)
		}
		if codeOf(err) == codeOf(errDeleted()) {
			err = nil
		}
		return err
	})
}

// saveSettings saves settings for the first time.
func (h *history) saveSettings(ctx context.Context, caller *clerkauth.Caller, version int) error {
	settings := Settings{Version: version, DisplayName: h.model.id("name"), Theme: "dark"}
	saved, err := h.s.SaveSettings(ctx, caller, &settings)
	if err == nil {
		h.saved[caller.UserID] = *saved
	} else if h.crash.crashed {
		delete(h.saved, caller.UserID) // they may have been saved, or not
	}
	return err
}

func (h *history) reconcileMeanwhile(ctx context.Context) {
	m := h.model
	m.between = func() {
		for m.random.IntN(3) == 0 {
			m.change()
		}
		if m.random.IntN(60) == 0 && !h.robbed && h.crash.in == 0 {
			h.rob(ctx)
		}
	}
	h.try(func() error {
		err := h.reconcile(ctx)
		if h.robbed && codeOf(err) == errs.Aborted {
			err = nil
		}
		return err
	})
	m.between, h.robbed = func() {}, false
}

// rob takes the lock of a reconciliation for another process, which reconciles.
func (h *history) rob(ctx context.Context) {
	h.robbed = true
	h.log.expects.Store(true)
	loseLock(h.t, h.s)
	if err := h.reconcile(ctx); err != nil {
		h.fatal(fmt.Sprintf("%#v", err))
	}
}

func (h *history) reconcile(ctx context.Context) error {
	_, err := h.s.reconcile(ctx, h.model, ReconcileParams{}, pace{pageSize: 2 + h.model.random.IntN(5), wait: wait})
	return err
}

// reconcileWhole ends what was begun, then reconciles from the beginning.
func (h *history) reconcileWhole(ctx context.Context) {
	for whole := false; !whole; {
		var resumes bool
		if err := h.s.pool.QueryRow(ctx, "SELECT EXISTS (SELECT FROM reconciliation WHERE finished_at IS NULL)").Scan(&resumes); err != nil {
			h.fatal(err)
		}
		if err := h.reconcile(ctx); err != nil {
			h.fatal(fmt.Sprintf("%#v", err))
		}
		whole = !resumes
	}
}

// compareVersions compares the rows of users with what Clerk once said of them.
func (h *history) compareVersions(ctx context.Context) {
	if found := read[struct{ Text string }](h, ctx, inconsistencies); len(found) > 0 {
		h.fatal(found)
	}
	for _, row := range h.readUsers(ctx) {
		if row.UpdatedAt.IsZero() {
			continue // of a first request, or a tombstone
		}
		said, ok := h.model.versions[versionKey(row.ID, row.UpdatedAt)]
		if !ok || !equalUsers(said, row) {
			h.fatal("Clerk never said", row, "but", said)
		}
	}
}

// inconsistencies are rows that must never be there.
const inconsistencies = `
	SELECT 'a member who is deleted: ' || m.id FROM memberships m JOIN users u ON u.id = m.user_id
	WHERE u.deleted_at IS NOT NULL AND (u.hidden_at IS NULL OR m.deleted_at IS NULL)
	UNION ALL
	SELECT 'a member of what is deleted: ' || m.id FROM memberships m JOIN organizations o ON o.id = m.organization_id
	WHERE o.deleted_at IS NOT NULL AND (o.hidden_at IS NULL OR m.deleted_at IS NULL)
	UNION ALL
	SELECT 'a wrong number of members: ' || o.id FROM organizations o
	WHERE members <> (SELECT count(*) FROM memberships WHERE organization_id = o.id AND deleted_at IS NULL)
	UNION ALL
	SELECT 'personal data of a deleted user: ' || id FROM users WHERE deleted_at IS NOT NULL AND hidden_at IS NULL
		AND (primary_email, username, first_name, last_name, external_id, words, public_metadata) <> ('', '', '', '', '', '', '{}')
	UNION ALL
	SELECT 'settings of a deleted user: ' || id FROM users JOIN settings ON user_id = id WHERE deleted_at IS NOT NULL AND hidden_at IS NULL`

// compare compares the tables with Clerk.
func (h *history) compare(ctx context.Context) {
	m := h.model
	users := map[string]userRecord{}
	for _, row := range h.readUsers(ctx) {
		if !row.UpdatedAt.IsZero() {
			users[row.ID] = row
		} else if row.PrimaryEmail != "" {
			h.fatal("a row that is no copy of Clerk's", row)
		}
	}
	if !maps.EqualFunc(users, m.userOf, equalUsers) {
		h.fatal("users:", users, "Clerk:", m.userOf)
	}
	for id, want := range h.saved {
		if _, there := m.userOf[id]; there {
			if a, err := h.s.Account(ctx, &clerkauth.Caller{UserID: id}); err != nil || a.Settings != want {
				h.fatal("settings of", id, a, "want", want)
			}
		}
	}
	type membership struct{ organization, user, role string }
	clerk, rows := map[string]membership{}, map[string]membership{}
	members := map[string]int{}
	for id, r := range m.membershipOf {
		clerk[id] = membership{r.OrganizationID, r.UserID, r.Role}
		members[r.OrganizationID]++
	}
	for _, row := range read[membershipRecord](h, ctx, `
		SELECT id, organization_id, user_id, role, created_at, updated_at FROM memberships WHERE deleted_at IS NULL`) {
		rows[row.ID] = membership{row.OrganizationID, row.UserID, row.Role}
	}
	if !maps.Equal(rows, clerk) {
		h.fatal("memberships:", rows, "Clerk:", clerk)
	}
	type organization struct {
		ID, Name string
		Members  int
	}
	byID := func(a, b organization) int { return cmp.Compare(a.ID, b.ID) }
	var want []organization
	for id, r := range m.organizationOf {
		want = append(want, organization{id, r.Name, members[id]})
	}
	slices.SortFunc(want, byID)
	got := read[organization](h, ctx, "SELECT id, name, members FROM organizations WHERE deleted_at IS NULL")
	slices.SortFunc(got, byID)
	if !slices.Equal(got, want) {
		h.fatal("organizations:", got, "Clerk:", want)
	}
}

func (h *history) readUsers(ctx context.Context) []userRecord {
	return read[userRecord](h, ctx, `
		SELECT id, primary_email, email_verified, username, first_name, last_name, external_id, banned, created_at,
			coalesce(updated_at, '0001-01-01T00:00:00Z'), public_metadata FROM users WHERE hidden_at IS NULL`)
}

func read[T any](h *history, ctx context.Context, statement string) []T {
	rows, err := h.s.pool.Query(ctx, statement)
	if err != nil {
		h.fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[T])
	if err != nil {
		h.fatal(err)
	}
	return all
}

func equalUsers(a, b userRecord) bool {
	return a.ID == b.ID && a.PrimaryEmail == b.PrimaryEmail && a.EmailVerified == b.EmailVerified &&
		a.FirstName == b.FirstName && bytes.Equal(a.PublicMetadata, b.PublicMetadata) && a.Banned == b.Banned && a.UpdatedAt.Equal(b.UpdatedAt) && a.CreatedAt.Equal(*b.CreatedAt)
}
