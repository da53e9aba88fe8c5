// Package postgres runs a temporary PostgreSQL server from the programs that
// are installed on the machine, for tests and the development command.
package postgres

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrUnavailable is the error of [Start] on a machine that cannot run a temporary
// PostgreSQL.
var ErrUnavailable = errors.New("no temporary PostgreSQL")

// folders are where packages put PostgreSQL's programs without adding them to
// PATH: Debian, Red Hat, Homebrew on two processors, Postgres.app.
var folders = []string{
	"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin",
	"/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin",
	"/Applications/Postgres.app/Contents/Versions/*/bin",
}

// Server is a running PostgreSQL server with an empty data folder of its own.
// It listens on a free loopback port and has one superuser, with a password
// made up for this run.
type Server struct {
	url      string
	folder   string
	process  *exec.Cmd
	lifeline io.Closer // closed: the server stops
	output   *output
	exited   chan struct{}
}

// script runs the server until standard input ends, which also happens when
// this process is killed. It then removes the folder. By then [Pause] and
// [Resume] may have replaced the server that it started.
//
// pg_ctl cannot stop a server that has no postmaster.pid yet: the script repeats
// it for as long as the server that it started is there.
//
// macOS has no locale C.UTF-8.
const script = `
for locale in C.UTF-8 en_US.UTF-8 C; do
	"$1/initdb" --pgdata="$2/data" --username=postgres --pwfile="$2/password" --auth=md5 --encoding=UTF8 --locale=$locale --no-sync >/dev/null && break
done
rm "$2/password"
[ -f "$2/data/postgresql.conf" ] || exit 1
cat >>"$2/data/postgresql.conf" <<END
listen_addresses = '127.0.0.1'
port = $3
unix_socket_directories = ''
max_connections = 100
shared_buffers = 64MB
fsync = off
synchronous_commit = off
full_page_writes = off
END
"$1/postgres" -D "$2/data" &
server=$!
trap : INT TERM
cat >/dev/null
until "$1/pg_ctl" -D "$2/data" -s -m fast stop 2>/dev/null || ! kill -0 $server 2>/dev/null; do
	sleep 0.1
done
wait
rm -rf "$2"
`

// Start starts a server and waits until it takes connections. It stops with
// [Server.Stop], and when this process ends in whatever way. Its data is not
// synced to the disk: it is for data that may be lost.
//
// Start unsets the variables of libpq, such as PGSERVICE: they are for another
// server, and every program that connects to this one would follow them.
func Start(ctx context.Context) (*Server, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "PG") {
			_ = os.Unsetenv(name)
		}
	}
	dir, err := os.MkdirTemp("", "postgres-")
	if err != nil {
		return nil, err
	}
	password := rand.Text()
	if err := os.WriteFile(filepath.Join(dir, "password"), []byte(password), 0o600); err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s := &Server{
		url:    fmt.Sprintf("postgres://postgres:%s@127.0.0.1:%s/postgres?sslmode=disable", password, port),
		folder: dir,
		output: new(output),
		exited: make(chan struct{}),
	}
	s.process = exec.Command("sh", "-c", script, "sh", bin, dir, port)
	s.process.Dir = "/"
	s.process.Stderr = s.output
	if err := unprivileged(s.process, dir, filepath.Join(dir, "password")); err != nil {
		return nil, errors.Join(fmt.Errorf("start PostgreSQL: %w", err), os.RemoveAll(dir))
	}
	if s.lifeline, err = s.process.StdinPipe(); err != nil {
		return nil, err
	}
	if err := s.process.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start PostgreSQL: %w", err), os.RemoveAll(dir))
	}
	go func() {
		_ = s.process.Wait()
		close(s.exited)
	}()
	if err := s.wait(ctx); err != nil {
		s.Stop()
		return nil, errors.Join(fmt.Errorf("start PostgreSQL: %w", err), os.RemoveAll(dir))
	}
	return s, nil
}

// URL is how to connect to the server, as DATABASE_URL has it.
func (s *Server) URL() string { return s.url }

// Folder names the server for [Pause] and [Resume].
func (s *Server) Folder() string { return s.folder }

// Pause stops a server that [Start] started, in this process or another one. Its
// data stays, and [Resume] starts it again at the same address.
func Pause(folder string) error { return control(folder, "-m", "fast", "stop") }

// Resume starts a server that [Pause] has stopped, and waits until it takes
// connections.
func Resume(folder string) error {
	return control(folder, "-l", filepath.Join(folder, "resumed.log"), "start")
}

// control runs pg_ctl, which waits until it is done.
func control(folder string, arguments ...string) error {
	bin, err := programs()
	if err != nil {
		return err
	}
	// No output: the server that pg_ctl starts would keep the pipe open.
	command := exec.Command(filepath.Join(bin, "pg_ctl"), append([]string{"-D", filepath.Join(folder, "data"), "-s"}, arguments...)...)
	command.Dir = "/"
	if err := unprivileged(command); err != nil {
		return err
	}
	if err := command.Run(); err != nil {
		return fmt.Errorf("pg_ctl %s: %w", arguments[len(arguments)-1], err)
	}
	return nil
}

// Stop stops the server and removes its data.
func (s *Server) Stop() {
	_ = s.lifeline.Close()
	<-s.exited
}

// wait returns when the server takes connections.
func (s *Server) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		connection, err := pgx.Connect(ctx, s.url)
		if err == nil {
			return connection.Close(ctx)
		}
		select {
		case <-s.exited:
			return fmt.Errorf("it ended at once: %s", s.output)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// programs returns the folder of PostgreSQL's programs, the newest version where
// there are several.
func programs() (string, error) {
	if runtime.GOOS == "windows" {
		return "", fmt.Errorf("%w on Windows", ErrUnavailable) // the script needs a shell
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil { // postgres is beside it
			return filepath.Dir(path), nil
		}
	}
	for _, folder := range folders {
		found, _ := filepath.Glob(filepath.Join(folder, "initdb"))
		if len(found) == 0 {
			continue
		}
		slices.SortFunc(found, func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })
		return filepath.Dir(found[len(found)-1]), nil
	}
	return "", fmt.Errorf("%w: its program initdb is not on PATH", ErrUnavailable)
}

// freePort returns a loopback port that was free a moment ago: PostgreSQL
// cannot choose one itself.
func freePort() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	return port, err
}

// output keeps the beginning of what the server writes.
type output struct{ text []byte }

// Write implements [io.Writer].
func (o *output) Write(p []byte) (int, error) {
	o.text = append(o.text, p[:min(len(p), 4096-min(len(o.text), 4096))]...)
	return len(p), nil
}

func (o *output) String() string { return strings.TrimSpace(string(o.text)) }
