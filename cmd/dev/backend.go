package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os/exec"
	"time"

	"encore.app/auth/authz"
	"encore.app/auth/clerkauth"
	"encore.app/auth/clerkauth/setting"
	"encore.app/internal/standalone"
)

// backend is the running backend.
type backend struct {
	name      string // what describe prints; "" if there is none
	database  string // account: what describe prints of it
	dashboard string
	ready     func(context.Context) error // waits until it serves
	stop      func()
	failed    chan error // receives one error if the backend ends by itself
}

// startBackend starts the backend that -backend names.
func startBackend(ctx context.Context, s settings, out io.Writer, logger *slog.Logger) (*backend, error) {
	program, missing := exec.LookPath("encore")
	switch {
	case s.backend == "none":
		return &backend{ready: func(context.Context) error { return nil }, stop: func() {}}, nil
	case s.backend == "encore" && missing != nil:
		return nil, errors.New("the Encore CLI is not on PATH: see https://encore.dev/docs/install, or use -backend standalone")
	case s.backend == "standalone":
		return startStandalone(ctx, s, "as -backend says", logger)
	case missing != nil:
		return startStandalone(ctx, s, "with the Encore CLI, https://encore.dev/docs/install, it runs under encore run", logger)
	}
	database, why := prepareEncore(ctx, s, program) // account:
	if why != nil && s.backend == "auto" {          // account:
		return startStandalone(ctx, s, "not under encore run: "+why.Error(), logger) // account:
	} // account:
	b, err := startEncore(ctx, s, program, out)
	database.passTo(b) // account:
	return b, err
}

func startStandalone(ctx context.Context, s settings, why string, logger *slog.Logger) (*backend, error) {
	var counters clerkauth.Counters
	jwtKey, _ := setting.Env("CLERK_JWT_KEY")
	options := clerkauth.Options{
		SecretKey:         s.secretKey,
		JWTKey:            jwtKey,
		APIURL:            s.apiURL,
		Issuer:            s.issuer,
		AuthorizedParties: s.parties,
		AcceptsToken:      authz.AllTokenTypes,
		Observer:          &counters,
	}
	authenticator, err := clerkauth.New(options)
	if err != nil {
		return nil, err
	}
	store, stopAccount, database, err := startAccount(ctx, s, authenticator, logger) // account:
	if err != nil {
		return nil, err
	}
	handler, err := standalone.Handler(standalone.Options{
		Account:       store, // account:
		Authenticator: authenticator, WebhookSigningSecrets: s.webhookSecret, Log: logger, Counters: &counters,
	})
	if err != nil {
		stopAccount() // account:
		return nil, fmt.Errorf("CLERK_WEBHOOK_SIGNING_SECRET: %w", err)
	}
	listener, err := net.Listen("tcp", s.api)
	if err != nil {
		stopAccount() // account:
		return nil, cannotListen("-api", s.api, err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	b := &backend{
		name:     "standalone: " + why,
		database: database, // account:
		ready:    func(context.Context) error { return nil },
		stop: func() {
			_ = server.Close()
			stopAccount() // account:
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
