package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/net/websocket"

	"encore.app/account/store"
	"encore.app/auth/clerkauth"
	"encore.app/internal/postgres"
	"encore.app/webhooks/clerkevent"
)

// reconcileEvery is how often the standalone backend asks for what lost events
// would have said.
const reconcileEvery = 10 * time.Minute

// temporary is what describe prints of a Postgres that ends with this command.
const temporary = "a temporary Postgres; its data go when this command ends"

// startAccount returns the database of the standalone backend: that of -database,
// or a temporary one, or nil where there can be none. Variables such as
// DATABASE_URL do not name it, because the fake Clerk knows no user of a real
// database, and its reconciliation would delete them. The store follows Clerk
// until stop.
func startAccount(ctx context.Context, s settings, authenticator *clerkauth.Authenticator, logger *slog.Logger) (users *store.Store, stop func(), description string, err error) {
	databaseURL, stopServer := s.database, func() {}
	if s.database != "" {
		if description, err = s.checkDatabase(ctx); err != nil {
			return nil, nil, "", fmt.Errorf("-database: %w", err)
		}
	} else {
		server, err := postgres.Start(ctx)
		if err != nil {
			return nil, stopServer, fmt.Sprintf("none: %v. /account and /organization/members answer 503", err), ctx.Err()
		}
		databaseURL, stopServer, description = server.URL(), server.Stop, temporary
	}
	if users, err = store.Open(databaseURL, logger); err != nil {
		stopServer()
		return nil, nil, "", fmt.Errorf("database: %w", err)
	}
	following, cancel := context.WithCancel(context.Background())
	go users.Follow(following, clerkevent.Direct{Authenticator: authenticator})
	go users.KeepReconciled(following, authenticator.Backend().Background(), reconcileEvery)
	return users, func() {
		cancel()
		users.Close()
		stopServer()
	}, description, nil
}

// checkDatabase describes the database of -database. With the fake Clerk, it
// refuses one that holds the users of another Clerk instance, or does not say of
// which.
func (s settings) checkDatabase(ctx context.Context) (description string, err error) {
	config, err := pgx.ParseConfig(s.database)
	if err != nil {
		return "", errors.New("write a URL, such as postgres://user:password@127.0.0.1:5432/name")
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	connection, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return "", err
	}
	defer connection.Close(ctx)
	description = fmt.Sprintf("%s on %s:%d, as -database says", config.Database, config.Host, config.Port)
	if s.instance == "" {
		return description, nil
	}
	var stored string
	var users bool
	for _, q := range []struct {
		table, query string
		into         any
	}{
		{"clerk_instance", "SELECT coalesce((SELECT id FROM clerk_instance), '')", &stored},
		{"users", "SELECT EXISTS (SELECT FROM users)", &users},
	} {
		var exists bool
		err := connection.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", q.table).Scan(&exists)
		if err == nil && exists {
			err = connection.QueryRow(ctx, q.query).Scan(q.into)
		}
		if err != nil {
			return "", err
		}
	}
	if stored != s.instance && (stored != "" || users) {
		return "", fmt.Errorf("%s holds users of another Clerk instance (%s): the fake Clerk knows none of them. "+
			"Name an empty database, or set CLERK_SECRET_KEY", config.Database, cmp.Or(stored, "it does not say which"))
	}
	return description, nil
}

// encoreDatabase is the database of encore run.
type encoreDatabase struct {
	description string
	stop        func()
}

// prepareEncore gives Encore's daemon a database for the app: in Docker, as
// Encore does by itself, or a temporary Postgres. The error says why there is
// none. Where ENCORE_SQLDB_HOST names another Postgres, the daemon is told of a
// temporary one all the same.
func prepareEncore(ctx context.Context, s settings, program string) (encoreDatabase, error) {
	none := encoreDatabase{"Encore's", func() {}}
	if s.database != "" {
		return none, errors.New("-database is for the standalone backend")
	}
	if os.Getenv("ENCORE_SQLDB_HOST") == "" && dockerRuns(ctx) {
		return encoreDatabase{"Encore's, in Docker", func() {}}, nil
	}
	if err := daemonIsIdle(ctx); err != nil {
		return none, err
	}
	server, err := postgres.Start(ctx)
	if err != nil {
		return none, fmt.Errorf("its database needs Docker or Postgres; Docker does not run, and %w", err)
	}
	stopDaemon, err := restartDaemon(ctx, program, server)
	if err != nil {
		server.Stop()
		return none, err
	}
	return encoreDatabase{temporary, func() {
		stopDaemon()
		server.Stop()
	}}, nil
}

// passTo makes the database stop with the backend, or now where it did not start.
func (d encoreDatabase) passTo(b *backend) {
	if b == nil {
		d.stop()
		return
	}
	b.database = d.description
	stopBackend := b.stop
	b.stop = func() {
		stopBackend()
		d.stop()
	}
}

func dockerRuns(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return exec.CommandContext(ctx, "docker", "version", "--format", "{{.Server.Version}}").Run() == nil
}

// namespace returns the namespace of Encore that has its own database for what
// the fake Clerk says. The users of your Clerk instance are in another.
func namespace(ctx context.Context, program, root string) string {
	const name = "fakeclerk"
	create := exec.CommandContext(ctx, program, "namespace", "create", name)
	create.Dir = root
	_ = create.Run() // it fails where there is one
	return name
}

// daemonSocket is where the Encore CLI finds its daemon. A daemon whose socket is
// removed ends, and the CLI starts another when it needs one.
func daemonSocket() (string, error) {
	cache, err := os.UserCacheDir()
	return filepath.Join(cache, "encore", "encored.sock"), err
}

// daemonIsIdle returns an error if Encore's daemon serves an app, or does not say
// whether it does: then it must not be restarted.
func daemonIsIdle(ctx context.Context) error {
	socket, err := daemonSocket()
	if err != nil {
		return err
	}
	if connection, err := net.Dial("unix", socket); err != nil {
		return nil // no daemon runs
	} else {
		_ = connection.Close()
	}
	const restart = "with a temporary Postgres Encore's daemon has to restart"
	served, err := servedApps(ctx)
	if err != nil {
		return fmt.Errorf("%s, and it does not say whether it serves other apps (%w)", restart, err)
	}
	if len(served) > 0 {
		return fmt.Errorf("%s, and it serves %s: stop that first, or start Docker", restart, strings.Join(served, ", "))
	}
	return nil
}

// servedApps asks the daemon what its dashboard asks it: the running apps, by
// their folders.
func servedApps(ctx context.Context) (served []string, err error) {
	address := cmp.Or(os.Getenv("ENCORE_DEVDASH_LISTEN_ADDR"), "127.0.0.1:9400")
	config, err := websocket.NewConfig("ws://"+address+"/__encore", "http://localhost")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	connection, err := config.DialContext(ctx)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	deadline, _ := ctx.Deadline()
	_ = connection.SetDeadline(deadline)
	if err := websocket.JSON.Send(connection, map[string]any{"jsonrpc": "2.0", "id": 1, "method": "list-apps"}); err != nil {
		return nil, err
	}
	var answer struct {
		ID     int
		Result []struct {
			Root    string `json:"app_root"`
			Offline bool
		}
	}
	for answer.ID != 1 { // others are notifications
		if err := websocket.JSON.Receive(connection, &answer); err != nil {
			return nil, err
		}
	}
	for _, app := range answer.Result {
		if !app.Offline {
			served = append(served, app.Root)
		}
	}
	return served, nil
}

// restartDaemon starts Encore's daemon anew, with the server as its database.
// After stop, which also happens when this process is killed, the daemon ends.
// The next one knows nothing of the server.
func restartDaemon(ctx context.Context, program string, server *postgres.Server) (stop func(), err error) {
	socket, err := daemonSocket()
	if err != nil {
		return nil, err
	}
	address, err := url.Parse(server.URL())
	if err != nil {
		return nil, err
	}
	password, _ := address.User.Password()

	// Standard input ends with this process, however it ends.
	remover := exec.Command("sh", "-c", `trap '' INT TERM HUP; cat >/dev/null; rm -f "$1"`, "sh", socket)
	remover.Dir = "/"
	lifeline, err := remover.StdinPipe()
	if err == nil {
		err = remover.Start()
	}
	if err != nil {
		return nil, err
	}
	stop = func() {
		_ = lifeline.Close()
		_ = remover.Wait()
	}
	_ = os.Remove(socket)
	daemon := exec.CommandContext(ctx, program, "daemon")
	daemon.Dir = "/" // it may outlive this folder
	daemon.Env = append(os.Environ(), "ENCORE_SQLDB_HOST="+address.Host, "ENCORE_SQLDB_DATABASE=postgres",
		"ENCORE_SQLDB_USER="+address.User.Username(), "ENCORE_SQLDB_PASSWORD="+password)
	if said, err := daemon.CombinedOutput(); err != nil {
		stop()
		return nil, fmt.Errorf("encore daemon: %w: %s", err, said)
	}
	return stop, nil
}
