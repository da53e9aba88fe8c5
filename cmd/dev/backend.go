package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"encore.app/auth/access"
	"encore.app/auth/clerkauth"
	"encore.app/internal/standalone"
)

// backend is the running backend.
type backend struct {
	name      string // what describe prints; "" if there is none
	dashboard string
	ready     func(context.Context) error // waits until it serves
	stop      func()
	failed    chan error // receives one error if the backend ends by itself
}

// startBackend starts the backend that -backend names.
func startBackend(ctx context.Context, s settings, fakeClerk bool, out io.Writer, logger *slog.Logger) (*backend, error) {
	program, missing := exec.LookPath("encore")
	switch {
	case s.backend == "none":
		return &backend{ready: func(context.Context) error { return nil }, stop: func() {}}, nil
	case s.backend == "encore" && missing != nil:
		return nil, errors.New("the Encore CLI is not on PATH: see https://encore.dev/docs/install, or use -backend standalone")
	case s.backend == "standalone" || missing != nil:
		return startStandalone(s, logger)
	case s.backend == "auto" && !encoreHasDatabase(ctx): // account: encore run needs a database
		fmt.Fprintln(out, "encore run needs Docker, or ENCORE_SQLDB_HOST (docs/database.md): the backend is standalone.") // account:
		return startStandalone(s, logger)                                                                                 // account:
	}
	return startEncore(ctx, s, fakeClerk, program, out)
}

func startStandalone(s settings, logger *slog.Logger) (*backend, error) {
	var counters clerkauth.Counters
	options := clerkauth.Options{
		SecretKey:         s.secretKey,
		JWTKey:            os.Getenv("CLERK_JWT_KEY"),
		APIURL:            s.apiURL,
		Issuer:            s.issuer,
		AuthorizedParties: s.parties,
		AcceptsToken:      access.Everyone,
		Observer:          &counters,
	}
	authenticator, err := clerkauth.New(options)
	if err != nil {
		return nil, err
	}
	stopAccount := func() {}
	store, stopAccount, err := startAccount(authenticator, logger) // account:
	if err != nil {
		return nil, err
	}
	handler, err := standalone.Handler(standalone.Options{
		Account:       store, // account:
		Authenticator: authenticator, WebhookSigningSecrets: s.webhookSecret, Log: logger, Counters: &counters,
	})
	if err != nil {
		return nil, fmt.Errorf("CLERK_WEBHOOK_SIGNING_SECRET: %w", err)
	}
	listener, err := listen(s.api)
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	b := &backend{
		name:  "standalone; with the Encore CLI it runs under encore run",
		ready: func(context.Context) error { return nil },
		stop: func() {
			_ = server.Close()
			stopAccount()
		},
		failed: make(chan error, 1),
	}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			b.failed <- err
		}
	}()
	return b, nil
}

// startEncore runs the app under the Encore CLI, which passes its environment
// on to the app.
func startEncore(ctx context.Context, s settings, fakeClerk bool, program string, out io.Writer) (*backend, error) {
	root, err := appRoot()
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(s.api)
	if err != nil {
		return nil, fmt.Errorf("-api: %w", err)
	}
	probe, err := listen(s.api)
	if err != nil {
		return nil, err
	}
	_ = probe.Close()
	if fakeClerk {
		if err := prepareSecrets(root, s.secretKey, out); err != nil {
			return nil, err
		}
	}

	command := exec.CommandContext(ctx, program, "run", "--browser=never", "--listen="+host, "--port="+port)
	command.Dir = root
	command.Stdout, command.Stderr = out, out
	command.Env = append(os.Environ(),
		"CLERK_SECRET_KEY="+s.secretKey,
		"CLERK_AUTHORIZED_PARTIES="+strings.Join(s.parties, ","),
		"CLERK_ISSUER="+s.issuer,
		"CLERK_WEBHOOK_SIGNING_SECRET="+s.webhookSecret,
	)
	if s.apiURL != "" {
		command.Env = append(command.Env, "CLERK_API_URL="+s.apiURL)
	}
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = stopTimeout
	if err := command.Start(); err != nil {
		return nil, err
	}
	b := &backend{
		name:      "encore run",
		dashboard: "http://127.0.0.1:9400",
		failed:    make(chan error, 1),
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err := command.Wait()
		if ctx.Err() == nil {
			b.failed <- fmt.Errorf("encore run ended (%v): see its output above", err)
		}
	}()
	b.stop = func() {
		_ = command.Cancel()
		<-ended
	}
	b.ready = func(ctx context.Context) error { return b.awaitAnswer(ctx, "http://"+s.api+"/user/profile") }
	return b, nil
}

// awaitAnswer waits until the backend answers. While it starts, Encore answers
// 502 in its place.
func (b *backend) awaitAnswer(ctx context.Context, url string) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err == nil && response.Body.Close() == nil && response.StatusCode != http.StatusBadGateway {
			return nil
		}
		select {
		case err := <-b.failed:
			return err
		case <-ctx.Done():
			return nil // stopped before it served
		case <-tick.C:
		}
	}
}

// appRoot returns the folder of encore.app: the working directory or one above
// it.
func appRoot() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(folder, "encore.app")); err == nil {
			return folder, nil
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return "", errors.New("no encore.app here or above: run this inside the repository")
		}
		folder = parent
	}
}

// prepareSecrets writes the file from which the Encore CLI reads this machine's
// secrets, unless it exists. Only the fake Clerk's key is written to disk; a
// real one reaches the app by the environment.
func prepareSecrets(root, secretKey string, out io.Writer) error {
	name := filepath.Join(root, ".secrets.local.cue")
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "wrote .secrets.local.cue (not tracked by git), from which encore run reads its secrets")
	_, err = fmt.Fprintf(file, "// The secret key of the fake Clerk. Write your own here, or delete this file\n"+
		"// to use the one that `encore secret set` stored.\nClerkSecretKey: %q\n", secretKey)
	return errors.Join(err, file.Close())
}

func listen(address string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, taken("-api", address)
	}
	return listener, err
}
