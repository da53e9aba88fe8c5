package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"

	"encore.app/internal/postgres"
)

// database is the PostgreSQL server of the service account. deploy/infra.json
// names it postgres:5432, as compose.yaml does.
type database struct {
	server         *postgres.Server
	host           string
	user, password string
	programs       string // the folder of PostgreSQL's programs
	data           string // its data folder
	away           bool   // whether stop has stopped it
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
	if err := connection.QueryRow(ctx, "SHOW data_directory").Scan(&d.data); err != nil {
		return err
	}
	pid, err := os.ReadFile(filepath.Join(d.data, "postmaster.pid"))
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(string(pid), "\n")
	program, err := os.Readlink("/proc/" + first + "/exe")
	if err != nil {
		return err
	}
	d.programs = filepath.Dir(program)
	_, err = connection.Exec(ctx, "CREATE DATABASE account")
	return err
}

// stop stops the server and keeps its data.
func (d *database) stop() error {
	d.away = true
	return d.control("stop", "-m", "fast")
}

// start starts it again at the same address.
func (d *database) start() error {
	_, port, _ := strings.Cut(d.host, ":")
	return d.control("start", "-l", filepath.Join(d.data, "again.log"), "-o",
		"-c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off -c port="+port)
}

// control runs pg_ctl, which waits until it is done, as the user whose data it is.
func (d *database) control(arguments ...string) error {
	info, err := os.Stat(d.data)
	if err != nil {
		return err
	}
	command := exec.Command(filepath.Join(d.programs, "pg_ctl"), append([]string{"-D", d.data}, arguments...)...)
	command.Dir = "/"
	if owner := info.Sys().(*syscall.Stat_t); os.Geteuid() == 0 {
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}}
	}
	// The server that pg_ctl starts would keep a pipe open.
	if err := command.Run(); err != nil {
		return fmt.Errorf("pg_ctl %s: %w", arguments[0], err)
	}
	return nil
}

// close ends the server, which the folder's first process does not know any more
// once stop has been called.
func (d *database) close() {
	if d.away {
		_ = d.control("stop", "-m", "immediate")
	}
	d.server.Stop()
}

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
