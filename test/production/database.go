package main

import (
	"context"
	"net/url"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"encore.app/internal/postgres"
)

// database is the PostgreSQL server of the service account. deploy/infra.json
// names it postgres:5432, as compose.yaml does.
type database struct {
	server         *postgres.Server
	host           string
	user, password string
}

func startDatabase(ctx context.Context) (*database, error) {
	server, err := postgres.Start(ctx)
	if err != nil {
		return nil, err
	}
	d := &database{server: server}
	u, err := url.Parse(server.URL())
	if err == nil {
		d.host, d.user = u.Host, u.User.Username()
		d.password, _ = u.User.Password()
		err = d.create(ctx)
	}
	if err != nil {
		server.Stop()
		return nil, err
	}
	return d, nil
}

// create makes the empty database that the image finds.
func (d *database) create(ctx context.Context) error {
	connection, err := pgx.Connect(ctx, d.server.URL())
	if err != nil {
		return err
	}
	defer connection.Close(ctx)
	_, err = connection.Exec(ctx, "CREATE DATABASE account")
	return err
}

// stop stops the server and keeps its data.
func (d *database) stop() error { return postgres.Pause(d.server.Folder()) }

// start starts it again at the same address.
func (d *database) start() error { return postgres.Resume(d.server.Folder()) }

func (d *database) close() { d.server.Stop() }

// env is what deploy/infra.json reads from the environment.
func (d *database) env() []string {
	return []string{"DATABASE_USER=" + d.user, "DATABASE_PASSWORD=" + d.password}
}

// connect writes the server's address to the infra config of an unpacked image:
// the one thing in it that cannot be as built, since nothing here is called
// postgres.
func (d *database) connect(im *image) error {
	name := filepath.Join(im.root, im.variable("ENCORE_INFRA_CONFIG_PATH"))
	content, err := changed(name, func(infra map[string]any) {
		if servers, ok := infra["sql_servers"].([]any); ok {
			servers[0].(map[string]any)["host"] = d.host
		}
	})
	if err != nil {
		return err
	}
	return os.WriteFile(name, content, 0o600)
}
