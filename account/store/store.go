// Package store has the rules of the service account in plain Go and SQL. It
// keeps a copy of Clerk's users, organizations and memberships in PostgreSQL,
// and the application's own data about its users.
//
// The copy has three sources. Each may be repeated, late or out of order:
// Clerk's events ([Store.Apply]), the first request of a new user
// ([Store.Account]), and reconciliation with Clerk's own lists
// ([Store.Reconcile]). All follow one rule. The latest change wins, by Clerk's
// clock; a deletion is final and erases personal data.
//
// The Encore service and the net/http server of internal/standalone are thin
// layers around it. It uses types of encore.dev, which work everywhere, and
// calls nothing that needs Encore's runtime.
package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"encore.dev/beta/errs"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/singleflight"

	"encore.app/auth/authz"
	"encore.app/auth/clerkauth/setting"
)

const (
	// requestTimeout bounds what one request waits for the database, so that
	// requests do not pile up in front of one that hangs.
	requestTimeout = 3 * time.Second
	// writeTimeout bounds one transaction that stores what Clerk said. Clerk
	// gives up on a webhook after 15 seconds, and sends it again.
	writeTimeout = 10 * time.Second
	// maxAttempts bounds how often a transaction is tried that lost a deadlock.
	maxAttempts = 5
)

// Store is the database. It is safe for concurrent use. A nil Store answers
// everything with Unavailable: it stands for a server without a database.
//
// The errors of its methods are of type [*errs.Error], for the client, unless a
// method says otherwise.
type Store struct {
	pool  *pgxpool.Pool
	log   authz.Logger
	owned bool // Close closes the pool
	ready atomic.Bool

	migration singleflight.Group
	foreign   repeated
	unfit     repeated // what a migration failed with

	// EraseAfter is how long a row that is missing at Clerk stays hidden before
	// a reconciliation erases it. [New] sets 7 days.
	EraseAfter time.Duration
}

const (
	defaultEraseAfter = 7 * 24 * time.Hour
	minEraseAfter     = 24 * time.Hour
)

// ParseEraseAfter reads the setting EraseAfter. Less than a day is an error: Clerk
// may leave out for a while what is there, and what is erased does not return.
func ParseEraseAfter(value string) (time.Duration, error) {
	d, err := setting.Duration(value)
	if err == nil && d < minEraseAfter {
		err = fmt.Errorf("%q would erase what Clerk leaves out for a moment: write at least \"24h\"", value)
	}
	return d, err
}

// New returns a Store that uses the pool. A nil log drops the lines. It does not
// connect yet: the schema is brought up to date on the first use, where Encore
// has not done so.
func New(pool *pgxpool.Pool, log authz.Logger) *Store {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Store{pool: pool, log: log, EraseAfter: defaultEraseAfter}
}

// Open is [New] with a new pool, for the server that url names, as in
// postgres://user:password@host:5432/database. It does not connect yet. Its
// error, which is not for a client, does not repeat the url.
func Open(url string, log authz.Logger) (*Store, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("not a PostgreSQL URL such as postgres://user:password@host:5432/database")
	}
	config.ConnConfig.ConnectTimeout = requestTimeout
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, err
	}
	s := New(pool, log)
	s.owned = true
	return s, nil
}

// Close closes the connections of a Store that [Open] returned.
func (s *Store) Close() {
	if s != nil && s.owned {
		s.pool.Close()
	}
}

// use runs work that may take the time given, once the schema is in place. It
// turns an error of the database into the answer for the client, and logs it.
func (s *Store) use(ctx context.Context, timeout time.Duration, work func(context.Context) error) error {
	if s == nil {
		return &errs.Error{Code: errs.Unavailable, Message: "no database is configured: install PostgreSQL, or start with -database URL"}
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := s.prepare(limited)
	if err == nil {
		err = work(limited)
	}
	return s.answer(ctx, err)
}

// answer returns the client's error for one of the database.
func (s *Store) answer(ctx context.Context, err error) error {
	if _, ok := forClient(err); ok || err == nil {
		return err
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return &errs.Error{Code: errs.Canceled, Message: "request canceled"}
	}
	var foreign *foreignError
	if errors.As(err, &foreign) {
		s.logForeign(foreign)
		return &errs.Error{Code: errs.FailedPrecondition, Message: foreign.Error()}
	}
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "42P01" {
		s.ready.Store(false) // the database was created again: its tables are missing
	}
	if logged := new(migrationError); !errors.As(err, &logged) {
		s.log.Error("the database failed", describe(err)...)
	}
	return &errs.Error{Code: errs.Unavailable, Message: "the database is unavailable, try again shortly"}
}

// forClient returns err as the error for the client, where it is one. Without
// Encore's runtime the methods of [errs.Error] panic, and errors.Is, errors.As to
// another type, fmt and slog call them. Code of this package calls forClient
// first, and never wraps such an error.
func forClient(err error) (*errs.Error, bool) {
	e, ok := err.(*errs.Error)
	return e, ok
}

// transact runs work in a transaction. Transactions that lock the same rows in
// another order can deadlock, and PostgreSQL fails one of them. That one is tried
// again. So is one that a stricter isolation level than the default fails.
func (s *Store) transact(ctx context.Context, work func(pgx.Tx) error) error {
	var err error
	for range maxAttempts {
		err = pgx.BeginFunc(ctx, s.pool, work)
		var refused *pgconn.PgError
		if _, ok := forClient(err); ok || !errors.As(err, &refused) || refused.Code != "40P01" && refused.Code != "40001" {
			return err
		}
	}
	return err
}
