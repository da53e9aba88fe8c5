package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// startEncore runs the app under the Encore CLI, which passes its environment
// on to the app.
func startEncore(ctx context.Context, s settings, program string, added []addition, out io.Writer) (*backend, error) {
	root, err := appRoot()
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(s.api)
	if err != nil {
		return nil, fmt.Errorf("-api: %w", err)
	}
	probe, err := net.Listen("tcp", s.api)
	if err != nil {
		return nil, cannotListen("-api", s.api, err)
	}
	_ = probe.Close()

	fmt.Fprintln(out, "encore run compiles the app: the first time this takes a minute or two")
	command := encoreRun(ctx, s, program, host, port, added)
	command.Dir = root
	command.Stdout, command.Stderr = out, out
	if err := command.Start(); err != nil {
		return nil, err
	}
	b := &backend{
		name:      "encore run",
		dashboard: "http://127.0.0.1:9400",
		added:     added,
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
		stopAll(added)
	}
	b.ready = func(ctx context.Context) error { return b.awaitAnswer(ctx, "http://"+s.apiAddress()+"/user/profile") }
	return b, nil
}

// encoreRun is the command, which gets the settings as variables.
func encoreRun(ctx context.Context, s settings, program, host, port string, added []addition) *exec.Cmd {
	arguments := []string{"run", "--browser=never", "--listen=" + host, "--port=" + port}
	for _, a := range added {
		arguments = append(arguments, a.arguments...)
	}
	command := exec.CommandContext(ctx, program, arguments...)
	command.Env = append(os.Environ(),
		"CLERK_SECRET_KEY="+s.secretKey,
		"CLERK_AUTHORIZED_PARTIES="+strings.Join(s.parties, ","),
		"CLERK_ISSUER="+s.issuer,
		"CLERK_WEBHOOK_SIGNING_SECRET="+s.webhookSecret,
	)
	if s.instance != "" {
		command.Env = append(command.Env, "CLERK_PROXY_URL="+s.frontendAPI())
	}
	if s.apiURL != "" {
		command.Env = append(command.Env, "CLERK_API_URL="+s.apiURL)
	}
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = stopTimeout
	return command
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
