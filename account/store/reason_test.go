package store

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"encore.dev/beta/errs"
	"github.com/jackc/pgx/v5"

	"encore.app/internal/postgres/postgrestest"
	"encore.app/webhooks/clerkevent"
)

// lines is an [authz.Logger] that keeps what it is given.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) Info(string, ...any) {}
func (l *lines) Warn(message string, values ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, message+" "+fmt.Sprint(values...))
}
func (l *lines) Error(message string, values ...any) { l.Warn(message, values...) }

// TestFaultsAreNamed makes the mistakes of an operator. The log says what is
// wrong and names the setting.
func TestFaultsAreNamed(t *testing.T) {
	for _, test := range []struct {
		name, prepare string
		change        func(database string) string
		want          []string
	}{
		{"a table of something else", "CREATE TABLE users (name text)", nil,
			[]string{"could not be migrated", "42P07", `relation "users" already exists`, "migration1", "database of its own", "sql_servers"}},
		{"the migrations of something else", "CREATE TABLE schema_migrations (version varchar)", nil,
			[]string{"42703", `column "dirty" does not exist`, "database of its own"}},
		{"a later version of something else", "CREATE TABLE schema_migrations (version bigint, dirty bool); INSERT INTO schema_migrations VALUES (20260101, false)", nil,
			[]string{"42883", "search_words", "schema_migrations"}},
		{"an earlier version of something else", "CREATE TABLE events (id int); CREATE TABLE schema_migrations (version bigint, dirty bool); INSERT INTO schema_migrations VALUES (7, false)", nil,
			[]string{"could not be migrated", "schema_migrations belongs to something else", "database of its own"}},
		{"a migration that failed halfway", "CREATE TABLE users (id text, said_at int, public_metadata int); CREATE TABLE schema_migrations (version bigint, dirty bool); INSERT INTO schema_migrations VALUES (6, true)", nil,
			[]string{"could not be migrated", "42701", "set dirty to false"}},
		{"no right to create tables", "", withUser("account_stranger"),
			[]string{"could not be migrated", "permission denied", "42501", "CREATE on the schema"}},
		{"no right to read", "CREATE TABLE schema_migrations (version bigint, dirty bool)", withUser("account_stranger"),
			[]string{"permission denied", "42501", "schema_migrations"}},
		{"a server that is read-only", "ALTER DATABASE %s SET default_transaction_read_only = on", nil,
			[]string{"read-only", "25006", "primary", "sql_servers"}},
		{"too many connections", "ALTER DATABASE %s CONNECTION LIMIT 0", withUser("account_stranger"),
			[]string{"too many connections", "53300", "pool_max_conns"}},
		{"no such role", "", withUser("account_nobody"), []string{"28", "sql_servers"}},
		{"no such database", "", func(database string) string { return strings.Replace(database, "dbname=", "dbname=no_", 1) },
			[]string{"no such database", "3D000"}},
		{"another encoding", "CREATE DATABASE %s_latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0",
			func(database string) string { return strings.Replace(database, " sslmode", "_latin sslmode", 1) },
			[]string{"could not be migrated", "UTF8"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			database := postgrestest.Database(t)
			config, err := pgx.ParseConfig(database)
			if err != nil {
				t.Fatal(err)
			}
			admin, err := pgx.Connect(t.Context(), database)
			if err != nil {
				t.Fatal(err)
			}
			defer admin.Close(t.Context())
			run := func(statement string) {
				t.Helper()
				if _, err := admin.Exec(t.Context(), strings.ReplaceAll(statement, "%s", config.Database)); err != nil {
					t.Fatal(err)
				}
			}
			run("DROP ROLE IF EXISTS account_stranger")
			run("CREATE ROLE account_stranger LOGIN PASSWORD '" + config.Password + "'")
			run("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
			defer run("DROP ROLE account_stranger")
			if test.prepare != "" {
				run(test.prepare)
			}
			if strings.HasPrefix(test.prepare, "CREATE DATABASE") {
				defer run("DROP DATABASE %s_latin WITH (FORCE)")
			}
			if test.change != nil {
				database = test.change(database)
			}
			log := &lines{}
			s, err := Open(database, log)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			user := &clerkevent.User{ID: "user_ada", PrimaryEmailAddress: "ada@example.com", UpdatedAt: at(1)}
			if err := s.Apply(t.Context(), &clerkevent.Event{ID: "1", Type: clerkevent.UserCreated, At: at(1), User: user}); err == nil {
				t.Fatal("it works")
			}
			if _, err := s.Account(t.Context(), ada()); codeOf(err) != errs.Unavailable {
				t.Error(codeOf(err))
			}
			text := strings.Join(log.all, "\n")
			if n := strings.Count(text, "could not be migrated"); n > 1 {
				t.Errorf("%d lines say that the migration failed", n)
			}
			if strings.HasPrefix(test.name, "an earlier version") {
				var version int
				if err := admin.QueryRow(t.Context(), "SELECT version FROM schema_migrations").Scan(&version); err != nil || version != 7 {
					t.Errorf("version %d, %v", version, err)
				}
			}
			for _, want := range test.want {
				if !strings.Contains(text, want) {
					t.Errorf("the log does not say %q:\n%s", want, text)
				}
			}
			if strings.Contains(text, "ada@") || config.Password != "" && strings.Contains(text, config.Password) {
				t.Error(text)
			}
		})
	}
}

func withUser(name string) func(string) string {
	return func(database string) string {
		config, err := pgx.ParseConfig(database)
		if err != nil {
			return database
		}
		return strings.Replace(database, "user="+config.User, "user="+name, 1)
	}
}
