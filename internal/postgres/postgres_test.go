package postgres

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// start starts a server, or skips the test where there is no PostgreSQL.
func start(t *testing.T) *Server {
	t.Helper()
	server, err := Start(t.Context())
	if errors.Is(err, ErrUnavailable) && !strings.Contains(os.Getenv("REQUIRED"), "postgres") {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return server
}

func TestStart(t *testing.T) {
	t.Setenv("PGSERVICE", "elsewhere")
	t.Setenv("PGOPTIONS", "-c nonsense=1")
	server := start(t)
	connection, err := pgx.Connect(t.Context(), server.URL())
	if err != nil {
		t.Fatal(err)
	}
	var dir string
	if err := connection.QueryRow(t.Context(), "SHOW data_directory").Scan(&dir); err != nil {
		t.Error(err)
	}
	if _, err := connection.Exec(t.Context(), "CREATE TABLE kept (n int)"); err != nil {
		t.Error(err)
	}
	connection.Close(t.Context())
	for range 2 {
		if err := Pause(server.Folder()); err != nil {
			t.Fatal(err)
		}
		if _, err := pgx.Connect(t.Context(), server.URL()); err == nil {
			t.Error("running while it is paused")
		}
		if err := Resume(server.Folder()); err != nil {
			t.Fatal(err)
		}
		if connection, err = pgx.Connect(t.Context(), server.URL()); err != nil {
			t.Fatal(err)
		}
		if _, err := connection.Exec(t.Context(), "SELECT n FROM kept"); err != nil {
			t.Error(err)
		}
		connection.Close(t.Context())
	}
	server.Stop()
	if _, err := pgx.Connect(t.Context(), server.URL()); err == nil {
		t.Error("still running")
	}
	if _, err := os.Stat(server.Folder()); dir != filepath.Join(server.Folder(), "data") || !os.IsNotExist(err) {
		t.Errorf("%s is left", dir)
	}
}

// Standard input ends while initdb runs, before there is a server to stop.
func TestStopWhileStarting(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Start(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestStopWhilePaused(t *testing.T) {
	server := start(t)
	if err := Pause(server.Folder()); err != nil {
		t.Fatal(err)
	}
	server.Stop()
	if _, err := os.Stat(server.Folder()); !os.IsNotExist(err) {
		t.Errorf("%s is left", server.Folder())
	}
}
