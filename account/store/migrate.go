package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"encore.app/account/migrations"
)

// migrationLock is the advisory lock of one who changes the schema.
const migrationLock = 0x6163636f756e74 // "account"

// unfitEvery is how often a migration that fails is logged. It is tried each second.
const unfitEvery = time.Minute

// migrationTimeout bounds the migrations, which take as long as there is data.
const migrationTimeout = 10 * time.Minute

// prepare brings the schema up to date, once. Encore does it before the app
// starts, locally and in its cloud; a self-hosted image and the net/http server
// leave it to this function. Migrations go on when ctx ends.
func (s *Store) prepare(ctx context.Context) error {
	if s.ready.Load() {
		return nil
	}
	all, err := upMigrations()
	if err != nil {
		return err
	}
	current, _, err := version(ctx, s.pool)
	if err == nil && current < len(all) {
		migrated := s.migration.DoChan("", func() (any, error) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), migrationTimeout)
			defer cancel()
			err := s.transact(ctx, func(tx pgx.Tx) error { return migrate(ctx, tx, all) })
			if failed := new(migrationError); errors.As(err, &failed) && s.unfit.admit(err.Error(), unfitEvery) {
				s.log.Error("the schema could not be migrated", append(describe(err), "migration", failed.number)...)
			}
			return nil, err
		})
		select {
		case result := <-migrated:
			err = result.Err
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err == nil {
		err = s.checkLetters(ctx)
	}
	s.ready.Store(err == nil)
	return err
}

// checkLetters warns where the server could not give migration 4 a collation
// with the letters of every language.
func (s *Store) checkLetters(ctx context.Context) error {
	var known bool
	err := s.pool.QueryRow(ctx, "SELECT search_words('É') = ARRAY['é']").Scan(&known)
	if err == nil && !known {
		s.log.Warn("searches for members do not find É by é",
			"hint", "use a PostgreSQL with ICU, or create the database with a UTF-8 locale such as C.UTF-8: docs/database.md")
	}
	return err
}

// migrate applies the migrations that are missing. It keeps the version as
// Encore does, which uses golang-migrate: the highest row of schema_migrations.
// Where nothing is missing it needs no right but to read.
func migrate(ctx context.Context, tx pgx.Tx, all []string) error {
	current, _, err := version(ctx, tx)
	if err != nil || current >= len(all) {
		return err
	}
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", migrationLock); err != nil {
		return err
	}
	// Another instance may have been faster.
	current, dirty, err := version(ctx, tx)
	if err != nil || current >= len(all) {
		return err
	}
	if err := checkServer(ctx, tx, current); err != nil {
		return &migrationError{current + 1, dirty, err}
	}
	if _, err := tx.Exec(ctx, "CREATE TABLE IF NOT EXISTS schema_migrations (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL)"); err != nil {
		return &migrationError{current + 1, dirty, err}
	}
	for i, statements := range all[current:] {
		// Without arguments, pgx sends several statements at once.
		if _, err := tx.Exec(ctx, statements); err != nil {
			return &migrationError{current + i + 1, dirty, err}
		}
	}
	if _, err := tx.Exec(ctx, "DELETE FROM schema_migrations"); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "INSERT INTO schema_migrations (version, dirty) VALUES ($1, false)", len(all))
	return err
}

// checkServer refuses a server that cannot have the schema, and a database whose
// migrations are another application's.
func checkServer(ctx context.Context, tx pgx.Tx, current int) error {
	var number int
	var encoding string
	var ours bool // said_at is of the first migration
	err := tx.QueryRow(ctx, `
		SELECT current_setting('server_version_num')::int, current_setting('server_encoding'), EXISTS (
			SELECT FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
			WHERE relname = 'users' AND relnamespace = current_schema()::regnamespace AND attname = 'said_at')`).Scan(&number, &encoding, &ours)
	switch {
	case err == nil && current > 0 && !ours:
		return &unfitError{fault{"schema_migrations belongs to something else", ownHint}}
	case err != nil:
		return err
	case number < 130000:
		return &unfitError{fault{"the server is older than PostgreSQL 13", "upgrade the server"}}
	case encoding != "UTF8":
		return &unfitError{fault{"the encoding of the database is not UTF8", "create the database with ENCODING 'UTF8' TEMPLATE template0"}}
	}
	return nil
}

// version returns the number of migrations that are applied. One that failed
// leaves its number as dirty, and perhaps a part of its tables.
func version(ctx context.Context, tx interface {
	QueryRow(context.Context, string, ...any) pgx.Row
}) (version int, dirty bool, err error) {
	var exists bool
	// Not by to_regclass: it caches that a table was missing, although another
	// instance has created the table while this instance waited for the lock.
	err = tx.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM pg_class WHERE relname = 'schema_migrations' AND relnamespace = current_schema()::regnamespace)`).Scan(&exists)
	if err != nil || !exists {
		return 0, false, err
	}
	err = tx.QueryRow(ctx, "SELECT coalesce(max(version - dirty::int), 0), coalesce(bool_or(dirty), false) FROM schema_migrations").Scan(&version, &dirty)
	return version, dirty, err
}

// upMigrations returns the migrations sorted by number.
func upMigrations() ([]string, error) {
	names, err := fs.Glob(migrations.Files, "*.up.sql")
	if err != nil {
		return nil, err
	}
	number := func(name string) int {
		n, _ := strconv.Atoi(name[:max(strings.IndexByte(name, '_'), 0)])
		return n
	}
	slices.SortFunc(names, func(a, b string) int { return number(a) - number(b) })
	var all []string
	for i, name := range names {
		if number(name) != i+1 {
			return nil, fmt.Errorf("migration %s is not number %d", name, i+1)
		}
		statements, err := fs.ReadFile(migrations.Files, name)
		if err != nil {
			return nil, err
		}
		all = append(all, string(statements))
	}
	return all, nil
}
