package store

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// sampleSize bounds the users that decide whose a database is that belongs to
	// no instance yet.
	sampleSize = idsPerCall
	// foreignEvery is how often a database of another instance is logged.
	foreignEvery = time.Hour
)

// foreignError: the database belongs to another Clerk instance than the data, so
// that nothing may be stored.
type foreignError struct {
	database string // the instance of the database; "" where only its users tell
	clerk    string // the instance of the data
}

func (e *foreignError) Error() string {
	return "the database belongs to another Clerk instance: see the log"
}

// repeated is an error that is logged when it changes, and once in a while.
type repeated struct {
	mu   sync.Mutex
	last string
	at   time.Time
}

func (r *repeated) admit(text string, every time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if r.last == text && now.Sub(r.at) < every {
		return false
	}
	r.last, r.at = text, now
	return true
}

// logForeign logs an error that every event and every reconciliation has.
func (s *Store) logForeign(e *foreignError) {
	if s.foreign.admit(e.database+" "+e.clerk, foreignEvery) {
		database := e.database
		if database == "" {
			database = "unknown: Clerk does not know most of its users"
		}
		s.log.Error("the database belongs to another Clerk instance", "database", database, "clerk", e.clerk,
			"hint", "use the secret key and the webhook signing secret of the database's instance, or a database of its own; "+
				"docs/database.md says how to move the database to this instance")
	}
}

// checkInstance returns a foreignError for an event of another instance than the
// database's. The first event says whose an empty database is. The instance
// does not change until the transaction ends.
func checkInstance(ctx context.Context, tx pgx.Tx, id string) error {
	if id == "" { // the signing secret alone tells where the event comes from
		return nil
	}
	id = storable(id)
	stored, err := lockInstance(ctx, tx)
	if err == nil && stored == "" {
		_, err = tx.Exec(ctx, `
			INSERT INTO clerk_instance (id) SELECT $1 WHERE NOT EXISTS (SELECT FROM users) ON CONFLICT DO NOTHING`, id)
		if err == nil {
			stored, err = lockInstance(ctx, tx) // another event may have been faster
		}
	}
	if err == nil && stored != "" && stored != id {
		err = &foreignError{database: stored, clerk: id}
	}
	return err
}

// lockInstance returns the database's instance, "" for none.
func lockInstance(ctx context.Context, tx pgx.Tx) (string, error) {
	var id string
	err := tx.QueryRow(ctx, "SELECT id FROM clerk_instance FOR SHARE").Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return id, err
}

// setInstance makes the database belong to an instance, and with move even if it
// belongs to another one. It returns the instance before.
func setInstance(ctx context.Context, tx pgx.Tx, id string, move bool) (before string, err error) {
	if before, err = lockInstance(ctx, tx); err != nil || before == id {
		return before, err
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO clerk_instance AS old (id) VALUES ($1)
		ON CONFLICT (only_row) DO UPDATE SET id = excluded.id WHERE $2`, id, move)
	if err != nil {
		return before, err
	}
	stored, err := lockInstance(ctx, tx)
	if err == nil && stored != id {
		err = &foreignError{database: stored, clerk: id}
	}
	return before, err
}

// routeError is a failure of a call to Clerk before a reconciliation.
type routeError struct {
	route string
	error
}

func (e *routeError) Unwrap() error { return e.error }

// compareInstance returns a foreignError for a database of another instance. A
// database that names no instance belongs to this instance if most of its users
// do.
func (r *reconciliation) compareInstance(ctx context.Context, id string) error {
	var stored string
	err := r.store.pool.QueryRow(ctx, "SELECT coalesce((SELECT id FROM clerk_instance), '')").Scan(&stored)
	switch {
	case err != nil || stored == id:
		return err
	case stored != "":
		return &foreignError{database: stored, clerk: id}
	}
	sample, err := collect[string](ctx, r.store.pool, "SELECT id FROM users WHERE deleted_at IS NULL ORDER BY random() LIMIT $1", sampleSize)
	if err != nil || len(sample) == 0 {
		return err
	}
	known, err := lookUp(ctx, r, sample, r.clerk.usersByID)
	if err != nil {
		return &routeError{"GET /v1/users", err}
	}
	if 2*len(known.ids()) <= len(sample) {
		return &foreignError{clerk: id}
	}
	return nil
}
