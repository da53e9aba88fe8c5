//go:build linux && !encore_local

// Package production builds the image as the deployment page says, unpacks it,
// and runs its binary with its configuration, as users will:
//
//	TESTS=encore go test -v -count=1 -timeout 20m ./test/production
//
// It needs the Encore CLI, and Debian's packages haproxy and postgresql. Encore's
// Go links no test whose packages leave its runtime out.
package production

import (
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"encore.app/internal/postgres"
)

var outage = flag.Duration("outage", 15*time.Second, "how long Clerk is gone in scene c; below 5m the durations of auth/config.cue shrink as much")

// environment is shared by all tests. The fake Clerk has the name api.clerk.com.
// The folder is removed at the end.
type environment struct {
	folder   string
	clerk    *clerk
	database *database
	registry string // its address
	source   string // the app's files
	app      *image
}

var (
	shared  = sync.OnceValues(newEnvironment)
	closers []func()
)

func TestMain(m *testing.M) {
	code := m.Run()
	for _, end := range slices.Backward(closers) {
		end()
	}
	os.Exit(code)
}

// setup skips the test where something is missing.
func setup(t testing.TB) *environment {
	t.Helper()
	if os.Getenv("TESTS") != "encore" {
		t.Skip("needs the Encore CLI and minutes: TESTS=encore runs it")
	}
	for _, program := range []string{"encore", "haproxy", "git"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	e, err := shared()
	if errors.Is(err, postgres.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func newEnvironment() (*environment, error) {
	folder, err := os.MkdirTemp("", "production-")
	if err != nil {
		return nil, err
	}
	closers = append(closers, func() { _ = os.RemoveAll(folder) })
	e := &environment{folder: folder, source: filepath.Join(folder, "src")}
	blobs := filepath.Join(folder, "registry")
	if err := os.Mkdir(blobs, 0o700); err != nil {
		return nil, err
	}
	e.registry = startRegistry(blobs)
	if e.clerk, err = startClerk(folder); err != nil {
		return nil, err
	}
	if e.database, err = startDatabase(context.Background()); err != nil {
		return nil, err
	}
	if err := copyApp(e.source); err != nil {
		return nil, err
	}
	e.app, err = e.build(e.source, "deploy/infra.json", "app")
	return e, err
}

// say logs what was seen, and fails the test if it is not what is promised.
func say(t testing.TB, held bool, format string, arguments ...any) {
	t.Helper()
	if held {
		t.Logf(format, arguments...)
	} else {
		t.Errorf("broken: "+format, arguments...)
	}
}

func must[T any](t testing.TB) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}
