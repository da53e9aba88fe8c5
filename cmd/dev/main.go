// Command dev runs the whole system on this machine: a fake Clerk, the backend
// (under encore run if the Encore CLI is on PATH, otherwise on net/http) and
// the page. It prints the addresses and a curl command to try.
//
//	go run ./cmd/dev
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"encore.app/internal/fakeclerk"
)

// stopTimeout is the time that encore run has to stop after Ctrl-C. Then it is
// killed.
const stopTimeout = 4 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "dev:", err)
		os.Exit(1)
	}
}

// settings are the command's flags and the environment variables that it reads.
type settings struct {
	api        string
	clerk      string
	backend    string
	page       string
	pageChosen bool // -page was given
	signingKey string
	parties    []string
	issuer     string

	secretKey     string // CLERK_SECRET_KEY: use real Clerk, or the server at apiURL
	apiURL        string // CLERK_API_URL, without /v1
	webhookSecret string // CLERK_WEBHOOK_SIGNING_SECRET
}

func parse(arguments []string) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("dev", flag.ContinueOnError)
	flags.StringVar(&s.api, "api", "127.0.0.1:4000", "address of the backend")
	flags.StringVar(&s.clerk, "clerk", "127.0.0.1:4100", "address of the fake Clerk")
	flags.StringVar(&s.backend, "backend", "auto", "auto, encore, standalone or none")
	flags.StringVar(&s.page, "page", "localhost:3001", "address of the page; empty: none")
	flags.StringVar(&s.signingKey, "signing-key", "", "RSA private key in PEM for the fake Clerk to sign with (default: a new one)")
	parties := flags.String("parties", fakeclerk.DefaultAuthorizedParty, "authorized parties, comma-separated; empty: azp is not checked")
	flags.StringVar(&s.issuer, "issuer", "", "issuer of the session tokens (default: that of the fake Clerk; with real Clerk: not compared)")
	if err := flags.Parse(arguments); err != nil {
		return s, err
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	flags.Visit(func(f *flag.Flag) { s.pageChosen = s.pageChosen || f.Name == "page" })
	switch s.backend {
	case "auto", "encore", "standalone", "none":
	default:
		return s, fmt.Errorf("-backend %s: it is auto, encore, standalone or none", s.backend)
	}
	s.parties = strings.FieldsFunc(*parties, func(r rune) bool { return r == ',' || r == ' ' })
	s.secretKey, s.apiURL = os.Getenv("CLERK_SECRET_KEY"), os.Getenv("CLERK_API_URL")
	s.webhookSecret = os.Getenv("CLERK_WEBHOOK_SIGNING_SECRET")
	if s.secretKey == "" && s.apiURL != "" {
		return s, errors.New("CLERK_API_URL is set without CLERK_SECRET_KEY: set both, or neither for the fake Clerk")
	}
	if s.secretKey != "" && s.backend == "none" {
		return s, errors.New("CLERK_SECRET_KEY turns the fake Clerk off, and -backend none the backend: nothing is left to run")
	}
	if s.secretKey != "" && s.signingKey != "" {
		return s, errors.New("-signing-key is for the fake Clerk, which CLERK_SECRET_KEY turns off")
	}
	return s, nil
}

// run starts everything and blocks until ctx ends or a part fails.
func run(ctx context.Context, arguments []string, out io.Writer) error {
	s, err := parse(arguments)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(out, nil))

	var fakeClerk *fakeclerk.Server
	if s.secretKey == "" {
		if fakeClerk, err = startFakeClerk(s, logger.With("from", "clerk")); err != nil {
			return err
		}
		defer fakeClerk.Close()
		s.secretKey, s.apiURL, s.issuer = fakeClerk.SecretKey(), fakeClerk.URL(), fakeClerk.Issuer()
		s.webhookSecret = fakeClerk.WebhookSigningSecret()
	}
	b, err := startBackend(ctx, s, fakeClerk != nil, out, logger.With("from", "api"))
	if err != nil {
		return err
	}
	defer b.stop()
	p, err := startPage(s, fakeClerk)
	if err != nil {
		return err
	}
	defer p.stop()
	if err := b.ready(ctx); err != nil {
		return err
	}
	describe(out, s, b, p, fakeClerk)
	select {
	case <-ctx.Done():
		fmt.Fprintln(out, "\nstopping")
		return nil
	case err := <-b.failed:
		return err
	}
}

// describe prints the addresses, the accounts that can sign in, and a command
// to try.
func describe(out io.Writer, s settings, b *backend, p *frontend, fakeClerk *fakeclerk.Server) {
	fmt.Fprintln(out)
	if b.name != "" {
		fmt.Fprintf(out, "  Backend    http://%s/user/profile  (%s)\n", s.api, b.name)
	}
	if p.note != "" {
		fmt.Fprintf(out, "  Page       %s\n", p.note)
	}
	if b.name != "" && beyondLoopback(s.api) {
		fmt.Fprintf(out, "  Warning    other machines can reach -api %s: a development server without TLS, open to pages of every origin\n", s.api)
	}
	if b.dashboard != "" {
		fmt.Fprintf(out, "  Dashboard  %s\n", b.dashboard)
	}
	if fakeClerk == nil {
		fmt.Fprintf(out, "  Clerk      %s\n\n", clerkName(s))
		fmt.Fprintln(out, "Try it with a session token of your Clerk instance (getToken() in your frontend):")
		fmt.Fprintf(out, "\n  curl -s -H \"Authorization: Bearer $TOKEN\" %s/user/profile\n\n", s.api)
		return
	}
	fmt.Fprintf(out, "  Clerk      %s  (fake; CLERK_SECRET_KEY=%s)\n", fakeClerk.URL(), fakeClerk.SecretKey())
	fmt.Fprintln(out, "  Accounts   ada@example.com, grace@example.com, user_noemail (no address), user_banned (refused)")
	if b.name == "" {
		fmt.Fprintf(out, "\nA fresh session token:\n\n  curl -s '%s/token?email=ada@example.com'\n\n", s.clerk)
		return
	}
	fmt.Fprint(out, "\nTry it:\n\n")
	fmt.Fprintf(out, "  curl -s -H \"Authorization: Bearer $(curl -s '%s/token?email=ada@example.com')\" %s/user/profile\n\n", s.clerk, s.api)
}

func clerkName(s settings) string {
	if s.apiURL == "" {
		return "https://api.clerk.com"
	}
	return s.apiURL
}

// beyondLoopback reports whether a listener on the address is reachable from
// other machines.
func beyondLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil || host == "localhost" {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err != nil || !ip.IsLoopback() // no host: every interface
}
