// Command dev runs the whole system on this machine: a fake Clerk, the backend
// and the page. The backend runs under encore run if the Encore CLI and a
// database are there, otherwise on net/http. It prints the addresses and a curl
// command to try.
//
//	go run ./cmd/dev
package main

import (
	"cmp"
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
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"encore.app/auth/clerkauth/setting"
	"encore.app/fakeclerk"
	"encore.app/webhooks/clerkevent"
)

// stopTimeout is the time that encore run has to stop after Ctrl-C. Then it is
// killed.
const stopTimeout = 4 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
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
	given      map[string]bool // the names of the flags that were given
	signingKey string
	parties    []string
	issuer     string
	instance   string // of the fake Clerk; "" with real Clerk
	services   []service

	jwtKey        string // CLERK_JWT_KEY
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
	for _, newService := range services {
		s.services = append(s.services, newService(flags))
	}
	flags.StringVar(&s.page, "page", "localhost:3001", "address of the page; empty: none")
	flags.StringVar(&s.signingKey, "signing-key", "", "RSA private key in PEM for the fake Clerk to sign with (default: a new one)")
	partiesSet, _ := setting.Env("CLERK_AUTHORIZED_PARTIES")
	issuerSet, _ := setting.Env("CLERK_ISSUER")
	parties := flags.String("parties", partiesSet, "authorized parties, comma-separated (default: the origin of -page)")
	flags.StringVar(&s.issuer, "issuer", issuerSet, "issuer of the session tokens (default: that of the fake Clerk; with real Clerk: not compared)")
	if err := flags.Parse(arguments); err != nil {
		return s, err
	}
	s.given = map[string]bool{}
	var valueless string
	flags.Visit(func(f *flag.Flag) {
		s.given[f.Name] = true
		if strings.HasPrefix(f.Value.String(), "-") { // as in -database $UNSET -page ""
			valueless = f.Name
		}
	})
	if valueless != "" {
		return s, fmt.Errorf("-%s has no value: another flag follows", valueless)
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if s.parties = setting.List(*parties); len(s.parties) == 0 {
		s.parties = []string{fakeclerk.DefaultAuthorizedParty}
		if s.page != "" {
			s.parties = []string{s.pageOrigin()}
		}
	}
	s.secretKey, _ = setting.Env("CLERK_SECRET_KEY")
	s.jwtKey, _ = setting.Env("CLERK_JWT_KEY")
	s.apiURL, _ = setting.Env("CLERK_API_URL")
	s.webhookSecret, _ = setting.Env("CLERK_WEBHOOK_SIGNING_SECRET")
	return s, s.check()
}

// check returns an error that names the flag or the variable that is wrong.
func (s settings) check() error {
	for _, a := range []struct{ flag, address string }{{"-api", s.api}, {"-clerk", s.clerk}, {"-page", cmp.Or(s.page, ":80")}} {
		_, port, err := net.SplitHostPort(a.address)
		if number, _ := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
			return fmt.Errorf("%s %s: write host and port, such as 127.0.0.1:4000", a.flag, a.address)
		}
	}
	if _, err := clerkevent.NewReceiver(s.webhookSecret, nil, nil); err != nil {
		return fmt.Errorf("CLERK_WEBHOOK_SIGNING_SECRET: %w", err)
	}
	switch {
	case !slices.Contains([]string{"auto", "encore", "standalone", "none"}, s.backend):
		return fmt.Errorf("-backend %s: it is auto, encore, standalone or none", s.backend)
	case s.secretKey == "" && s.apiURL != "":
		return errors.New("CLERK_API_URL is set without CLERK_SECRET_KEY: set both, or neither for the fake Clerk")
	case s.secretKey == "" && s.jwtKey != "" && s.signingKey == "":
		return errors.New("CLERK_JWT_KEY is set without CLERK_SECRET_KEY: set both, or neither for the fake Clerk, which signs with another key")
	case s.secretKey == fakeclerk.DefaultSecretKey && s.apiURL == "":
		return errors.New("CLERK_SECRET_KEY is the fake Clerk's key: leave it unset, or set CLERK_API_URL to a fake Clerk that runs")
	case s.secretKey != "" && s.backend == "none":
		return errors.New("CLERK_SECRET_KEY turns the fake Clerk off, and -backend none the backend: nothing is left to run")
	case s.secretKey != "" && s.signingKey != "":
		return errors.New("-signing-key is for the fake Clerk, which CLERK_SECRET_KEY turns off")
	}
	for _, service := range s.services {
		if err := service.check(s); err != nil {
			return err
		}
	}
	return nil
}

// apiAddress is the address at which this machine reaches the backend.
func (s settings) apiAddress() string {
	host, port, _ := net.SplitHostPort(s.api)
	if everyInterface(host) {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// everyInterface reports whether a listener on the host is on every interface.
func everyInterface(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

// pageOrigin is the origin under which a browser opens the page.
func (s settings) pageOrigin() string {
	host, port, err := net.SplitHostPort(s.page)
	if err != nil {
		return ""
	}
	if everyInterface(host) {
		host = "localhost"
	}
	if port == "80" {
		return "http://" + strings.ToLower(host)
	}
	return "http://" + net.JoinHostPort(strings.ToLower(host), port)
}

// frontendAPI is where OAuth clients sign in: the fake Clerk, or the instance that
// issues the tokens.
func (s settings) frontendAPI() string {
	if s.instance != "" {
		return s.apiURL
	}
	return s.issuer
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
		s.webhookSecret, s.instance = fakeClerk.WebhookSigningSecret(), fakeClerk.InstanceID()
	}
	p, err := startPage(s, fakeClerk) // before what takes long: its port may be taken
	if err != nil {
		return err
	}
	defer p.stop()
	b, err := startBackend(ctx, s, out, logger.With("from", "api"))
	if err != nil && ctx.Err() != nil {
		return nil // stopped before it served
	}
	if err != nil {
		return err
	}
	defer b.stop()
	if err := b.ready(ctx); err != nil {
		return err
	}
	if ctx.Err() == nil {
		describe(out, s, b, p, fakeClerk)
	}
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
	line := func(name, format string, values ...any) {
		fmt.Fprintf(out, "  %-14s%s\n", name, fmt.Sprintf(format, values...))
	}
	fmt.Fprintln(out)
	if b.name != "" {
		line("Backend", "http://%s/user/profile  (%s)", s.apiAddress(), b.name)
		if beyondLoopback(s.api) {
			line("Warning", "other machines can reach -api %s: a development server without TLS, open to pages of every origin", s.api)
		}
	}
	if strings.HasPrefix(s.secretKey, "sk_live_") {
		line("Warning", "CLERK_SECRET_KEY is the key of a production instance: what this backend changes, it changes for real users")
	}
	for _, a := range b.added {
		line(a.name, "%s", a.note)
	}
	if b.dashboard != "" {
		line("Dashboard", "%s", b.dashboard)
	}
	if p.note != "" {
		line("Page", "%s", p.note)
	}
	if fakeClerk == nil {
		line("Clerk", "%s", cmp.Or(s.apiURL, "https://api.clerk.com"))
		fmt.Fprintln(out, "\nTry it with a session token of your Clerk instance (getToken() in your frontend):")
		fmt.Fprintf(out, "\n  curl -s -H \"Authorization: Bearer $TOKEN\" %s/user/profile\n\n", s.apiAddress())
		return
	}
	line("Clerk", "%s  (fake; CLERK_SECRET_KEY=%s)", fakeClerk.URL(), fakeClerk.SecretKey())
	line("Accounts", "ada@example.com, grace@example.com, user_noemail (no address), user_banned (refused)")
	line("Organization", "analytical: ada is its admin, grace a member; &org=analytical makes it the active one of a token")
	if b.name == "" {
		fmt.Fprintf(out, "\nA fresh session token:\n\n  curl -s '%s/token?email=ada@example.com'\n\n", s.clerk)
		return
	}
	fmt.Fprint(out, "\nTry it:\n\n")
	fmt.Fprintf(out, "  curl -s -H \"Authorization: Bearer $(curl -s '%s/token?email=ada@example.com')\" %s/user/profile\n\n", s.clerk, s.apiAddress())
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
