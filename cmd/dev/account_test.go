package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"encore.app/internal/postgres/postgrestest"
)

func TestMain(m *testing.M) {
	alsoPrinted = append(alsoPrinted, "Database ")
	os.Setenv("DATABASE_URL", "postgres://app@db.invalid/production") // not for this command
	postgrestest.Main(m)
}

// TestTheFakeClerkKeepsOffAnothersDatabase starts with databases of several
// kinds, and checks what is left of them.
func TestTheFakeClerkKeepsOffAnothersDatabase(t *testing.T) {
	const users = "CREATE TABLE users (id text); INSERT INTO users VALUES ('user_real');"
	const instance = "CREATE TABLE clerk_instance (id text);"
	for _, test := range []struct{ name, tables, refused string }{
		{"an empty one", "", ""},
		{"another instance's", users + instance + "INSERT INTO clerk_instance VALUES ('ins_real')", "ins_real"},
		{"another instance's, without users yet", instance + "INSERT INTO clerk_instance VALUES ('ins_real')", "ins_real"},
		{"one of the previous version", users, "does not say which"},
		{"one without an id yet", users + instance, "does not say which"},
		{"its own", users + instance + "INSERT INTO clerk_instance VALUES ('ins_fakeclerk')", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := accountService{database: postgrestest.Database(t)}
			connection, err := pgx.Connect(t.Context(), s.database)
			if err != nil {
				t.Fatal(err)
			}
			defer connection.Close(context.Background())
			if _, err := connection.Exec(t.Context(), test.tables); err != nil {
				t.Fatal(err)
			}
			description, err := s.checkDatabase(t.Context(), "ins_fakeclerk")
			if test.refused == "" && (err != nil || !strings.Contains(description, "-database")) {
				t.Errorf("%q, %v", description, err)
			}
			if test.refused != "" && (err == nil || !strings.Contains(err.Error(), test.refused)) {
				t.Errorf("got %v, want a refusal that says %q", err, test.refused)
			}
			// Real Clerk: its reconciliation compares the instances itself.
			if _, err := s.checkDatabase(t.Context(), ""); err != nil {
				t.Errorf("with real Clerk: %v", err)
			}
		})
	}
}

func TestAWrongDatabaseNamesItsFlag(t *testing.T) {
	t.Setenv("CLERK_SECRET_KEY", "")
	t.Setenv("CLERK_API_URL", "")
	t.Setenv("PGDATABASE", "elsewhere")
	server := postgrestest.DatabaseIfAny(t) // of keywords: it has the address
	tests := []struct{ database, says string }{
		{"3306", "postgres://"},
		{"", "is empty"},
		{" ", "is empty"},
		{"-api", "has no value"},
		{"mysql://u:swordfish@127.0.0.1/x", "postgres://"},
		{"host=127.0.0.1 password=swordfish", "postgres://"},
		{`"postgres://u:swordfish@127.0.0.1/x"`, "quotes"},
		{"'postgres://u:swordfish@127.0.0.1/x'", "quotes"},
		{"DATABASE_URL=postgres://u:swordfish@127.0.0.1/x", "NAME=value"},
		{"postgres://u:sword/swordfish@127.0.0.1/x", "percent-encode"},
		{"postgres://u:12/swordfish@127.0.0.1/x", "percent-encode"},
		{"postgres://u:12?swordfish@127.0.0.1/x", "percent-encode"},
		{"postgres://u:12#swordfish@127.0.0.1/x", "percent-encode"},
		{"postgres://u:100%swordfish@127.0.0.1/x", "percent-encode"},
		{"postgres://u:sword fish:swordfish@127.0.0.1/x", "percent-encode"},
		{"postgres://u:12@[swordfish@127.0.0.1/x", "percent-encode"},
		{"postgres://u@sword!swordfish/x", "percent-encode"},
		{"postgres://u:swordfish@127.0.0.1/x?sslmode=swordfish", "parameter"},
		{" postgres://swordfish:swordfish@" + freeAddress(t) + "/swordfish ", "refused"},
	}
	if config, err := pgx.ParseConfig(server); err == nil && server != "" {
		tests = append(tests, struct{ database, says string }{
			fmt.Sprintf("postgres://swordfish:swordfish@%s:%d/swordfish", config.Host, config.Port), "wrong role or password"})
	}
	for _, test := range tests {
		arguments := []string{"-backend", "standalone", "-page", "", "-api", freeAddress(t), "-clerk", freeAddress(t), "-database", test.database}
		err := run(t.Context(), arguments, io.Discard)
		if err == nil || !strings.HasPrefix(err.Error(), "-database") || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "swordfish") {
			t.Errorf("-database %s: %v, want %q", test.database, err, test.says)
		}
	}
}

func TestADatabaseMayHaveTheSettingsOfItsPool(t *testing.T) {
	config, err := pgx.ParseConfig(postgrestest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	a := accountService{database: fmt.Sprintf(" postgresql://%s:%s@%s:%d/%s?sslmode=disable&pool_max_conns=4\n",
		config.User, url.QueryEscape(config.Password), config.Host, config.Port, config.Database)}
	if err := a.check(settings{given: map[string]bool{"database": true}}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.checkDatabase(t.Context(), ""); err != nil {
		t.Error(err)
	}
}

func TestADatabaseIsNotForEncore(t *testing.T) {
	_, err := parse([]string{"-backend", "encore", "-database", "postgres://127.0.0.1/x"})
	if err == nil || !strings.Contains(err.Error(), "-database") {
		t.Errorf("got %v", err)
	}
}
