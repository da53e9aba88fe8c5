package store

import (
	"context"
	"os"
	"sync/atomic"
	"testing"

	"encore.dev/beta/errs"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"encore.app/internal/postgres/postgrestest"
)

// whole reports whether the tests are of their whole size, which takes minutes.
var whole = os.Getenv("TESTS") == "whole"

func TestMain(m *testing.M) { postgrestest.Main(m) }

// testLog fails a test that the database refuses anything in.
type testLog struct {
	t       testing.TB
	expects atomic.Bool // errors of the database
}

func (l *testLog) Info(string, ...any) {}
func (l *testLog) Warn(message string, values ...any) {
	l.t.Log(append([]any{message}, values...)...)
}

func (l *testLog) Error(message string, values ...any) {
	if !l.expects.Load() || len(values) > 1 && values[1] == "SQLSTATE P0001" {
		l.t.Error(append([]any{message}, values...)...)
	}
}

// newPool returns the pool of a new database.
func newPool(t testing.TB, change func(*pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(postgrestest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	change(config)
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// oneConnection makes a pool of a single connection.
func oneConnection(config *pgxpool.Config) { config.MaxConns = 1 }

// newStore returns a Store with a new database. The tracer may be nil.
func newStore(t testing.TB, tracer pgx.QueryTracer) (*Store, *testLog) {
	t.Helper()
	log := &testLog{t: t}
	s := New(newPool(t, func(config *pgxpool.Config) { config.ConnConfig.Tracer = tracer }), log)
	if err := s.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, log
}

// execute runs a statement, which has to succeed.
func execute(t testing.TB, s *Store, statement string, args ...any) {
	t.Helper()
	if _, err := s.pool.Exec(context.Background(), statement, args...); err != nil {
		t.Fatal(err)
	}
}

// codeOf returns an error's code. An [errs.Error]'s own methods need Encore.
func codeOf(err error) errs.ErrCode {
	switch e := err.(type) {
	case nil:
		return errs.OK
	case *errs.Error:
		return e.Code
	}
	return errs.Unknown
}
