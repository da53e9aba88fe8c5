package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/net/websocket"

	"encore.app/internal/postgres"
)

// encore gives Encore's daemon a database for the app: in Docker, as Encore does
// by itself, or a temporary Postgres. The error says why there is none. Where
// ENCORE_SQLDB_HOST names another Postgres, the daemon still gets a temporary
// one. The users of the fake Clerk are in a separate namespace.
func (a *accountService) encore(ctx context.Context, s settings, program string) (addition, error) {
	added := addition{name: "Database", note: "Encore's"}
	if a.database != "" {
		return added, errors.New("-database is for the standalone backend")
	}
	if s.instance != "" {
		root, err := appRoot()
		if err != nil {
			return added, err
		}
		added.arguments = []string{"--namespace=" + namespace(ctx, program, root)}
	}
	if os.Getenv("ENCORE_SQLDB_HOST") == "" && dockerRuns(ctx) {
		added.note = "Encore's, in Docker"
		return added, nil
	}
	if err := daemonIsIdle(ctx); err != nil {
		return added, err
	}
	server, err := postgres.Start(ctx)
	if err != nil {
		return added, fmt.Errorf("its database needs Docker or Postgres; Docker does not run, and %w", err)
	}
	stopDaemon, err := restartDaemon(ctx, program, server)
	if err != nil {
		server.Stop()
		return added, err
	}
	added.note, added.stop = temporary, func() {
		stopDaemon()
		server.Stop()
	}
	return added, nil
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

// restartDaemon restarts Encore's daemon, with the server as its database.
// After stop, which also happens when this process is killed, the daemon ends.
// The next daemon does not use the server.
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
