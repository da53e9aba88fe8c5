package directory

import (
	"encoding/json"
	"fmt"
	"regexp"
	"testing"
	"time"
)

// TestQueriesUseIndexes explains the queries of requests on 100,000 users, half
// of them in one organization and the others in organizations of 50. What a
// query costs is counted in the pages that it reads; times are printed.
func TestQueriesUseIndexes(t *testing.T) {
	s, _ := newStore(t, nil)
	execute(t, s, `
		INSERT INTO users (id, primary_email, username, first_name, last_name, created_at, updated_at)
		SELECT 'user_' || n, md5('e' || n) || '@example.com', '', initcap(substr(md5('f' || n % 2000), 1, 6)),
			initcap(substr(md5('l' || n % 20000), 1, 8)), '2026-01-01'::timestamptz + n * interval '1 second', now()
		FROM generate_series(1, 100000) AS n;
		INSERT INTO organizations (id, name, members, updated_at)
		SELECT 'org_' || n, 'Organization ' || n, CASE n WHEN 0 THEN 50000 ELSE 50 END, now() FROM generate_series(0, 1000) AS n;
		INSERT INTO memberships (id, organization_id, user_id, role, created_at, updated_at)
		SELECT 'orgmem_' || n, 'org_' || CASE WHEN n % 2 = 0 THEN 0 ELSE n % 1000 + 1 END, 'user_' || n, 'org:member',
			'2026-01-02'::timestamptz + n * interval '1 second', now()
		FROM generate_series(1, 100000) AS n;
		INSERT INTO settings (user_id, version, display_name, locale, time_zone, theme)
		SELECT 'user_' || n, 1, '', '', '', 'system' FROM generate_series(1, 100000, 3) AS n;
		ANALYZE users; ANALYZE organizations; ANALYZE memberships; ANALYZE settings`)

	const maxPages = 2500 // 8 KB each, in memory
	half := position{created: time.Date(2026, 1, 2, 0, 0, 50000, 0, time.UTC), userID: "user_50000"}
	for _, test := range []struct {
		name           string
		organizationID string
		params         MembersParams
	}{
		{"the first page", "org_0", MembersParams{}},
		{"a large page", "org_0", MembersParams{Limit: "100"}},
		{"the largest offset", "org_0", MembersParams{Offset: "1000"}},
		{"a page in the middle", "org_0", MembersParams{After: half.String()}},
		{"a page of a small organization", "org_8", MembersParams{}},
		{"a search for a letter", "org_0", MembersParams{Q: "a"}},
		{"a search for a letter from the middle", "org_0", MembersParams{Q: "a", After: half.String()}},
		{"a search for two letters", "org_0", MembersParams{Q: "ab"}},
		{"a search for three letters", "org_0", MembersParams{Q: "abc"}},
		{"a search for three letters, a large page", "org_0", MembersParams{Q: "abc", Limit: "100"}},
		{"a search for four letters", "org_0", MembersParams{Q: "abcd"}},
		{"a search for an email address", "org_0", MembersParams{Q: "abcdef0123@example.com"}},
		{"a search for nobody", "org_0", MembersParams{Q: "zzz"}},
		{"a search for two words", "org_0", MembersParams{Q: "ab cd"}},
		{"a search for a letter and nobody", "org_0", MembersParams{Q: "a zzz"}},
		{"a search for four letters that many have", "org_0", MembersParams{Q: "a b c d"}},
		{"a search in a small organization", "org_8", MembersParams{Q: "a"}},
		{"a search for nobody in a small organization", "org_8", MembersParams{Q: "zzz"}},
	} {
		q, err := test.params.parse()
		if err != nil {
			t.Fatal(codeOf(err))
		}
		total := 50
		if test.organizationID == "org_0" {
			total = 50_000
		}
		statement, args, err := s.membersStatement(t.Context(), test.organizationID, total, &q)
		if err != nil {
			t.Fatal(err)
		}
		explain(t, s, test.name, maxPages, statement, args)
	}
	for _, word := range []string{"a", "ab", "abc", "abcdef0123@example.com", "zzz"} {
		explain(t, s, "users whose name begins with "+word, maxPages, beginsWith, []any{word, maxRead + 1})
	}
	ids := make([]string, 100)
	for i := range ids {
		ids[i] = fmt.Sprint("user_", i*977+1)
	}
	explain(t, s, "users by ids", maxPages, usersStatement, []any{ids})
	explain(t, s, "an account", 20, accountStatement, []any{"user_4711", defaultTheme})
}

var sequential = regexp.MustCompile(`"Node Type": "Seq Scan",[^}]*"Relation Name": "(users|memberships|settings)"`)

// explain runs a statement three times and judges the last plan.
func explain(t *testing.T, s *Store, name string, maxPages int, statement string, args []any) {
	t.Helper()
	var text string
	for range 3 {
		if err := s.pool.QueryRow(t.Context(), "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "+statement, args...).Scan(&text); err != nil {
			t.Fatal(name, err)
		}
	}
	var plans []struct {
		Plan struct {
			Hit  int `json:"Shared Hit Blocks"`
			Read int `json:"Shared Read Blocks"`
			Rows int `json:"Actual Rows"`
		}
		Planning  float64 `json:"Planning Time"`
		Execution float64 `json:"Execution Time"`
	}
	if err := json.Unmarshal([]byte(text), &plans); err != nil {
		t.Fatal(err)
	}
	p := plans[0]
	t.Logf("%-45s %4d rows, %5d pages, %.2f ms (and %.2f ms to plan)", name, p.Plan.Rows, p.Plan.Hit+p.Plan.Read, p.Execution, p.Planning)
	if pages := p.Plan.Hit + p.Plan.Read; pages > maxPages {
		t.Errorf("%s: %d pages, at most %d\n%s", name, pages, maxPages, text)
	}
	if sequential.MatchString(text) {
		t.Errorf("%s: reads a whole table\n%s", name, text)
	}
}
