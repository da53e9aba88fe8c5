package directory

import (
	"sync"
	"testing"

	"encore.app/internal/postgres/postgrestest"
)

// TestMigrate lets many instances start at once on an empty database, and others
// where Encore has migrated.
func TestMigrate(t *testing.T) {
	all, err := upMigrations()
	if err != nil || len(all) == 0 {
		t.Fatal(err)
	}
	for range 5 {
		database := postgrestest.Database(t)
		var wait sync.WaitGroup
		for range 8 {
			wait.Go(func() {
				s, err := Open(database, &testLog{t: t})
				if err != nil {
					t.Error(err)
					return
				}
				defer s.Close()
				if _, err := s.Account(t.Context(), ada()); err != nil {
					t.Error(codeOf(err))
				}
			})
		}
		wait.Wait()
	}

	s, _ := newStore(t, nil)
	var version int
	var dirty bool
	if err := s.pool.QueryRow(t.Context(), "SELECT version, dirty FROM schema_migrations").Scan(&version, &dirty); err != nil {
		t.Fatal(err)
	}
	if version != len(all) || dirty {
		t.Errorf("version %d, dirty: %v", version, dirty)
	}
	// A role that may not change the schema can work with it.
	execute(t, s, `
		DROP ROLE IF EXISTS account_reader; CREATE ROLE account_reader; GRANT SELECT ON ALL TABLES IN SCHEMA public TO account_reader;
		REVOKE CREATE ON SCHEMA public FROM PUBLIC`)
	tx, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "SET LOCAL ROLE account_reader"); err != nil {
		t.Fatal(err)
	}
	if err := migrate(t.Context(), tx); err != nil {
		t.Error(err)
	}
	_ = tx.Rollback(t.Context())
	execute(t, s, "DROP OWNED BY account_reader; DROP ROLE account_reader")
}
