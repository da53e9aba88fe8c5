package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"encore.app/auth/authz"
	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
	"encore.app/internal/standalone"
)

// clock is moved by hand.
type clock struct{ offset atomic.Int64 }

func (c *clock) Now() time.Time          { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *clock) Advance(d time.Duration) { c.offset.Add(int64(d)) }

// logged keeps what a server logs.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements [io.Writer].
func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// extend starts what optional services add to the standalone server. The test of
// a service replaces it.
var extend = func(*slog.Logger) (added []standalone.Extension, stop func(), err error) {
	return nil, func() {}, nil
}

// startStandalone runs the standalone handler by a clock that is moved by hand.
func startStandalone() (func(), error) {
	var c clock
	var text logged
	log := slog.New(slog.NewJSONHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}))
	standIn, err := fakeclerk.Start(fakeclerk.Options{Now: c.Now})
	if err != nil {
		return nil, err
	}
	authenticator, err := clerkauth.New(clerkauth.Options{
		SecretKey:         standIn.SecretKey(),
		APIURL:            standIn.URL(),
		AuthorizedParties: []string{fakeclerk.DefaultAuthorizedParty},
		Issuer:            standIn.Issuer(),
		AcceptsToken:      authz.AllTokenTypes,
		Now:               c.Now,
	})
	if err != nil {
		return nil, err
	}
	extensions, stopExtensions, err := extend(log)
	if err != nil {
		return nil, err
	}
	handler, err := standalone.Handler(standalone.Options{
		Authenticator:         authenticator,
		WebhookSigningSecrets: standIn.WebhookSigningSecret(),
		Log:                   log,
		Extensions:            extensions,
		AuthorizationServer:   standIn.URL(),
	})
	if err != nil {
		return nil, err
	}
	server := httptest.NewServer(handler)
	w = world{
		api: server.URL, clerk: standIn.URL(), advance: c.Advance, now: c.Now, log: text.String,
		keysMaxAge: 5 * time.Minute, userMaxAge: time.Minute, userStaleIfError: 15 * time.Minute,
	}
	return func() {
		server.Close()
		stopExtensions()
		_ = standIn.Close()
	}, nil
}

// startEncore runs a copy of the app, with the durations of this test, under
// the real Encore.
func startEncore() (func(), error) {
	folder, err := os.MkdirTemp("", "e2e-encore-")
	if err != nil {
		return nil, err
	}
	if err := copyApp("../..", folder); err != nil {
		return nil, err
	}
	w = world{
		advance:    time.Sleep,
		keysMaxAge: 3 * time.Second, userMaxAge: 2 * time.Second, userStaleIfError: 10 * time.Second,
		undeclared: true,
	}
	durations := fmt.Sprintf("KeysMaxAge: %q\nUserMaxAge: %q\nUserStaleIfError: %q\n", w.keysMaxAge, w.userMaxAge, w.userStaleIfError)
	if err := os.WriteFile(filepath.Join(folder, "auth", "e2e.cue"), []byte(durations), 0o600); err != nil {
		return nil, err
	}
	undeclared := "package user\n\nimport \"context\"\n\n//encore:api auth method=GET path=/undeclared\nfunc Undeclared(ctx context.Context) error { return nil }\n"
	if err := os.WriteFile(filepath.Join(folder, "user", "undeclared.go"), []byte(undeclared), 0o600); err != nil {
		return nil, err
	}
	secrets := "ClerkSecretKey: \"sk_test_fakeclerk\"\n"
	if err := os.WriteFile(filepath.Join(folder, ".secrets.local.cue"), []byte(secrets), 0o600); err != nil {
		return nil, err
	}
	standIn, err := fakeclerk.Start(fakeclerk.Options{})
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	output, err := os.Create(filepath.Join(folder, "encore-run.log"))
	if err != nil {
		return nil, err
	}
	// The CLI's daemon stays behind and must not do so in a folder that goes.
	daemon := exec.Command("encore", "daemon")
	daemon.Dir = filepath.Dir(os.TempDir())
	if said, err := daemon.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("encore daemon: %w\n%s", err, said)
	}
	command := exec.Command("encore", "run", "--browser=never", "--listen=127.0.0.1", "--port="+port)
	command.Dir = folder
	command.Stdout, command.Stderr = output, output
	command.Env = append(os.Environ(),
		"CLERK_API_URL="+standIn.URL(),
		"CLERK_PROXY_URL="+standIn.URL(), // where MCP clients sign in
		"CLERK_SECRET_KEY="+standIn.SecretKey(),
		"CLERK_ISSUER="+standIn.Issuer(),
		"CLERK_AUTHORIZED_PARTIES="+fakeclerk.DefaultAuthorizedParty,
		"CLERK_WEBHOOK_SIGNING_SECRET="+standIn.WebhookSigningSecret(),
	)
	if err := command.Start(); err != nil {
		return nil, err
	}
	w.api, w.clerk = "http://127.0.0.1:"+port, standIn.URL()
	w.log = func() string {
		said, _ := os.ReadFile(output.Name())
		return string(said)
	}
	stop := func() {
		_ = command.Process.Signal(os.Interrupt)
		_ = command.Wait()
		_ = standIn.Close()
		_ = os.RemoveAll(folder)
	}
	if err := awaitAnswer(w.api + "/user/profile"); err != nil {
		said := w.log()
		stop()
		return nil, fmt.Errorf("encore run: %w\n%s", err, said)
	}
	return stop, nil
}

func awaitAnswer(url string) error {
	deadline := time.Now().Add(5 * time.Minute) // the first build compiles Encore's runtime
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for time.Now().Before(deadline) {
		// Encore answers 502 while the app is starting.
		if response, err := http.Get(url); err == nil && response.Body.Close() == nil && response.StatusCode != http.StatusBadGateway {
			return nil
		}
		<-tick.C
	}
	return errors.New("does not answer")
}

// copyApp copies the Go sources and Encore's files, which are all it takes.
func copyApp(from, to string) error {
	return filepath.WalkDir(from, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			switch entry.Name() {
			case ".git", ".encore", "node_modules", "web":
				return filepath.SkipDir
			}
			return os.MkdirAll(filepath.Join(to, relative), 0o700)
		}
		switch filepath.Ext(name) {
		case ".go", ".cue", ".app", ".mod", ".sum", ".sql":
		default:
			return nil
		}
		if filepath.Base(name) == ".secrets.local.cue" {
			return nil
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, relative), content, 0o600)
	})
}

func freePort() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	return port, err
}
