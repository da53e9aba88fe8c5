//go:build !encore_local

// The test binary starts itself as a server, which Encore's test runtime prevents.

// Package bench compares this backend with the handler that Clerk's guides lead
// to, in one run:
//
//	go test -run '^$' -bench . -benchtime 7x ./test/bench
//
// The tests count calls to Clerk, which decides. Times depend on the machine and
// are printed only.
package bench

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
	"encore.app/internal/standalone"
	"encore.app/test/load"
)

// The one user of all measurements, and what a server answers about her.
const (
	userID  = "user_ada"
	email   = "ada@example.com"
	profile = `{"userId":"user_ada","email":"ada@example.com"}`

	connections = 32
	newTokens   = 2000 // in one round, of the server that sees each token once
)

// TestMain is also the main function of the servers. Each server is a process.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "serve" {
		fmt.Fprintln(os.Stderr, serve(os.Args[2]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// serve prints its address, and serves until the process is killed or its parent
// has ended.
func serve(name string) error {
	handler, err := map[string]func() (http.Handler, error){"standalone": standaloneHandler, "guide": guideHandler, "bare": bareHandler}[name]()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	return http.Serve(listener, handler)
}

func standaloneHandler() (http.Handler, error) {
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
}

func bareHandler() (http.Handler, error) {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, profile)
	}), nil
}

// server is one way to serve GET /user/profile.
type server struct {
	name     string
	address  string
	token    string   // "": a new one for each request
	perRound []result // of each round
}

type result struct{ perSecond, p50, p99 float64 }

// start starts a server, with the settings by the names that Clerk's SDKs read.
func start(t testing.TB, clerk *fakeclerk.Server, name string, jwtKey bool, program string, arguments ...string) *server {
	t.Helper()
	command := exec.Command(program, arguments...)
	command.Stderr = os.Stderr
	command.Env = append(os.Environ(), "CLERK_SECRET_KEY="+clerk.SecretKey(), "CLERK_API_URL="+clerk.URL(),
		"CLERK_AUTHORIZED_PARTIES="+fakeclerk.DefaultAuthorizedParty, "CLERK_ISSUER="+clerk.Issuer(), "CLERK_JWT_KEY=")
	if jwtKey {
		command.Env = append(command.Env, "CLERK_JWT_KEY="+clerk.PublicKeyPEM())
	}
	stdin, err := command.StdinPipe() // the server ends with it
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = command.Wait()
	})
	address, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return &server{name: name, address: strings.TrimSpace(address), token: sign(t, clerk, 1)[0]}
}

// sign signs distinct session tokens of the user.
func sign(t testing.TB, clerk *fakeclerk.Server, n int, options ...fakeclerk.TokenOption) []string {
	t.Helper()
	tokens := make([]string, n)
	var group errgroup.Group
	group.SetLimit(16)
	for i := range tokens {
		group.Go(func() (err error) {
			tokens[i], err = clerk.SessionToken(userID, options...)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	return tokens
}

// measure loads the server for a window, or as long as new tokens last.
func (s *server) measure(t testing.TB, clerk *fakeclerk.Server, requests int, lasting time.Duration) result {
	t.Helper()
	tokens := []string{s.token}
	if s.token == "" {
		requests = min(requests, newTokens)
		tokens = sign(t, clerk, requests)
	}
	seen, err := load.Closed{Address: s.address, Connections: connections, Requests: requests, Lasting: lasting, Tokens: tokens, Profile: profile}.Run()
	if err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
	return result{seen.PerSecond(), load.Quantile(seen.Took, 0.5).Seconds() * 1e3, load.Quantile(seen.Took, 0.99).Seconds() * 1e3}
}

// ours starts this backend four times: with one token of the user, with a new
// token for each request, with the email in the token, and also with Clerk's key.
func ours(t testing.TB, clerk *fakeclerk.Server) []*server {
	known := start(t, clerk, "ours", false, os.Args[0], "serve", "standalone")
	fresh := start(t, clerk, "ours, a new token each time", false, os.Args[0], "serve", "standalone")
	withEmail := start(t, clerk, "ours, email claim", false, os.Args[0], "serve", "standalone")
	withKey := start(t, clerk, "ours, email claim and JWTKey", true, os.Args[0], "serve", "standalone")
	fresh.token = ""
	withEmail.token = sign(t, clerk, 1, fakeclerk.Claim("email", email))[0]
	withKey.token = withEmail.token
	return []*server{known, fresh, withEmail, withKey}
}

func startClerk(t testing.TB, latency time.Duration) *fakeclerk.Server {
	clerk, err := fakeclerk.Start(fakeclerk.Options{TokenLifetime: time.Hour}) // longer than the run
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = clerk.Close() })
	clerk.SetLatency(latency)
	return clerk
}

// TestCalls counts the calls to Clerk during the first 1,000 requests of a process.
func TestCalls(t *testing.T) {
	clerk := startClerk(t, 0)
	for i, s := range ours(t, clerk) {
		most := [][2]int{{2, 2}, {2, 2}, {1, 0}, {0, 0}}[i] // calls, and those for the user
		clerk.ResetRequests()
		s.measure(t, clerk, 1000, time.Minute)
		calls, forUser := clerk.TotalRequests(), clerk.Requests("GET /v1/users/{id}")+clerk.Requests("GET /v1/users")
		if t.Logf("%s: %d calls, %d for the user", s.name, calls, forUser); calls > most[0] || forUser > most[1] {
			t.Errorf("at most %d calls, %d for the user", most[0], most[1])
		}
	}
}

// BenchmarkProfile lets each server serve in each round, so that a slow moment of
// the machine counts on both sides of a ratio.
func BenchmarkProfile(b *testing.B) {
	if _, err := os.Stat("node_modules/@clerk/backend"); err != nil {
		b.Skip("the guide's handler needs Node and npm --prefix test/bench ci")
	}
	for _, latency := range []time.Duration{0, 20 * time.Millisecond} {
		b.Run(fmt.Sprintf("Clerk answers in %v", latency), func(b *testing.B) {
			clerk := startClerk(b, latency)
			guide := start(b, clerk, "the guide's handler, Node", false, "node", "guide/server.mjs")
			bare := start(b, clerk, "net/http alone, the same bytes", false, os.Args[0], "serve", "bare")
			sdk := start(b, clerk, "clerk-sdk-go, middleware + user.Get", false, os.Args[0], "serve", "guide")
			servers := append([]*server{guide, bare, sdk}, ours(b, clerk)...)
			window := 1500 * time.Millisecond // of load on one server in one round
			if testing.Short() {
				window /= 5
			}
			for _, s := range servers {
				s.measure(b, clerk, math.MaxInt, window/5) // warms up
			}
			for b.Loop() {
				for _, s := range servers {
					s.perRound = append(s.perRound, s.measure(b, clerk, math.MaxInt, window))
				}
			}
			b.ReportMetric(0, "ns/op")
			for _, s := range servers {
				perSecond := func(r result) float64 { return r.perSecond }
				b.Logf("%-36s %7.0f/s %6.1f × the guide %5.2f × net/http, p50 %.2f ms, p99 %.2f ms", s.name, s.median(perSecond), s.ratio(guide), s.ratio(bare),
					s.median(func(r result) float64 { return r.p50 }), s.median(func(r result) float64 { return r.p99 }))
			}
			b.ReportMetric(servers[3].ratio(guide), "×guide")
			b.ReportMetric(servers[3].ratio(bare), "×net/http")
		})
	}
}

func (s *server) median(value func(result) float64) float64 {
	var values []float64
	for _, r := range s.perRound {
		values = append(values, value(r))
	}
	return load.Quantile(values, 0.5)
}

// ratio is the median of the rounds' own ratios of requests a second.
func (s *server) ratio(base *server) float64 {
	var ratios []float64
	for i, r := range s.perRound {
		ratios = append(ratios, r.perSecond/base.perRound[i].perSecond)
	}
	return load.Quantile(ratios, 0.5)
}
