package main

import (
	"context"
	"io"
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
	for _, database := range []string{"3306", "postgres://u:swordfish@" + freeAddress(t) + "/x"} {
		arguments := []string{"-backend", "standalone", "-page", "", "-api", freeAddress(t), "-clerk", freeAddress(t), "-database", database}
		if err := run(t.Context(), arguments, io.Discard); err == nil || !strings.HasPrefix(err.Error(), "-database") || strings.Contains(err.Error(), "swordfish") {
			t.Errorf("-database %s: %v", database, err)
		}
	}
}

func TestADatabaseIsNotForEncore(t *testing.T) {
	_, err := parse([]string{"-backend", "encore", "-database", "postgres://127.0.0.1/x"})
	if err == nil || !strings.Contains(err.Error(), "-database") {
		t.Errorf("got %v", err)
	}
}
