package store

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"testing"
	"time"
)

// TestQueriesUseIndexes explains the queries of requests on 100,000 users. All
// are in one organization, and some of them in one more, of 50. The cost of a
// query is the number of pages that it reads, which are in memory. At about 2
// µs each, with the work on their rows, maxPages stay well below 50 ms. The
// measured times are printed.
func TestQueriesUseIndexes(t *testing.T) {
	if !whole {
		t.Skip("TESTS=whole explains the queries: 100,000 users take a while")
	}
	s, _ := newStore(t, nil)
	execute(t, s, `
		INSERT INTO users (id, primary_email, username, first_name, last_name, created_at, updated_at)
		SELECT 'user_' || n, md5('e' || n) || '@example.com', 'member_' || n, initcap(substr(md5('f' || n % 2000), 1, 6)),
			CASE WHEN n % 10 = 0 THEN 'Åström ' ELSE '' END || initcap(substr(md5('l' || n % 20000), 1, 8)),
			'2026-01-01'::timestamptz + n * interval '1 second', now()
		FROM generate_series(1, 100000) AS n;
		INSERT INTO organizations (id, name, members, updated_at)
		SELECT 'org_' || n, 'Organization ' || n, CASE n WHEN 0 THEN 100000 ELSE 50 END, now() FROM generate_series(0, 100) AS n;
		INSERT INTO memberships (id, organization_id, user_id, role, created_at, updated_at)
		SELECT 'orgmem_' || organization || '_' || n, 'org_' || organization, 'user_' || n, 'org:member',
			'2026-01-02'::timestamptz + n * interval '1 second', now()
		FROM generate_series(1, 100000) AS n, LATERAL (SELECT 0 AS organization UNION SELECT n / 20 % 100 + 1 WHERE n % 20 = 0) AS o;
		INSERT INTO settings (user_id, version, display_name, locale, time_zone, theme)
		SELECT 'user_' || n, 1, '', '', '', 'system' FROM generate_series(1, 100000, 3) AS n;
		ANALYZE users; ANALYZE organizations; ANALYZE memberships; ANALYZE settings`)

	after := func(n int) string {
		return position{userID: fmt.Sprint("user_", n), joined: time.Date(2026, 1, 2, 0, 0, n, 0, time.UTC)}.String()
	}
	const all, few = "org_0", "org_9"
	for _, test := range []struct {
		name           string
		organizationID string
		params         MembersParams
	}{
		{"the first page", all, MembersParams{}},
		{"a large page", all, MembersParams{Limit: "100"}},
		{"the largest offset", all, MembersParams{Offset: "1000"}},
		{"a page in the middle", all, MembersParams{After: after(50_000)}},
		{"the last page", all, MembersParams{After: after(99_995), Limit: "100"}},
		{"a page of a small organization", few, MembersParams{}},
		{"everybody, by a letter", all, MembersParams{Q: "m"}},
		{"everybody, by a word", all, MembersParams{Q: "Member"}},
		{"everybody, a large page", all, MembersParams{Q: "member", Limit: "100"}},
		{"everybody, from the middle", all, MembersParams{Q: "member", After: after(50_000)}},
		{"everybody, the last page", all, MembersParams{Q: "member", After: after(99_999)}},
		{"a letter of three names", all, MembersParams{Q: "a"}},
		{"a letter from the middle", all, MembersParams{Q: "a", After: after(50_000)}},
		{"two letters", all, MembersParams{Q: "ab"}},
		{"three letters", all, MembersParams{Q: "abc"}},
		{"three letters, a large page", all, MembersParams{Q: "abc", Limit: "100"}},
		{"four letters", all, MembersParams{Q: "abcd"}},
		{"letters that are not ASCII", all, MembersParams{Q: "ÅST"}},
		{"an email address", all, MembersParams{Q: "abcdef0123@example.com"}},
		{"nobody", all, MembersParams{Q: "zzz"}},
		{"a number that few of the first have", all, MembersParams{Q: "member_9", Limit: "100"}},
		{"a number that none of the next have", all, MembersParams{Q: "member_9", After: after(10_000)}},
		{"a number of the last", all, MembersParams{Q: "member_9999"}},
		{"a percent sign", all, MembersParams{Q: "%"}},
		{"a pattern", all, MembersParams{Q: "_%_"}},
		{"a backslash", all, MembersParams{Q: `\`}},
		{"two words", all, MembersParams{Q: "ab cd"}},
		{"everybody and nobody", all, MembersParams{Q: "member zzz"}},
		{"everybody and a few", all, MembersParams{Q: "member abcd"}},
		{"everybody and many", all, MembersParams{Q: "member a"}},
		{"four letters that many have", all, MembersParams{Q: "a b c d"}},
		{"four letters that many have, a large page", all, MembersParams{Q: "a b c d", Limit: "100"}},
		{"a letter in a small organization", few, MembersParams{Q: "a"}},
		{"everybody in a small organization", few, MembersParams{Q: "member", Limit: "100"}},
		{"nobody in a small organization", few, MembersParams{Q: "zzz"}},
	} {
		q, err := test.params.parse()
		if err != nil {
			t.Fatal(codeOf(err))
		}
		statement, args := q.membersStatement(test.organizationID, nil)
		explain(t, s, test.name, statement, args...)
		more, err := s.readMembers(t.Context(), test.organizationID, &q, nil, &Members{})
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			continue
		}
		explain(t, s, test.name+": the index of words", foundStatement, q.search, 2*q.window)
		found, err := collect[string](t.Context(), s.pool, foundStatement, q.search, 2*q.window)
		if err != nil {
			t.Fatal(err)
		}
		if len(found) < 2*q.window {
			q.window = len(found) + 1
			statement, args = q.membersStatement(test.organizationID, found)
			explain(t, s, test.name+": those found", statement, args...)
		}
	}
	ids := make([]string, maxUserIDs)
	for i := range ids {
		ids[i] = fmt.Sprint("user_", i*977+1)
	}
	explain(t, s, "users by ids", usersStatement, ids)
	explain(t, s, "an account", accountStatement, "user_4711", defaultTheme)
}

const maxPages = 12_000 // a page of the database, of 8 KB

var sequential = regexp.MustCompile(`"Node Type": "Seq Scan",[^}]*"Relation Name": "(users|memberships|settings|events)"`)

// explain runs a statement several times, judges the last plan and prints the
// median of the times.
func explain(t *testing.T, s *Store, name, statement string, args ...any) {
	t.Helper()
	var plans []struct {
		Plan struct {
			Hit  int `json:"Shared Hit Blocks"`
			Read int `json:"Shared Read Blocks"`
			Rows int `json:"Actual Rows"`
		}
		Execution float64 `json:"Execution Time"`
	}
	var text string
	var times []float64
	for range 9 {
		if err := s.pool.QueryRow(t.Context(), "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "+statement, args...).Scan(&text); err != nil {
			t.Fatal(name, err)
		}
		if err := json.Unmarshal([]byte(text), &plans); err != nil {
			t.Fatal(err)
		}
		times = append(times, plans[0].Execution)
	}
	slices.Sort(times)
	p := plans[0].Plan
	t.Logf("%-60s %4d rows, %5d pages, %.2f ms", name, p.Rows, p.Hit+p.Read, times[len(times)/2])
	if pages := p.Hit + p.Read; pages > maxPages {
		t.Errorf("%s: %d pages, at most %d\n%s", name, pages, maxPages, text)
	}
	if sequential.MatchString(text) {
		t.Errorf("%s: reads a whole table\n%s", name, text)
	}
}
