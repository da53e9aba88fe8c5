package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
	"encore.app/internal/standalone"
	"encore.app/test/bench/guide"
)

// environment gives a server its settings, by the names that Clerk's SDKs read.
func environment(clerk *fakeclerk.Server, jwtKey bool) []string {
	settings := append(os.Environ(),
		"CLERK_SECRET_KEY="+clerk.SecretKey(),
		"CLERK_API_URL="+clerk.URL(),
		"CLERK_AUTHORIZED_PARTIES="+fakeclerk.DefaultAuthorizedParty,
		"CLERK_ISSUER="+clerk.Issuer(),
		"CLERK_JWT_KEY=",
	)
	if jwtKey {
		settings = append(settings, "CLERK_JWT_KEY="+clerk.PublicKeyPEM())
	}
	return settings
}

// process is a child process that ends with its stdin.
type process struct {
	command *exec.Cmd
	stdin   io.WriteCloser
	stdout  *bufio.Reader
}

func start(ctx context.Context, environment []string, folder, program string, arguments ...string) (*process, error) {
	command := exec.CommandContext(ctx, program, arguments...)
	command.Dir, command.Env, command.Stderr = folder, environment, os.Stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	return &process{command: command, stdin: stdin, stdout: bufio.NewReader(stdout)}, nil
}

// line reads what the process prints next.
func (p *process) line() (string, error) {
	line, err := p.stdout.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("%s ended: %w", strings.Join(p.command.Args, " "), err)
	}
	return strings.TrimSpace(line), nil
}

func (p *process) stop() {
	_ = p.stdin.Close()
	_ = p.command.Wait()
}

// serve is what a child process of ours does: it prints its address, and
// serves until stdin ends.
func serve(name string) error {
	handler, err := handlerOf(name)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	// The same server for all servers that are written in Go.
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = server.Close()
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func handlerOf(name string) (http.Handler, error) {
	switch name {
	case "standalone":
		authenticator, err := clerkauth.New(clerkauth.Options{
			SecretKey:         os.Getenv("CLERK_SECRET_KEY"),
			APIURL:            os.Getenv("CLERK_API_URL"),
			JWTKey:            os.Getenv("CLERK_JWT_KEY"),
			Issuer:            os.Getenv("CLERK_ISSUER"),
			AuthorizedParties: strings.Split(os.Getenv("CLERK_AUTHORIZED_PARTIES"), ","),
		})
		if err != nil {
			return nil, err
		}
		return standalone.Handler(standalone.Options{Authenticator: authenticator}) // no log, as with the peers
	case "clerk-sdk-go":
		return sdkHandler(), nil
	case "bare":
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, profile)
		}), nil
	}
	return nil, fmt.Errorf("no server %q", name)
}

// sdkHandler is the guide's handler in Go. It gets the connection pool that our
// own handler has, because Go's default keeps only 2 connections to a host.
func sdkHandler() http.Handler {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 32
	return guide.Handler(guide.Options{
		SecretKey:         os.Getenv("CLERK_SECRET_KEY"),
		APIURL:            os.Getenv("CLERK_API_URL"),
		AuthorizedParties: strings.Split(os.Getenv("CLERK_AUTHORIZED_PARTIES"), ","),
		HTTPClient:        &http.Client{Timeout: 5 * time.Second, Transport: transport},
	})
}
