package store

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"encore.dev/beta/errs"
	"github.com/jackc/pgx/v5"

	"encore.app/auth/clerkauth"
	"encore.app/internal/postgres/postgrestest"
	"encore.app/webhooks/clerkevent"
)

// joined is the event of a user who joined an organization in some minute.
func joined(organizationID, userID string, minute int) *clerkevent.Event {
	return &clerkevent.Event{
		ID: fmt.Sprint("msg_", organizationID, userID, minute), Type: clerkevent.MembershipCreated, At: at(minute),
		Membership: &clerkevent.Membership{
			ID: fmt.Sprint("orgmem_", organizationID, userID, minute), OrganizationID: organizationID, UserID: userID,
			Role: "org:member", CreatedAt: at(minute), UpdatedAt: at(minute),
		},
	}
}

func adminOf(organizationID string) *clerkauth.Caller {
	return &clerkauth.Caller{UserID: "user_admin", Organization: clerkauth.Organization{ID: organizationID, Role: "org:admin"}}
}

func TestMembers(t *testing.T) {
	s, _ := newStore(t, nil)
	people := []clerkevent.User{
		{ID: "user_ada", PrimaryEmailAddress: "ada@example.com", FirstName: "Ada", LastName: "Lovelace"},
		{ID: "user_grace", PrimaryEmailAddress: "grace@example.com", FirstName: "Grace", LastName: "Hopper"},
		{ID: "user_noemail", Username: "Anon_1", LastName: "van der 100%"},
		{ID: "user_same", PrimaryEmailAddress: "adam@example.org", FirstName: "Élodie"},
	}
	for i, person := range people {
		person.UpdatedAt = at(i)
		for _, e := range []*clerkevent.Event{
			{ID: person.ID, Type: clerkevent.UserCreated, At: at(i), User: &person},
			joined("org_1", person.ID, i/2), // two at a time
		} {
			if err := s.Apply(t.Context(), e); err != nil {
				t.Fatal(codeOf(err))
			}
		}
	}
	// Others, and a member who has only an id.
	for _, e := range []*clerkevent.Event{joined("org_2", "user_ada", 3), joined("org_1", "user_unknown", 4)} {
		if err := s.Apply(t.Context(), e); err != nil {
			t.Fatal(codeOf(err))
		}
	}
	for _, test := range []struct {
		name   string
		params MembersParams
		want   string
	}{
		{"all", MembersParams{}, "ada grace noemail same unknown"},
		{"a limit", MembersParams{Limit: "2"}, "ada grace …"},
		{"an offset", MembersParams{Limit: "2", Offset: "3"}, "same unknown"},
		{"a first name", MembersParams{Q: "gra"}, "grace"},
		{"a last name in upper case", MembersParams{Q: "LOVE"}, "ada"},
		{"an email address", MembersParams{Q: "adam@"}, "same"},
		{"some email addresses", MembersParams{Q: "ada", Limit: "1"}, "ada …"},
		{"first and last name", MembersParams{Q: " lovelace  ada "}, "ada"},
		{"first name and another's last name", MembersParams{Q: "ada hopper"}, ""},
		{"the middle of a name", MembersParams{Q: "race"}, ""},
		{"a pattern", MembersParams{Q: "%"}, ""},
		{"a pattern of one character", MembersParams{Q: "anon_"}, "noemail"},
		{"a pattern that is no pattern", MembersParams{Q: "ano__"}, ""},
		{"a percent sign", MembersParams{Q: "100%"}, "noemail"},
		{"a word of a name", MembersParams{Q: "der"}, "noemail"},
		{"a word twice", MembersParams{Q: "ada ada"}, "ada same"},
		{"another alphabet", MembersParams{Q: "élo"}, "same"},
		{"a backslash", MembersParams{Q: `\`}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			page, err := s.Members(t.Context(), adminOf("org_1"), &test.params)
			if err != nil {
				t.Fatal(codeOf(err))
			}
			if got := names(page); got != test.want || page.Total != 5 {
				t.Errorf("got %q of %d, want %q", got, page.Total, test.want)
			}
		})
	}

	var walked []string
	params := MembersParams{Limit: "2"}
	for range 10 {
		page, err := s.Members(t.Context(), adminOf("org_1"), &params)
		if err != nil {
			t.Fatal(codeOf(err))
		}
		walked = append(walked, names(page))
		if params.After = page.Next; page.Next == "" {
			break
		}
	}
	if got := strings.Join(walked, ", "); got != "ada grace …, noemail same …, unknown" {
		t.Errorf("page by page: %s", got)
	}
	page, err := s.Members(t.Context(), adminOf("org_1"), &MembersParams{Q: "anon"})
	want := Member{UserID: "user_noemail", Role: "org:member", Identifier: "Anon_1", LastName: "van der 100%"}
	if err != nil || len(page.Members) != 1 || *page.Members[0] != want {
		t.Errorf("%+v, %v", page, codeOf(err))
	}
}

// names lists the members of a page, and whether there are more.
func names(page *Members) string {
	var all []string
	for _, m := range page.Members {
		all = append(all, strings.TrimPrefix(m.UserID, "user_"))
	}
	if page.Next != "" {
		all = append(all, "…")
	}
	return strings.Join(all, " ")
}

// TestSearchWalksOverAll walks page by page through the members that a search
// finds: each is there once, for every size of a page.
func TestSearchWalksOverAll(t *testing.T) {
	s, _ := newStore(t, nil)
	execute(t, s, `
		INSERT INTO organizations (id, members) VALUES ('org_1', 120);
		INSERT INTO users (id, primary_email, username, first_name, last_name)
		SELECT 'user_' || n, CASE n % 3 WHEN 0 THEN '' ELSE 'Émile' || n % 7 || '@example.com' END, 'a' || n,
			'Anna' || n % 5, CASE n % 12 WHEN 0 THEN 'ANNA Zoë' ELSE 'annas' END
		FROM generate_series(1, 120) AS n;
		INSERT INTO memberships (id, organization_id, user_id, role, created_at, updated_at)
		SELECT 'orgmem_' || n, 'org_1', 'user_' || n, 'org:member', now(), now() FROM generate_series(1, 120) AS n`)
	type person struct {
		id    string
		words []string
	}
	rows, err := s.pool.Query(t.Context(), "SELECT id, concat_ws(' ', primary_email, username, first_name, last_name) FROM users")
	if err != nil {
		t.Fatal(err)
	}
	people, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p person, err error) {
		var names string
		err = row.Scan(&p.id, &names)
		p.words = strings.Fields(strings.ToLower(names))
		return p, err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, search := range []string{"a", "anna", "ANNA1", "émile", "ÉMILE3@", "zoë", "a zoë", "zoë a", "an émile3", "anna anna4 a", "a b", "b", "%"} {
		want := map[string]int{}
		for _, p := range people {
			all := true
			for _, word := range strings.Fields(strings.ToLower(search)) {
				all = all && slices.ContainsFunc(p.words, func(w string) bool { return strings.HasPrefix(w, word) })
			}
			if all {
				want[p.id] = 1
			}
		}
		// Within a small window, the rest comes from the index of words.
		for _, window := range []int{1, 15, searchWindow} {
			for _, limit := range []string{"3", "100"} {
				if got := walk(t, s, MembersParams{Q: search, Limit: limit}, window); !maps.Equal(got, want) {
					twice := slices.DeleteFunc(slices.Sorted(maps.Keys(got)), func(id string) bool { return got[id] == 1 })
					t.Errorf("%q by %s, window %d: %d members, want %d; more than once: %v", search, limit, window, len(got), len(want), twice)
				}
			}
		}
	}

	// The last member of a page leaves, or gets another name.
	page, err := s.Members(t.Context(), adminOf("org_1"), &MembersParams{Q: "zoë", Limit: "3"})
	if err != nil || len(page.Members) != 3 {
		t.Fatal(page, codeOf(err))
	}
	execute(t, s, "UPDATE memberships SET deleted_at = now() WHERE user_id = $1", page.Members[2].UserID)
	again, err := s.Members(t.Context(), adminOf("org_1"), &MembersParams{Q: "zoë", Limit: "3", After: page.Next})
	if err != nil || len(again.Members) != 3 || slices.ContainsFunc(again.Members, func(m *Member) bool { return m.UserID == page.Members[2].UserID }) {
		t.Errorf("%v, %v", names(again), codeOf(err))
	}
	execute(t, s, "UPDATE users SET last_name = 'Zora' WHERE id = $1", page.Members[1].UserID)
	for search, want := range map[string]int{"zoë": 8, "zora": 1} {
		found, err := s.Members(t.Context(), adminOf("org_1"), &MembersParams{Q: search})
		if err != nil || len(found.Members) != want {
			t.Errorf("%s: %v, %v", search, names(found), codeOf(err))
		}
	}
	if found, err := collect[string](t.Context(), s.pool, inconsistencies); err != nil || len(found) != 1 { // the number of members
		t.Errorf("%v, %v", found, err)
	}
}

// TestMemberByPhone shows what Clerk calls a member by who has neither an email
// address nor a username, until the member leaves.
func TestMemberByPhone(t *testing.T) {
	s, _ := newStore(t, nil)
	apply := func(e *clerkevent.Event) {
		t.Helper()
		if err := s.Apply(t.Context(), e); err != nil {
			t.Fatal(codeOf(err))
		}
	}
	shows := func(want string) {
		t.Helper()
		page, err := s.Members(t.Context(), adminOf("org_1"), &MembersParams{})
		if err != nil || len(page.Members) != 1 || page.Members[0].Identifier != want {
			t.Errorf("%+v, %v, want %q", page, codeOf(err), want)
		}
	}
	member := joined("org_1", "user_ada", 1)
	member.Membership.Identifier = "+15555550100"
	apply(member)
	shows("+15555550100")
	apply(userEvent("Ada", clerkevent.UserCreated, 1, nil))
	shows("+15555550100")
	moved := joined("org_1", "user_ada", 1)
	moved.ID, moved.At, moved.Type = "moved", at(2), clerkevent.MembershipUpdated
	moved.Membership.Identifier, moved.Membership.UpdatedAt = "+15555550101", at(2)
	apply(moved)
	shows("+15555550101")
	apply(userEvent("ada", clerkevent.UserUpdated, 3, func(u *clerkevent.User) { u.Username = "ada" }))
	shows("ada")
	apply(userEvent("ada@", clerkevent.UserUpdated, 4, func(u *clerkevent.User) { u.PrimaryEmailAddress = "ada@example.com" }))
	shows("ada@example.com")
	left := joined("org_1", "user_ada", 1)
	left.ID, left.At, left.Type = "left", at(5), clerkevent.MembershipDeleted
	apply(left)
	if found, err := collect[string](t.Context(), s.pool, "SELECT id FROM memberships WHERE identifier <> ''"); err != nil || len(found) > 0 {
		t.Errorf("%v, %v", found, err)
	}
}

// walk goes through all pages, and counts how often a member is on one.
func walk(t *testing.T, s *Store, params MembersParams, window int) map[string]int {
	t.Helper()
	got := map[string]int{}
	for range 1000 {
		q, err := params.parse()
		if err != nil {
			t.Fatal(codeOf(err))
		}
		q.window = window
		page, err := s.members(t.Context(), "org_1", q)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range page.Members {
			got[m.UserID]++
		}
		if params.After = page.Next; page.Next == "" {
			return got
		}
	}
	t.Fatal("pages without end")
	return nil
}

// TestSearchAnyName finds names in any case and with any white space, in a
// database whose own locale is limited to ASCII: by each beginning of each
// word.
func TestSearchAnyName(t *testing.T) {
	database := postgrestest.Database(t)
	name := database[strings.Index(database, "dbname=")+len("dbname="):]
	name, _, _ = strings.Cut(name, " ")
	s, err := Open(strings.Replace(database, "dbname="+name, "dbname=postgres", 1), nil)
	if err != nil {
		t.Fatal(err)
	}
	execute(t, s, "DROP DATABASE "+name)
	execute(t, s, "CREATE DATABASE "+name+" LOCALE 'C' TEMPLATE template0")
	s.Close()
	log := &testLog{t: t}
	if s, err = Open(database, log); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	names := map[string][]string{
		"Élodie":                       {"élodie", "ÉLODIE", "e\u0301lod"},
		"E\u0301lodie":                 {"élodie", "ÉLO"},
		"Jean\u00a0Paul\u3000Sartre":   {"paul", "SARTRE", "jean\u2003sar"},
		"Anna\u2028Lena\u0085Eva\tIda": {"lena", "eva", "ida", "anna lena eva ida"},
		"ΟΔΟΣΑΣ ΟΔΟΣ":                  {"οδος", "οδοσα", "ΟΔΟΣ"},
		"ЮЛИЯ Ёлкина":                  {"юлия", "ёЛ"},
		"ＡＤＡ":                          {"ada"},
		"O'Neil":                       {"o'n", "O'NEIL"},
		`back\slash | & ! :* <-> (x)`:  {`back\s`, ":*", "<->", "(x", "& |"},
		"100% a_b":                     {"100%", "a_"},
		"ﷺ":                            {"صلى"},
		strings.Repeat("ﷺ", 400):       {"صلى"},
		strings.Repeat("W", 300):       {strings.Repeat("w", 100)},
	}
	n := 0
	for name, searches := range names {
		n++
		id := fmt.Sprint("user_", n)
		user := &clerkevent.Event{ID: id, Type: clerkevent.UserCreated, At: at(n), User: &clerkevent.User{ID: id, FirstName: name, UpdatedAt: at(n)}}
		for _, e := range []*clerkevent.Event{user, joined("org_1", id, n)} {
			if err := s.Apply(t.Context(), e); err != nil {
				t.Fatalf("%.20q: %v", name, err)
			}
		}
		for _, search := range searches {
			page, err := s.Members(t.Context(), adminOf("org_1"), &MembersParams{Q: search, Limit: "100"})
			if err != nil || !slices.ContainsFunc(page.Members, func(m *Member) bool { return m.UserID == id }) {
				t.Errorf("%.20q is not found by %q: %v", name, search, codeOf(err))
			}
		}
	}
	for _, search := range []string{"lodie", "' | 'a", "%", "_", "ad\\", "!a", "zzz", "'", "a' || 'b"} {
		if page, err := s.Members(t.Context(), adminOf("org_1"), &MembersParams{Q: search}); err != nil || len(page.Members) != 0 {
			t.Errorf("%q: %+v, %v", search, page, codeOf(err))
		}
	}
}

func TestMembersRefuses(t *testing.T) {
	s, _ := newStore(t, nil)
	gone := &clerkevent.Event{ID: "gone", Type: clerkevent.OrganizationDeleted, At: at(2), Organization: &clerkevent.Organization{ID: "org_gone"}}
	for _, e := range []*clerkevent.Event{joined("org_1", "user_ada", 1), joined("org_gone", "user_ada", 1), gone} {
		if err := s.Apply(t.Context(), e); err != nil {
			t.Fatal(codeOf(err))
		}
	}
	for name, test := range map[string]struct {
		organizationID string
		params         MembersParams
		code           errs.ErrCode
	}{
		"limit 0":                      {"org_1", MembersParams{Limit: "0"}, errs.InvalidArgument},
		"limit 101":                    {"org_1", MembersParams{Limit: "101"}, errs.InvalidArgument},
		"limit in words":               {"org_1", MembersParams{Limit: "ten"}, errs.InvalidArgument},
		"a negative offset":            {"org_1", MembersParams{Offset: "-1"}, errs.InvalidArgument},
		"an offset that costs":         {"org_1", MembersParams{Offset: "1001"}, errs.InvalidArgument},
		"a search with an offset":      {"org_1", MembersParams{Q: "a", Offset: "1"}, errs.InvalidArgument},
		"after and offset":             {"org_1", MembersParams{Offset: "1", After: position{userID: "user_ada", joined: at(1)}.String()}, errs.InvalidArgument},
		"after in words":               {"org_1", MembersParams{After: "the last"}, errs.InvalidArgument},
		"after with a NUL":             {"org_1", MembersParams{After: position{userID: "\x00", joined: at(1)}.String()}, errs.InvalidArgument},
		"after of the end of time":     {"org_1", MembersParams{After: "OTIyMzM3MjAzNjg1NDc3NTgwNy4wLjAuYQ"}, errs.InvalidArgument},
		"five words":                   {"org_1", MembersParams{Q: "a b c d e"}, errs.InvalidArgument},
		"a long search":                {"org_1", MembersParams{Q: strings.Repeat("a", 101)}, errs.InvalidArgument},
		"a search without end":         {"org_1", MembersParams{Q: strings.Repeat("a", 10_000)}, errs.InvalidArgument},
		"a search with a NUL":          {"org_1", MembersParams{Q: "a\x00"}, errs.OK},
		"an organization that is gone": {"org_gone", MembersParams{}, errs.NotFound},
		"one that is not known yet":    {"org_new", MembersParams{}, errs.Unavailable},
	} {
		if _, err := s.Members(t.Context(), adminOf(test.organizationID), &test.params); codeOf(err) != test.code {
			t.Errorf("%s: %v, want %v", name, codeOf(err), test.code)
		}
	}
}
