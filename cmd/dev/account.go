package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"time"

	"encore.app/account/directory"
	"encore.app/auth/clerkauth"
	"encore.app/internal/postgres"
	"encore.app/webhooks/clerkevent"
)

// reconcileEvery is how often the standalone backend asks for what lost events
// would have said.
const reconcileEvery = 10 * time.Minute

// encoreHasDatabase reports whether encore run can start an app with a database:
// with Docker, or with the Postgres that its daemon was told of.
func encoreHasDatabase(ctx context.Context) bool {
	if os.Getenv("ENCORE_SQLDB_HOST") != "" {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return exec.CommandContext(ctx, "docker", "version", "--format", "{{.Server.Version}}").Run() == nil
}

// startAccount returns the database of the standalone backend: that of
// DATABASE_URL, or a temporary one where PostgreSQL is installed, or nil. It
// follows Clerk until stop.
func startAccount(authenticator *clerkauth.Authenticator, logger *slog.Logger) (store *directory.Store, stop func(), err error) {
	databaseURL, stopServer := os.Getenv("DATABASE_URL"), func() {}
	if databaseURL == "" {
		server, err := postgres.Start(context.Background())
		switch {
		case errors.Is(err, postgres.ErrNotInstalled):
			return nil, stopServer, nil
		case err != nil:
			return nil, nil, err
		}
		databaseURL, stopServer = server.URL(), server.Stop
	}
	if store, err = directory.Open(databaseURL, logger); err != nil {
		stopServer()
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go store.Follow(ctx, clerkevent.Direct{Authenticator: authenticator})
	go store.KeepReconciled(ctx, authenticator.Backend(), reconcileEvery)
	return store, func() {
		cancel()
		store.Close()
		stopServer()
	}, nil
}
