//go:build linux && !encore_local

package production

import (
	"context"
	"encoding/json"
	"net/url"
	"os"

	"github.com/jackc/pgx/v5"

	"encore.app/internal/postgres"
)

// database is the PostgreSQL server of the service account. deploy/infra.json
// names it postgres:5432, as compose.yaml does.
type database struct {
	*postgres.Server
	url *url.URL
}

func startDatabase(ctx context.Context) (*database, error) {
	server, err := postgres.Start(ctx)
	if err != nil {
		return nil, err
	}
	closers = append(closers, server.Stop)
	d := &database{Server: server}
	if d.url, err = url.Parse(server.URL()); err != nil {
		return nil, err
	}
	connection, err := pgx.Connect(ctx, server.URL())
	if err != nil {
		return nil, err
	}
	defer connection.Close(ctx)
	_, err = connection.Exec(ctx, "CREATE DATABASE account") // empty, as the image finds it
	return d, err
}

// env is what deploy/infra.json reads from the environment.
func (d *database) env() []string {
	password, _ := d.url.User.Password()
	return []string{"DATABASE_USER=" + d.url.User.Username(), "DATABASE_PASSWORD=" + password}
}

// connect writes the server's address to the infra config of an unpacked image.
// As built, it names the host postgres, which does not exist here.
func (d *database) connect(im *image) error {
	name := im.variable("ENCORE_INFRA_CONFIG_PATH")
	return changed(name, name, func(infra map[string]any) {
		if servers, ok := infra["sql_servers"].([]any); ok {
			servers[0].(map[string]any)["host"] = d.url.Host
		}
	})
}

// changed changes a JSON file.
func changed(name, into string, change func(map[string]any)) error {
	content, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	var decoded map[string]any
	if err := json.Unmarshal(content, &decoded); err != nil {
		return err
	}
	change(decoded)
	if content, err = json.Marshal(decoded); err != nil {
		return err
	}
	return os.WriteFile(into, content, 0o600)
}
