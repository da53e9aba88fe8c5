package store

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"encore.dev/beta/errs"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
	"encore.app/webhooks/clerkevent"
)

// The tests of this file make the mistakes of an operator, and let Clerk answer
// oddly. Nothing is lost, and one line of the log says what to do.

// logLines is an [authz.Logger] that keeps what is logged.
type logLines struct {
	mu  sync.Mutex
	all []string
}

func (l *logLines) add(level, message string, keysAndValues []any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, level+" "+message+" "+fmt.Sprintln(keysAndValues...))
}

func (l *logLines) Info(m string, v ...any)  { l.add("INFO", m, v) }
func (l *logLines) Warn(m string, v ...any)  { l.add("WARN", m, v) }
func (l *logLines) Error(m string, v ...any) { l.add("ERROR", m, v) }

// take returns the lines that begin with a prefix, and forgets all.
func (l *logLines) take(prefix string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := slices.DeleteFunc(l.all, func(line string) bool { return !strings.HasPrefix(line, prefix) })
	l.all = nil
	return taken
}

// expectOne expects one line at a level that holds all of the words.
func (l *logLines) expectOne(t *testing.T, level string, words ...string) {
	t.Helper()
	got := l.take(level)
	if len(got) != 1 {
		t.Errorf("%d lines: %q", len(got), got)
		return
	}
	for _, word := range words {
		if !strings.Contains(got[0], word) {
			t.Errorf("%q is not in %q", word, got[0])
		}
	}
}

func newLoggedStore(t *testing.T) (*Store, *logLines) {
	t.Helper()
	s, _ := newStore(t, nil)
	log := new(logLines)
	s.log = log
	return s, log
}

// quick is a pace without waits.
var quick = pace{pageSize: pageSize, wait: func(context.Context, time.Duration) error { return nil }}

// emptyClerk returns a Clerk of which nothing but the instance is known.
func emptyClerk() *model {
	m := newModel(rand.New(rand.NewPCG(1, 1)))
	m.capacity = 1 << 30
	return m
}

// addUsers stores users that Clerk described long ago, each with settings.
func addUsers(t *testing.T, s *Store, n int) {
	t.Helper()
	execute(t, s, `
		INSERT INTO users (id, first_name, primary_email, created_at, updated_at, stored_at)
		SELECT 'user_' || n, 'User', 'user' || n || '@example.com', '2026-01-01'::timestamptz + n * interval '1 second', '2026-01-02', '2026-01-02'
		FROM generate_series(1, $1) AS n`, n)
	execute(t, s, `INSERT INTO settings (user_id, version, display_name, locale, time_zone, theme)
		SELECT id, 1, 'Name of ' || id, '', '', 'dark' FROM users`)
}

// counts are the live and the hidden users, and the settings.
func counts(t *testing.T, s *Store) (c [3]int) {
	t.Helper()
	err := s.pool.QueryRow(t.Context(), `
		SELECT count(*) FILTER (WHERE deleted_at IS NULL), count(hidden_at), (SELECT count(*) FROM settings) FROM users`).Scan(&c[0], &c[1], &c[2])
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func expectCounts(t *testing.T, s *Store, when string, want [3]int) {
	t.Helper()
	if got := counts(t, s); got != want {
		t.Errorf("%s: %v users, hidden, settings; want %v", when, got, want)
	}
	if found := must[[]string](t)(collect[string](t.Context(), s.pool, inconsistencies)); len(found) > 0 {
		t.Error(when, found)
	}
}

func TestThousandUsersAgainstAnEmptyClerk(t *testing.T) {
	s, log := newLoggedStore(t)
	addUsers(t, s, 1000)
	m := emptyClerk()
	reconcile := func(p ReconcileParams) (*Report, errs.ErrCode) {
		report, err := s.reconcile(t.Context(), m, p, quick)
		return report, codeOf(err)
	}
	for range 3 { // a database of the previous version, which has no instance
		if _, code := reconcile(ReconcileParams{}); code != errs.FailedPrecondition {
			t.Error(code)
		}
	}
	log.expectOne(t, "ERROR", modelInstance, "Clerk does not know most of its users", "hint")
	expectCounts(t, s, "without an instance", [3]int{1000, 0, 1000})

	execute(t, s, "INSERT INTO clerk_instance (id) VALUES ($1)", modelInstance)
	if _, code := reconcile(ReconcileParams{}); code != errs.FailedPrecondition {
		t.Error(code)
	}
	log.expectOne(t, "ERROR", "1000 of 1000", "allowDeletions")
	expectCounts(t, s, "of this instance", [3]int{1000, 0, 1000})
	if due := must[bool](t)(s.reconcileDue(t.Context(), time.Hour)); due {
		t.Error("it is tried again at once")
	}
	report, code := reconcile(ReconcileParams{DryRun: true})
	if code != errs.OK || report.Users.Kept != 1000 || report.Users.Hidden != 0 {
		t.Errorf("%+v, %v", report, code)
	}
	expectCounts(t, s, "a dry run", [3]int{1000, 0, 1000})
	for range 2 {
		report, code = reconcile(ReconcileParams{DryRun: true, AllowDeletions: true})
		if code != errs.OK || report.Users.Hidden != 1000 {
			t.Errorf("%+v, %v", report, code)
		}
	}
	log.take("")
	report, code = reconcile(ReconcileParams{AllowDeletions: true})
	if code != errs.OK || report.Users.Hidden != 1000 || len(report.Users.IDs) != 100 {
		t.Errorf("%+v, %v", report, code)
	}
	log.expectOne(t, "INFO", "a reconciliation ended", "hidden 1000", "calls", "took")
	expectCounts(t, s, "allowed", [3]int{0, 1000, 1000})
	if report, code = reconcile(ReconcileParams{}); code != errs.OK || report.Users.Erased != 0 {
		t.Errorf("%+v, %v", report, code)
	}
	expectCounts(t, s, "later", [3]int{0, 1000, 1000})
}

// TestGuardCountsEachTable stops for organizations and memberships too, and
// not for memberships that go with their user or organization.
func TestGuardCountsEachTable(t *testing.T) {
	for _, test := range []struct {
		name                       string
		users, organizations, gone int // of which memberships only
		stops                      bool
	}{
		{"21 users", 21, 0, 0, true},
		{"21 organizations", 0, 21, 0, true},
		{"21 memberships", 0, 0, 21, true},
		{"20 of each", 20, 20, 20, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, log := newLoggedStore(t)
			m := emptyClerk()
			for len(m.membershipOf) < 60 {
				user, organization := m.id("user"), m.id("org")
				m.storeUser(clerkevent.UserCreated, userRecord{ID: user, CreatedAt: ptr(m.tick())})
				m.storeOrganization(clerkevent.OrganizationCreated, organizationRecord{ID: organization, CreatedAt: ptr(m.tick())})
				m.join(organization, user)
			}
			must[*Report](t)(s.reconcile(t.Context(), m, ReconcileParams{}, quick))
			log.take("")
			leaveOut(m, m.userOf, 0, test.users)
			leaveOut(m, m.organizationOf, 20, test.organizations)
			leaveOut(m, m.membershipOf, 60-test.gone, test.gone)
			report, err := s.reconcile(t.Context(), m, ReconcileParams{}, quick)
			if stops := codeOf(err) == errs.FailedPrecondition; stops != test.stops {
				t.Fatalf("%+v, %v", report, codeOf(err))
			}
			if test.stops {
				log.expectOne(t, "ERROR", "21 of 60", "allowDeletions")
				return
			}
			if report.Users.Hidden != test.users || report.Organizations.Hidden != test.organizations || report.Memberships.Hidden != test.gone {
				t.Errorf("%+v", report)
			}
			clear(m.unlisted)
			must[*Report](t)(s.reconcile(t.Context(), m, ReconcileParams{}, quick))
			h := &history{t: t, s: s, model: m}
			h.compare(t.Context())
		})
	}
}

func ptr[T any](value T) *T { return &value }

func leaveOut[R any](m *model, all map[string]R, from, n int) {
	ids := make([]string, 0, len(all))
	for id := range all {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids[from : from+n] {
		m.unlisted[id] = true
	}
}

// TestHiddenOneByOne hides every user, a few a day, and lists them again.
func TestHiddenOneByOne(t *testing.T) {
	s, _ := newLoggedStore(t)
	ctx := t.Context()
	m := emptyClerk()
	organization := organizationRecord{ID: "org_1", CreatedAt: ptr(m.tick())}
	m.storeOrganization(clerkevent.OrganizationCreated, organization)
	for range 60 {
		r := userRecord{ID: m.id("user"), CreatedAt: ptr(m.tick())}
		m.storeUser(clerkevent.UserCreated, r)
		m.join("org_1", r.ID)
	}
	must[*Report](t)(s.reconcile(ctx, m, ReconcileParams{}, quick))
	for id, r := range m.userOf {
		must[*Settings](t)(s.SaveSettings(ctx, &clerkauth.Caller{UserID: id}, &Settings{DisplayName: r.PrimaryEmail, Theme: "dark"}))
	}
	var h heard
	f := &follower{store: s, target: &h}
	h.expect(t, f)
	for n := 0; n < 60; n += 20 {
		leaveOut(m, m.userOf, n, 20)
		must[*Report](t)(s.reconcile(ctx, m, ReconcileParams{}, quick))
		expectCounts(t, s, "hidden", [3]int{40 - n, 20 + n, 60})
	}
	if err := f.poll(ctx); err != nil || len(h.all) != 60 || !strings.HasSuffix(h.all[0], "deleted") {
		t.Errorf("%q, %v", h.all, err)
	}
	h.all = nil
	hidden := &clerkauth.Caller{UserID: "user_0002"}
	page := must[*Members](t)(s.Members(ctx, adminOf("org_1"), &MembersParams{Q: "name"}))
	found := must[*Users](t)(s.Users(ctx, &UserIDs{IDs: []string{hidden.UserID}}))
	_, err := s.Account(ctx, hidden)
	_, saveErr := s.SaveSettings(ctx, hidden, &Settings{Version: 1, Theme: "light"})
	if page.Total != 0 || len(page.Members) != 0 || len(found.Users) != 0 || codeOf(err) != errs.NotFound || codeOf(saveErr) != errs.NotFound {
		t.Errorf("a hidden user is seen: %+v, %+v, %v, %v", page, found, codeOf(err), codeOf(saveErr))
	}
	export := must[*Export](t)(s.Export(ctx, hidden.UserID))
	if export.HiddenAt == nil || export.User.Email == "" || export.Settings == nil {
		t.Errorf("%+v", export)
	}
	// An event that was sent before does not change a hidden row.
	if err := s.Apply(ctx, userEvent("late", clerkevent.UserUpdated, 1, func(u *clerkevent.User) { u.ID = hidden.UserID })); err != nil {
		t.Fatal(err)
	}

	clear(m.unlisted)
	report := must[*Report](t)(s.reconcile(ctx, m, ReconcileParams{}, quick))
	if report.Users.Restored != 60 || report.Memberships.Restored != 60 || report.Users.Changed+report.Users.Added > 0 {
		t.Errorf("%+v", report)
	}
	expectCounts(t, s, "restored", [3]int{60, 0, 60})
	(&history{t: t, s: s, model: m}).compare(ctx)
	for id, r := range m.userOf {
		a := must[*Account](t)(s.Account(ctx, &clerkauth.Caller{UserID: id}))
		if a.Settings.DisplayName != r.PrimaryEmail || a.Settings.Version != 1 {
			t.Errorf("%+v", a)
		}
	}
	if err := f.poll(ctx); err != nil || len(h.all) != 61 { // one twice, for the late event
		t.Errorf("%q, %v", h.all, err)
	}
}

func TestHiddenRowsAreErased(t *testing.T) {
	s, _ := newLoggedStore(t)
	ctx := t.Context()
	m := emptyClerk()
	m.storeOrganization(clerkevent.OrganizationCreated, organizationRecord{ID: "org_1", CreatedAt: ptr(m.tick())})
	m.storeOrganization(clerkevent.OrganizationCreated, organizationRecord{ID: "org_2", CreatedAt: ptr(m.tick())})
	for range 4 {
		r := userRecord{ID: m.id("user"), CreatedAt: ptr(m.tick())}
		m.storeUser(clerkevent.UserCreated, r)
		m.join("org_1", r.ID)
		m.join("org_2", r.ID)
	}
	must[*Report](t)(s.reconcile(ctx, m, ReconcileParams{}, quick))
	ids := slices.Sorted(func(yield func(string) bool) {
		for id := range m.userOf {
			if !yield(id) {
				return
			}
		}
	})
	for _, id := range ids {
		must[*Settings](t)(s.SaveSettings(ctx, &clerkauth.Caller{UserID: id}, &Settings{Theme: "dark"}))
	}
	clear(m.userOf)
	clear(m.membershipOf)
	delete(m.organizationOf, "org_2")
	must[*Report](t)(s.reconcile(ctx, m, ReconcileParams{}, quick))
	expectCounts(t, s, "hidden", [3]int{0, 4, 4})

	// A deletion at Clerk and an erasure here do not wait.
	deleted := userEvent("deleted", clerkevent.UserDeleted, 9, func(u *clerkevent.User) { *u = clerkevent.User{ID: ids[0]} })
	if err := s.Apply(ctx, deleted); err != nil {
		t.Fatal(err)
	}
	if err := s.Erase(ctx, ids[1]); err != nil {
		t.Fatal(codeOf(err))
	}
	expectCounts(t, s, "deleted and erased", [3]int{0, 2, 2})

	execute(t, s, "UPDATE users SET hidden_at = hidden_at - interval '6 days 23 hours'")
	must[*Report](t)(s.reconcile(ctx, m, ReconcileParams{}, quick))
	expectCounts(t, s, "before EraseAfter", [3]int{0, 2, 2})
	execute(t, s, "UPDATE users SET hidden_at = hidden_at - interval '1 hour'; UPDATE organizations SET hidden_at = hidden_at - interval '8 days'")
	report := must[*Report](t)(s.reconcile(ctx, m, ReconcileParams{}, quick))
	if report.Users.Erased != 2 || report.Organizations.Erased != 1 {
		t.Errorf("%+v", report)
	}
	expectCounts(t, s, "after EraseAfter", [3]int{0, 0, 0})
}

func TestAnotherInstance(t *testing.T) {
	clerk, backend := startClerk(t, fakeclerk.Options{InstanceID: "ins_production"})
	_, wrong := startClerk(t, fakeclerk.Options{InstanceID: "ins_staging"})
	s, log := newLoggedStore(t)
	ctx := t.Context()
	must[*Report](t)(s.Reconcile(ctx, backend, &ReconcileParams{}))
	log.expectOne(t, "INFO the database belongs", "ins_production")
	must[fakeclerk.User](t)(clerk.AddUser(fakeclerk.User{ID: "user_real"}))
	must[*Report](t)(s.Reconcile(ctx, backend, &ReconcileParams{}))
	execute(t, s, "UPDATE users SET stored_at = stored_at - interval '1 day'")
	log.take("")
	before := must[[]string](t)(collect[string](ctx, s.pool, everyRow))

	event := func(instance string) *clerkevent.Event {
		e := userEvent("msg_"+instance, clerkevent.UserDeleted, 9, func(u *clerkevent.User) { *u = clerkevent.User{ID: "user_ada"} })
		e.InstanceID = instance
		return e
	}
	for _, dryRun := range []bool{true, false, false} {
		if _, err := s.Reconcile(ctx, wrong, &ReconcileParams{DryRun: dryRun}); codeOf(err) != errs.FailedPrecondition {
			t.Error(codeOf(err))
		}
	}
	for range 3 {
		if err := s.Apply(ctx, event("ins_staging")); err == nil {
			t.Error("an event of another instance is taken")
		}
	}
	log.expectOne(t, "ERROR", "ins_production", "ins_staging", "secret key", "docs/database.md")
	if after := must[[]string](t)(collect[string](ctx, s.pool, everyRow)); !slices.Equal(after, before) {
		t.Errorf("%q, before %q", after, before)
	}
	if a := must[*Account](t)(s.Account(ctx, ada())); a.FirstName != "Ada" {
		t.Errorf("%+v", a)
	}
	if page := must[*Members](t)(s.Members(ctx, adminOf("org_analytical"), &MembersParams{})); page.Total != 2 {
		t.Errorf("%+v", page)
	}

	// Moving names the instance.
	if _, err := s.Reconcile(ctx, wrong, &ReconcileParams{MoveToInstance: "ins_other"}); codeOf(err) != errs.FailedPrecondition {
		t.Error(codeOf(err))
	}
	report := must[*Report](t)(s.Reconcile(ctx, wrong, &ReconcileParams{MoveToInstance: "ins_staging"}))
	if report.Users.Hidden != 1 { // user_real; the fake Clerks have the others in common
		t.Errorf("%+v", report)
	}
	if _, err := s.Reconcile(ctx, backend, &ReconcileParams{}); codeOf(err) != errs.FailedPrecondition {
		t.Error(codeOf(err))
	}
	if err := s.Apply(ctx, event("ins_production")); err == nil {
		t.Error("an event of the instance before is taken")
	}
	if err := s.Apply(ctx, event("ins_staging")); err != nil {
		t.Error(err)
	}
	if err := s.Apply(ctx, event("")); err != nil { // an event that does not say whose it is
		t.Error(err)
	}
}

const everyRow = `
	SELECT t::text FROM users t UNION ALL SELECT t::text FROM organizations t UNION ALL SELECT t::text FROM memberships t
	UNION ALL SELECT t::text FROM settings t UNION ALL SELECT t::text FROM events t UNION ALL SELECT t::text FROM clerk_instance t
	UNION ALL SELECT t::text FROM reconciliation t ORDER BY 1`

// TestWhoseDatabase decides to which instance a database belongs that does not
// say so.
func TestWhoseDatabase(t *testing.T) {
	ctx := t.Context()
	stored := func(s *Store) string {
		return strings.Join(must[[]string](t)(collect[string](ctx, s.pool, "SELECT id FROM clerk_instance")), " ")
	}
	event := joined("org_1", "user_1", 1)
	event.InstanceID = "ins_of_event"
	t.Run("an empty one: the first event", func(t *testing.T) {
		s, log := newLoggedStore(t)
		if err := s.Apply(ctx, event); err != nil || stored(s) != "ins_of_event" {
			t.Errorf("%v, %q", err, stored(s))
		}
		if _, err := s.reconcile(ctx, emptyClerk(), ReconcileParams{}, quick); codeOf(err) != errs.FailedPrecondition {
			t.Error(codeOf(err))
		}
		log.expectOne(t, "ERROR", "ins_of_event", modelInstance)
	})
	t.Run("an empty one: the first reconciliation", func(t *testing.T) {
		s, _ := newLoggedStore(t)
		must[*Report](t)(s.reconcile(ctx, emptyClerk(), ReconcileParams{}, quick))
		if err := s.Apply(ctx, event); err == nil || stored(s) != modelInstance {
			t.Errorf("%v, %q", err, stored(s))
		}
	})
	for _, test := range []struct {
		name           string
		users, unknown int
		want           string
	}{
		{"of the previous version: most users are known", 100, 30, modelInstance},
		{"of the previous version: most users are unknown", 30, 70, ""},
		{"a single user, who is unknown", 0, 1, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, log := newLoggedStore(t)
			m := emptyClerk()
			for i := range test.users {
				m.storeUser(clerkevent.UserCreated, userRecord{ID: fmt.Sprint("user_", i+1), CreatedAt: ptr(m.tick())})
			}
			addUsers(t, s, test.users+test.unknown)
			if err := s.Apply(ctx, event); err != nil || stored(s) != "" {
				t.Errorf("an event decides: %v, %q", err, stored(s))
			}
			_, err := s.reconcile(ctx, m, ReconcileParams{AllowDeletions: true}, quick)
			if stored(s) != test.want || (err == nil) != (test.want != "") {
				t.Errorf("%q, %v", stored(s), codeOf(err))
			}
			if test.want == "" {
				log.expectOne(t, "ERROR", "Clerk does not know most of its users")
				must[*Report](t)(s.reconcile(ctx, m, ReconcileParams{AllowDeletions: true, MoveToInstance: modelInstance}, quick))
			}
		})
	}
}

func TestOrganizationsAreSwitchedOff(t *testing.T) {
	clerk, backend := startClerk(t, fakeclerk.Options{})
	s, log := newLoggedStore(t)
	ctx := t.Context()
	must[*Report](t)(s.Reconcile(ctx, backend, &ReconcileParams{}))
	clerk.SetOrganizationsEnabled(false)
	must[fakeclerk.User](t)(clerk.AddUser(fakeclerk.User{ID: "user_new"}))
	log.take("")
	report := must[*Report](t)(s.Reconcile(ctx, backend, &ReconcileParams{}))
	if report.Users.Added != 1 || report.Organizations.Hidden+report.Memberships.Hidden > 0 || !slices.Equal(report.NotListed, []string{"organizations", "memberships"}) {
		t.Errorf("%+v", report)
	}
	log.expectOne(t, "INFO organizations are switched off")
	if due := must[bool](t)(s.reconcileDue(ctx, time.Hour)); due {
		t.Error("it is tried again at once")
	}
	if page := must[*Members](t)(s.Members(ctx, adminOf("org_analytical"), &MembersParams{})); page.Total != 2 {
		t.Errorf("%+v", page)
	}
	clerk.SetOrganizationsEnabled(true)
	if report = must[*Report](t)(s.Reconcile(ctx, backend, &ReconcileParams{})); len(report.NotListed) > 0 {
		t.Errorf("%+v", report)
	}
}

// TestClerkRefusesAList lets Clerk refuse one route after the other.
func TestClerkRefusesAList(t *testing.T) {
	for _, test := range []struct{ route, table, level, words string }{
		{"GET /v1/users", "users", "ERROR", "route GET /v1/users status 403 code not_allowed"},
		{"GET /v1/organizations", "organizations", "ERROR", "route GET /v1/organizations status 403 code not_allowed"},
		{"GET /v1/organization_memberships", "memberships", "ERROR", "route GET /v1/organization_memberships status 403 code not_allowed"},
		{"GET /v1/instance", "", "ERROR", "route GET /v1/instance status 403 code not_allowed"},
	} {
		t.Run(test.route, func(t *testing.T) {
			clerk, backend := startClerk(t, fakeclerk.Options{})
			clerk.SetFault(test.route, fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 403, Body: `{"errors":[{"code":"not_allowed","message":"no"}]}`})
			s, log := newLoggedStore(t)
			report, err := s.Reconcile(t.Context(), backend, &ReconcileParams{})
			log.expectOne(t, test.level, test.words)
			if test.table == "" {
				if codeOf(err) != errs.Internal {
					t.Error(codeOf(err))
				}
				return
			}
			if err != nil || !slices.Equal(report.NotListed, []string{test.table}) {
				t.Fatalf("%+v, %v", report, codeOf(err))
			}
			for _, k := range kinds {
				if listed := report.of(k).Listed > 0; listed == (string(k) == test.table) {
					t.Errorf("%s: %+v", k, report.of(k))
				}
			}
		})
	}
}

// oddClerk answers with the lists that it is given.
func oddClerk(t *testing.T, lists map[string]string) clerkAPI {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := lists[r.URL.Path]
		if !ok {
			body = `{"data":[]}`
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	authenticator, err := clerkauth.New(clerkauth.Options{SecretKey: "sk_test_x", APIURL: server.URL, RateLimitShare: 1})
	if err != nil {
		t.Fatal(err)
	}
	return clerkAPI{authenticator.Backend()}
}

func TestOddRecordsAreSkipped(t *testing.T) {
	s, log := newLoggedStore(t)
	addUsers(t, s, 4)
	var many []string
	for i := range 4 { // 1 to 3 are odd now, and stay
		many = append(many, fmt.Sprintf(`{"id":"user_%d","created_at":%s,"updated_at":1795400000000}`, i+1, []string{"1e30", `"2026"`, "9e17", "1767225604000"}[i]))
	}
	clerk := oddClerk(t, map[string]string{
		"/v1/instance": `{"id":"ins_odd"}`,
		"/v1/users": `[{"id":""},{"id":42},{"id":"user_\u0000"},null,{"id":"org_1"},` +
			`{"id":"user_old","updated_at":-99999999999999999},{"id":"user_array","first_name":["Ada"]},"user",` + strings.Join(many, ",") +
			`,{"id":"user_ok","first_name":"A\u0000da","created_at":1795400000000,"updated_at":1795400000000}]`,
		"/v1/organizations": `{"data":[{"id":"","name":"none"},{"id":"org_1","name":"One","created_at":1,"updated_at":1}]}`,
		"/v1/organization_memberships": `{"data":[
			{"id":"orgmem_1","organization":{"id":"org_1"},"created_at":1,"updated_at":1},
			{"id":"orgmem_2","organization":{"id":"org_1"},"public_user_data":null,"created_at":1,"updated_at":1},
			{"id":"orgmem_3","public_user_data":{"user_id":"user_ok"},"created_at":1,"updated_at":1},
			{"id":"orgmem_4","organization":{"id":"org_1"},"public_user_data":{"user_id":"user_ok"},"role":"org:admin","created_at":1,"updated_at":1}]}`,
	})
	execute(t, s, "INSERT INTO clerk_instance (id) VALUES ('ins_odd')")
	report, err := s.reconcile(t.Context(), clerk, ReconcileParams{}, quick)
	if err != nil {
		t.Fatal(codeOf(err), log.take(""))
	}
	if report.Users.Skipped != 11 || report.Organizations.Skipped != 1 || report.Memberships.Skipped != 3 || report.Memberships.Added != 1 ||
		report.Users.Added != 1 || report.Users.Changed != 1 || report.Users.Hidden != 0 {
		t.Errorf("%+v", report)
	}
	logged := strings.Join(log.take("WARN records of Clerk cannot be stored"), "")
	for _, word := range []string{`"user_1": created_at`, `"user_array": first_name`, `"user_old": updated_at`, `"orgmem_1": public_user_data.user_id`, `"orgmem_3": organization.id`} {
		if !strings.Contains(logged, word) {
			t.Errorf("%q is not in %q", word, logged)
		}
	}
	expectCounts(t, s, "odd", [3]int{5, 0, 4})
}

func TestOddEventsAreTaken(t *testing.T) {
	s, log := newLoggedStore(t)
	far := time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)
	odd := func(change func(*clerkevent.Event)) *clerkevent.Event {
		e := userEvent("msg_odd", clerkevent.UserUpdated, 1, nil)
		e.Subject = e.User.ID
		change(e)
		return e
	}
	for name, e := range map[string]*clerkevent.Event{
		"no id":          odd(func(e *clerkevent.Event) { e.User.ID = "" }),
		"a NUL":          odd(func(e *clerkevent.Event) { e.User.ID = "user_\x00" }),
		"a long id":      odd(func(e *clerkevent.Event) { e.User.ID = "user_" + strings.Repeat("x", 5000) }),
		"far":            odd(func(e *clerkevent.Event) { e.User.UpdatedAt = far }),
		"far ahead":      odd(func(e *clerkevent.Event) { e.At = far }),
		"a long time":    odd(func(e *clerkevent.Event) { e.User.CreatedAt = time.UnixMilli(1 << 62) }),
		"deleted nobody": odd(func(e *clerkevent.Event) { e.Type, e.User = clerkevent.UserDeleted, &clerkevent.User{} }),
		"nobody's membership": odd(func(e *clerkevent.Event) {
			*e = *joined("org_1", "user_ada", 1)
			e.Membership.UserID = ""
		}),
		"a session of nobody": odd(func(e *clerkevent.Event) {
			e.Type, e.User, e.Session = clerkevent.SessionEnded, nil, &clerkevent.Session{ID: "sess_\x00"}
		}),
		"an organization": odd(func(e *clerkevent.Event) {
			e.Type, e.User, e.Organization = clerkevent.OrganizationCreated, nil, &clerkevent.Organization{ID: "user_ada"}
		}),
	} {
		if err := s.Apply(t.Context(), e); err != nil {
			t.Errorf("%s: repeated for ever: %v", name, err)
		}
		if got := log.take("WARN an event is skipped"); len(got) != 1 || !strings.Contains(got[0], e.ID) {
			t.Errorf("%s: %q", name, got)
		}
	}
	expectCounts(t, s, "odd events", [3]int{})
}

// TestPagesThatDoNotFit lists more than 8 MiB at a time.
func TestPagesThatDoNotFit(t *testing.T) {
	clerk, backend := startClerk(t, fakeclerk.Options{SecretKey: "sk_live_fakeclerk"})
	metadata := func(size int) map[string]any { return map[string]any{"x": strings.Repeat("x", size)} }
	organization := must[fakeclerk.Organization](t)(clerk.AddOrganization(fakeclerk.Organization{Name: "Large", PublicMetadata: metadata(16 << 10)}))
	for i := range 520 {
		size := 18 << 10
		if i == 300 {
			size = 9 << 20
		}
		u := must[fakeclerk.User](t)(clerk.AddUser(fakeclerk.User{ID: fmt.Sprintf("user_large_%d", i), PublicMetadata: metadata(size)}))
		must[fakeclerk.Membership](t)(clerk.AddMembership(organization.ID, u.ID, ""))
	}
	s, log := newLoggedStore(t)
	report := must[*Report](t)(s.Reconcile(t.Context(), backend, &ReconcileParams{}))
	if report.Users.Added != 4+519 || report.Users.Skipped < 1 || report.Memberships.Added != 2+520 {
		t.Errorf("%+v", report)
	}
	t.Logf("%d calls", report.Calls)
	if warned := log.take("WARN records of Clerk cannot be stored"); len(warned) == 0 || !strings.Contains(warned[0], "its size") {
		t.Errorf("%q", warned)
	}
	// The large user, who was stored with the membership, stays.
	execute(t, s, "UPDATE users SET stored_at = stored_at - interval '1 day'")
	report = must[*Report](t)(s.Reconcile(t.Context(), backend, &ReconcileParams{}))
	if report.Users.Hidden+report.Users.Changed+report.Memberships.Hidden+report.Memberships.Added > 0 {
		t.Errorf("%+v", report)
	}
}

// TestReadSpanOfLargeRecords reads lists of records of any size.
func TestReadSpanOfLargeRecords(t *testing.T) {
	for _, test := range []struct {
		name    string
		sizes   []int
		skipped int
	}{
		{"all fit", []int{1, 1, 1, 1, 1, 1, 1, 1}, 0},
		{"none fits with another", []int{9, 9, 9, 9, 9}, 0},
		{"the first does not fit", []int{99, 1, 1, 1}, 1},
		{"none fits", []int{99, 99, 99}, 3},
		{"some do not fit", []int{1, 1, 99, 1, 9, 9, 99, 99, 1, 1, 1, 9}, 3},
		{"the last does not fit", []int{1, 1, 1, 1, 99}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := emptyClerk()
			m.capacity = 10
			for _, size := range test.sizes {
				r := userRecord{ID: m.id("user"), CreatedAt: ptr(m.tick())}
				m.userOf[r.ID], m.sizes[r.ID] = r, size
			}
			seen, skipped := map[string]bool{}, 0
			var from place
			for last, pages := false, 0; !last; pages++ {
				page := must[span[userRecord]](t)(readSpan(t.Context(), m.users, 8, from))
				for _, r := range page.records {
					seen[r.ID] = true
				}
				skipped += len(page.skipped)
				from, last = page.next, page.last
				if pages > 30 {
					t.Fatal("no end")
				}
			}
			if len(seen) != len(test.sizes)-test.skipped || skipped != test.skipped {
				t.Errorf("%d read, %d skipped", len(seen), skipped)
			}
		})
	}
}

// TestThousandsAreGone stops a reconciliation again and again that finds
// thousands of users missing.
func TestThousandsAreGone(t *testing.T) {
	const gone = 3000
	s, log := newLoggedStore(t)
	addUsers(t, s, gone)
	execute(t, s, "INSERT INTO clerk_instance (id) VALUES ($1)", modelInstance)
	m := emptyClerk()
	var err error
	for tries := 0; ; tries++ {
		ctx, cancel := context.WithCancel(t.Context())
		before := m.calls
		m.between = func() {
			if m.calls == before+10 {
				cancel()
			}
		}
		_, err = s.reconcile(ctx, m, ReconcileParams{AllowDeletions: true}, quick)
		cancel()
		if err == nil || tries > 10 {
			break
		}
	}
	if err != nil || m.calls > gone/idsPerCall+20 {
		t.Errorf("%d calls, %v", m.calls, codeOf(err))
	}
	expectCounts(t, s, "gone", [3]int{0, gone, gone})
	if got := log.take("ERROR"); len(got) > 0 {
		t.Error(got)
	}
}

// TestMembershipsOfOnePlace stores the newest of memberships that follow each
// other within a page, or within a millisecond.
func TestMembershipsOfOnePlace(t *testing.T) {
	for _, apart := range []time.Duration{0, time.Second} {
		s, log := newLoggedStore(t)
		m := emptyClerk()
		m.storeUser(clerkevent.UserCreated, userRecord{ID: "user_1", CreatedAt: ptr(m.tick())})
		m.storeOrganization(clerkevent.OrganizationCreated, organizationRecord{ID: "org_1", CreatedAt: ptr(m.tick())})
		m.join("org_1", "user_1")
		old := m.membershipOf[pick(m.random, m.membershipOf)]
		again := old
		again.ID, again.CreatedAt = "orgmem_again", old.CreatedAt.Add(apart)
		m.membershipOf["orgmem_again"] = again
		if apart == 0 {
			delete(m.membershipOf, "orgmem_again")
			must[*Report](t)(s.reconcile(t.Context(), m, ReconcileParams{}, quick))
			delete(m.membershipOf, old.ID)
			m.membershipOf["orgmem_again"] = again
		}
		must[*Report](t)(s.reconcile(t.Context(), m, ReconcileParams{}, quick))
		live := must[[]string](t)(collect[string](t.Context(), s.pool, "SELECT id FROM memberships WHERE deleted_at IS NULL"))
		if !slices.Equal(live, []string{"orgmem_again"}) || len(log.take("ERROR")) > 0 {
			t.Errorf("%v apart: %v", apart, live)
		}
	}
}

// TestPoolOfOne reconciles while the only connection of the pool serves requests.
func TestPoolOfOne(t *testing.T) {
	s := New(newPool(t, oneConnection), &testLog{t: t})
	m := emptyClerk()
	m.storeUser(clerkevent.UserCreated, userRecord{ID: "user_ada", CreatedAt: ptr(m.tick())})
	m.between = func() { must[*Account](t)(s.Account(t.Context(), ada())) }
	report := must[*Report](t)(s.reconcile(t.Context(), m, ReconcileParams{}, quick))
	if report.Users.Changed != 1 {
		encoded, _ := json.Marshal(report)
		t.Errorf("%s", encoded)
	}
}
