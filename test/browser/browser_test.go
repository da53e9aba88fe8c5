// Package browser drives the page of web/ in a real browser, with the fake Clerk
// and one of two backends: by default the standalone handler, in this process;
// with BACKEND=encore the app under encore run.
//
// It needs Node, Chromium (CHROMIUM names one that is not in the PATH), the built
// page and the suite's own packages: npm --prefix test/browser ci. Where one is
// missing the suite is skipped, or fails if REQUIRED=node.
package browser

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"encore.app/fakeclerk"
	"encore.app/internal/page"
)

const (
	// tokenLifetime is short, so that a session goes through many tokens. Clerk's
	// JavaScript renews a token 17 seconds before it expires, and a token that
	// lives for less than that when 5 seconds are left.
	tokenLifetime = 20 * time.Second
	built         = "../../web/dist"

	// hostedKey belongs to no instance. The suite answers for its host, which is
	// example.clerk.accounts.dev.
	hostedKey = "pk_test_ZXhhbXBsZS5jbGVyay5hY2NvdW50cy5kZXYk"
)

func TestPage(t *testing.T) {
	if os.Getenv("TESTS") != "whole" {
		t.Skip("TESTS=whole uses the page in a browser")
	}
	start(t, addresses{}, tokenLifetime).run(t, files(t, "*.test.mjs")...)
}

func files(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestClient fails if web/src/client.ts is not what Encore generates from the
// endpoints.
func TestClient(t *testing.T) {
	for _, program := range []string{"encore", "node"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("no %s in the PATH", program)
		}
	}
	said, err := exec.CommandContext(t.Context(), "node", "../../web/scripts/client.mjs", "--check").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
}

// TestScreenshots renews web/screenshots with TESTS=screenshots.
func TestScreenshots(t *testing.T) {
	if os.Getenv("TESTS") != "screenshots" {
		t.Skip("TESTS=screenshots renews web/screenshots")
	}
	// The addresses of cmd/dev, because the pictures show them.
	w := start(t, addresses{page: "127.0.0.1:3001", api: "127.0.0.1:4000"}, time.Minute)
	w.run(t, files(t, "*screenshots.mjs")...)
}

// world is the servers that the browser talks to.
type world struct {
	page, foreignPage, hostedPage, clerk, api, control string
}

// addresses are where to listen, free ports where they are empty.
type addresses struct{ page, api string }

// start starts the servers. It skips or fails the test if something that they
// need is missing.
func start(t *testing.T, at addresses, lifetime time.Duration) world {
	t.Helper()
	if missing := missing(); missing != "" {
		if strings.Contains(os.Getenv("REQUIRED"), "node") {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	clerk, err := fakeclerk.Start(fakeclerk.Options{TokenLifetime: lifetime})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = clerk.Close() })

	gate := newGate(t, cmp.Or(at.api, "127.0.0.1:0"))
	w := world{clerk: clerk.URL(), api: localhost(t, gate.address)}
	handler := page.Handler(built, func() page.Config { return page.ForFakeClerk(clerk, w.api) })
	w.page = serve(t, cmp.Or(at.page, "127.0.0.1:0"), handler)
	w.foreignPage = serve(t, "127.0.0.1:0", handler)
	clerk.SetPageOrigins(w.page, w.foreignPage) // they read sign-in tickets
	w.hostedPage = serve(t, "127.0.0.1:0", page.Handler(built, func() page.Config {
		return page.Config{PublishableKey: hostedKey, APIURL: w.api}
	}))
	w.control = serve(t, "127.0.0.1:0", gate.control())
	gate.leadTo(startBackend(t, clerk, []string{w.page, w.hostedPage}))
	return w
}

// missing names what the suite lacks, "" if nothing.
func missing() string {
	if _, err := exec.LookPath("node"); err != nil {
		return "no node in the PATH"
	}
	if chromium() == "" {
		return "no chromium in the PATH (Debian: apt-get install chromium), and CHROMIUM is not set"
	}
	if !page.Built(built) {
		return "the page is not built: " + page.Build
	}
	if page.Outdated(built) {
		return "the page is older than web/src: " + page.Build
	}
	if _, err := os.Stat("node_modules/playwright-core"); err != nil {
		return "no Playwright: npm --prefix test/browser ci"
	}
	return ""
}

func chromium() string {
	if program := os.Getenv("CHROMIUM"); program != "" {
		return program
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if program, err := exec.LookPath(name); err == nil {
			return program
		}
	}
	return ""
}

// serve serves at a loopback address.
func serve(t *testing.T, address string, handler http.Handler) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	return localhost(t, listener.Addr().String())
}

// localhost is the URL of a server by that name. A page needs the same name
// throughout, because its origin is the azp claim of its tokens.
func localhost(t *testing.T, address string) (url string) {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return "http://localhost:" + port
}

// run runs node --test with files of the suite, after flags if there are any,
// and returns what it prints.
func (w world) run(t *testing.T, files ...string) {
	t.Helper()
	ctx := t.Context()
	if deadline, ok := t.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-30*time.Second)) // time to say what ran
		defer cancel()
	}
	arguments := append([]string{"--test", "--test-concurrency=1", "--test-reporter=spec"}, files...)
	command := exec.CommandContext(ctx, "node", arguments...)
	command.Env = append(os.Environ(),
		"PAGE_URL="+w.page, "FOREIGN_PAGE_URL="+w.foreignPage, "HOSTED_PAGE_URL="+w.hostedPage,
		"CLERK_URL="+w.clerk, "API_URL="+w.api, "CONTROL_URL="+w.control, "CHROMIUM="+chromium(),
	)
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 10 * time.Second
	output, err := command.CombinedOutput()
	t.Logf("%s", output)
	if err != nil {
		t.Fatal(errors.Join(ctx.Err(), err))
	}
}
