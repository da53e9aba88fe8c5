// Package postgrestest gives each test a PostgreSQL database of its own: on the
// server of TEST_DATABASE_URL, or on a temporary one. DATABASE_URL may be an app's
// real one, and is not looked at.
package postgrestest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"encore.app/internal/postgres"
)

var (
	started = sync.OnceValues(start)
	stop    = func() {}
	number  atomic.Int64
)

// Main runs a package's tests, then stops the server that [Database] started.
func Main(m *testing.M) {
	code := m.Run()
	stop()
	os.Exit(code)
}

// Database makes a database and returns how to connect to it. The test is
// skipped where there is no PostgreSQL, or fails with REQUIRED=postgres.
// Without a [Main], the server stops when the process ends.
func Database(t testing.TB) string {
	t.Helper()
	database := DatabaseIfAny(t)
	if _, noServer := started(); database == "" {
		t.Skip("install PostgreSQL or set TEST_DATABASE_URL: " + noServer.Error())
	}
	return database
}

// DatabaseIfAny is [Database] for a test that does not need one: it returns ""
// where there is no PostgreSQL.
func DatabaseIfAny(t testing.TB) string {
	t.Helper()
	url, err := started()
	if errors.Is(err, postgres.ErrUnavailable) && !strings.Contains(os.Getenv("REQUIRED"), "postgres") {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("test_%d_%d", os.Getpid(), number.Add(1))
	if err := execute(url, "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := execute(url, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("host=%s port=%d user=%s password='%s' dbname=%s sslmode=%s",
		config.Host, config.Port, config.User, config.Password, name, cmp.Or(os.Getenv("PGSSLMODE"), "disable"))
}

func start() (string, error) {
	if url := os.Getenv("TEST_DATABASE_URL"); url != "" {
		return url, nil
	}
	server, err := postgres.Start(context.Background())
	if err != nil {
		return "", err
	}
	stop = server.Stop
	return server.URL(), nil
}

func execute(url, statement string) error {
	ctx := context.Background()
	connection, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer connection.Close(ctx)
	_, err = connection.Exec(ctx, statement)
	return err
}
