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
	"encore.app/internal/standalone"
)

// backend is the running backend.
type backend struct {
	name      string // what describe prints; "" if there is none
	added     []addition
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
	added, why := s.add(func(o service) (addition, error) { return o.encore(ctx, s, program) })
	if why != nil && s.backend == "auto" {
		stopAll(added)
		return startStandalone(ctx, s, "not under encore run: "+why.Error(), logger)
	}
	b, err := startEncore(ctx, s, program, added, out)
	if err != nil {
		stopAll(added)
	}
	return b, err
}

func startStandalone(ctx context.Context, s settings, why string, logger *slog.Logger) (*backend, error) {
	var counters standalone.Counters
	options := clerkauth.Options{
		SecretKey:         s.secretKey,
		JWTKey:            s.jwtKey,
		APIURL:            s.apiURL,
		Issuer:            s.issuer,
		AuthorizedParties: s.parties,
		AcceptsToken:      authz.AllTokenTypes,
		Observer:          &counters,
	}
	authenticator, err := clerkauth.New(options)
	if wrong := new(clerkauth.OptionError); errors.As(err, &wrong) {
		flag := map[string]string{"AuthorizedParties": "parties", "Issuer": "issuer"}[wrong.Option]
		if s.given[flag] {
			err = fmt.Errorf("-%s %w", flag, wrong.Unwrap())
		}
	}
	if err != nil {
		return nil, err
	}
	added, err := s.add(func(o service) (addition, error) { return o.standalone(ctx, s, authenticator, logger) })
	if err != nil {
		stopAll(added)
		return nil, err
	}
	handler := standalone.Options{Authenticator: authenticator, AuthorizationServer: s.frontendAPI(), WebhookSigningSecrets: s.webhookSecret, Log: logger, Counters: &counters}
	for _, a := range added {
		handler.Extensions = append(handler.Extensions, a.extension)
	}
	b, err := serve(s.api, handler)
	if err != nil {
		stopAll(added)
		return nil, err
	}
	stopServer := b.stop
	b.name, b.added, b.stop = "standalone: "+why, added, func() {
		stopServer()
		stopAll(added)
	}
	return b, nil
}

// serve runs the standalone backend at an address.
func serve(address string, options standalone.Options) (*backend, error) {
	handler, err := standalone.Handler(options)
	if err != nil {
		return nil, fmt.Errorf("CLERK_WEBHOOK_SIGNING_SECRET: %w", err)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, cannotListen("-api", address, err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	b := &backend{
		ready:  func(context.Context) error { return nil },
		stop:   func() { _ = server.Close() },
		failed: make(chan error, 1),
	}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			b.failed <- err
		}
	}()
	return b, nil
}
