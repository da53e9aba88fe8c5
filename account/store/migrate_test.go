package store

import (
	"context"
	"sync"
	"testing"
	"time"

	"encore.dev/beta/errs"
	"github.com/jackc/pgx/v5"

	"encore.app/internal/postgres/postgrestest"
)

// TestMigrate lets many instances start at once on an empty database, and others
// where Encore has migrated.
func TestMigrate(t *testing.T) {
	all, err := upMigrations()
	if err != nil || len(all) == 0 {
		t.Fatal(err)
	}
	for range 2 {
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
	if err := migrate(t.Context(), tx, all); err != nil {
		t.Error(err)
	}
	_ = tx.Rollback(t.Context())
	execute(t, s, "DROP OWNED BY account_reader; DROP ROLE account_reader")
}

// TestMigrateWhatIsThere migrates a database that is in use: the request that
// needs it does not wait for the end, and what was stored before is found.
func TestMigrateWhatIsThere(t *testing.T) {
	all, err := upMigrations()
	if err != nil {
		t.Fatal(err)
	}
	log := &testLog{t: t}
	log.expects.Store(true)
	s, err := Open(postgrestest.Database(t), log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if err := s.transact(t.Context(), func(tx pgx.Tx) error { return migrate(t.Context(), tx, all[:1]) }); err != nil {
		t.Fatal(err)
	}
	execute(t, s, `
		INSERT INTO organizations (id, members) VALUES ('org_1', 1);
		INSERT INTO users (id, first_name) VALUES ('user_ada', 'Ada'), ('user_grace', 'Grace');
		INSERT INTO memberships (id, organization_id, user_id, role, created_at, updated_at, deleted_at)
		VALUES ('orgmem_1', 'org_1', 'user_ada', 'org:member', now(), now(), NULL),
			('orgmem_2', 'org_1', 'user_grace', '', now(), now(), now())`)

	reader, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Exec(t.Context(), "SELECT FROM users"); err != nil {
		t.Fatal(err)
	}
	impatient, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Members(impatient, adminOf("org_1"), &MembersParams{}); codeOf(err) != errs.Unavailable {
		t.Errorf("while the table is in use: %v", codeOf(err))
	}
	if err := reader.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	page, err := s.Members(t.Context(), adminOf("org_1"), &MembersParams{Q: "ada"})
	if err != nil || names(page) != "ada" {
		t.Errorf("%v, %v", page, codeOf(err))
	}
	if found, err := collect[string](t.Context(), s.pool, inconsistencies); err != nil || len(found) > 0 {
		t.Errorf("%v, %v", found, err)
	}
}
