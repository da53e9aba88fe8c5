package clerkauth_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clerksdk "github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/organization"
	"github.com/clerk/clerk-sdk-go/v2/user"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
)

// wire is a TCP proxy that can go silent: its connections stay open, and
// nothing comes through any more. New connections do.
type wire struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	lines []*atomic.Bool // one for each connection: it is silent
	conns []net.Conn
}

func newWire(t *testing.T, target string) *wire {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{listener: listener, target: target}
	t.Cleanup(func() {
		_ = listener.Close()
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, conn := range w.conns {
			_ = conn.Close()
		}
	})
	go w.serve()
	return w
}

func (w *wire) serve() {
	for {
		client, err := w.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", w.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		silent := new(atomic.Bool)
		w.mu.Lock()
		w.lines, w.conns = append(w.lines, silent), append(w.conns, client, server)
		w.mu.Unlock()
		go forward(server, client, silent)
		go forward(client, server, silent)
	}
}

func forward(to, from net.Conn, silent *atomic.Bool) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if silent.Load() {
			if err != nil {
				return
			}
			continue // read, so that the sender notices nothing
		}
		if err == nil {
			_, err = to.Write(buffer[:n])
		}
		if err != nil {
			_, _ = to.Close(), from.Close()
			return
		}
	}
}

func (w *wire) silence() (connections int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, silent := range w.lines {
		silent.Store(true)
	}
	return len(w.lines)
}

// TestSilentConnection: the connection to Clerk dies without a word, with every
// call on it. A new one takes its place within seconds.
func TestSilentConnection(t *testing.T) {
	t.Parallel()
	clerk, err := fakeclerk.Start(fakeclerk.Options{SigningKey: shortKey()})
	if err != nil {
		t.Fatal(err)
	}
	defer clerk.Close()
	target, err := url.Parse(clerk.URL())
	if err != nil {
		t.Fatal(err)
	}
	var version atomic.Int64
	proxy := httputil.NewSingleHostReverseProxy(target)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		version.Store(int64(r.ProtoMajor))
		proxy.ServeHTTP(w, r)
	}))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	w := newWire(t, server.Listener.Addr().String())

	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: x509.NewCertPool()}
	transport.TLSClientConfig.RootCAs.AddCert(server.Certificate())
	defer transport.CloseIdleConnections()
	authenticator, err := clerkauth.New(clerkauth.Options{
		SecretKey: clerk.SecretKey(), APIURL: "https://" + w.listener.Addr().String(),
		HTTPClient: &http.Client{Transport: transport},
	})
	if err != nil {
		t.Fatal(err)
	}
	signIn := func() error {
		user, err := clerk.AddUser(fakeclerk.User{})
		if err != nil {
			t.Fatal(err)
		}
		token, err := clerk.SessionToken(user.ID)
		if err != nil {
			t.Fatal(err)
		}
		_, err = authenticator.Authenticate(context.Background(), token)
		return err
	}
	if err := signIn(); err != nil {
		t.Fatal(err)
	}
	if version.Load() != 2 {
		t.Fatalf("HTTP/%d, want HTTP/2", version.Load())
	}
	if n := w.silence(); n != 1 {
		t.Errorf("%d connections, want 1 for all calls", n)
	}
	begin := time.Now()
	eventually(t, "new users are served over a new connection", func() bool { return signIn() == nil })
	t.Logf("after %v", time.Since(begin).Round(time.Millisecond))
}

// roundTrip is an [http.RoundTripper].
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestPanicInTheBackground is an error for those who wait, and no more.
func TestPanicInTheBackground(t *testing.T) {
	var panics atomic.Bool
	f := newFixture(t, func(o *clerkauth.Options) {
		o.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			if panics.Load() {
				panic("sk_test_secret and other things that nobody should see")
			}
			return http.DefaultTransport.RoundTrip(r)
		})}
	})
	panics.Store(true)
	_, err := f.authenticate(t, "user_ada") // fetches the keys
	wantError(t, err, clerkauth.Unavailable, clerkauth.ReasonPanic)
	if !strings.Contains(err.Error(), "TestPanicInTheBackground") {
		t.Errorf("does not tell where: %v", err)
	}
	panics.Store(false)
	f.clock.Advance(time.Second)
	if _, err := f.authenticate(t, "user_ada"); err != nil {
		t.Fatal(err)
	}
	panics.Store(true)
	_, err = f.authenticate(t, "user_grace") // loads a user
	wantError(t, err, clerkauth.Unavailable, clerkauth.ReasonPanic)
	panics.Store(false)
	f.clock.Advance(time.Second)
	if _, err := f.authenticate(t, "user_grace"); err != nil {
		t.Errorf("after the panic: %v", err)
	}
}

func TestClientWithoutTransport(t *testing.T) {
	f := newFixture(t, func(o *clerkauth.Options) { o.HTTPClient = new(http.Client) })
	if _, err := f.authenticate(t, "user_ada"); err != nil {
		t.Error(err)
	}
}

// TestBackendErrors is the table of what a call of the application gets, and of
// what that means for sign-ins: nothing.
func TestBackendErrors(t *testing.T) {
	const route = "GET /v1/organizations/{id}"
	clerkBody := func(code string) string { return `{"errors":[{"code":"` + code + `","message":"m"}]}` }
	for _, test := range []struct {
		name   string
		fault  fakeclerk.Fault
		reason clerkauth.Reason // of an *Error
		code   string           // of an *APIError
	}{
		{"not found", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 404}, "", "resource_not_found"},
		{"a 403 about the thing asked for", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 403, Body: clerkBody("authorization_invalid")}, "", "authorization_invalid"},
		{"a 401 about something else", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 401, Body: clerkBody("machine_secret_missing")}, "", "machine_secret_missing"},
		{"a code that is no word", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 422, Body: clerkBody("ada@example.com")}, "", ""},
		{"a 401 of Clerk's about the key", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 401}, clerkauth.ReasonSecretKeyRefused, ""},
		{"a 401 of somebody else", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 401, Body: "no"}, clerkauth.ReasonSecretKeyRefused, ""},
		{"a 403 of somebody else", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 403, Body: "no"}, clerkauth.ReasonInvalidResponse, ""},
		{"a 404 of somebody else", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 404, Body: "no"}, clerkauth.ReasonInvalidResponse, ""},
		{"429", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 429, RetryAfter: time.Minute}, clerkauth.ReasonRateLimited, ""},
		{"500", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 500}, clerkauth.ReasonInvalidResponse, ""},
		{"reset", fakeclerk.Fault{Kind: fakeclerk.FaultReset}, clerkauth.ReasonUnreachable, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			organizations := organization.Client{Backend: f.authenticator.Backend()}
			get := func(id string) error {
				_, err := organizations.Get(t.Context(), id)
				return err
			}
			f.clerk.SetFault(route, test.fault)
			err := get("org_analytical")
			var refused *clerkauth.APIError
			switch {
			case test.reason == "":
				if !errors.As(err, &refused) || refused.Code != test.code {
					t.Fatalf("got %v, want an APIError with the code %q", err, test.code)
				}
				if errors.Is(err, clerkauth.ErrNotFound) != (test.code == "resource_not_found") {
					t.Errorf("ErrNotFound: %v", err)
				}
			case clerkauth.AsError(err).Reason != test.reason:
				t.Fatalf("got %v, want %s", err, test.reason)
			}
			if strings.Contains(err.Error(), "@") || strings.Contains(err.Error(), "http") {
				t.Errorf("the error tells too much: %v", err)
			}
			if _, err := f.authenticate(t, "user_ada"); err != nil {
				t.Errorf("a sign-in meanwhile: %v", err)
			}
			f.clerk.ClearFaults()
			if err := get("org_other"); test.reason != clerkauth.ReasonRateLimited && !errors.Is(err, clerkauth.ErrNotFound) {
				t.Errorf("something else meanwhile: %v", err)
			}
			f.clock.Advance(time.Minute)
			if err := get("org_analytical"); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

func TestBackendCallEndsWithItsContext(t *testing.T) {
	f := newFixture(t)
	f.clerk.SetFault("GET /v1/users/count", fakeclerk.Fault{Kind: fakeclerk.FaultHang})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	users := user.Client{Backend: f.authenticator.Backend()}
	go func() {
		_, err := users.Count(ctx, &user.ListParams{})
		done <- err
	}()
	eventually(t, "the call is out", func() bool { return f.clerk.Requests("GET /v1/users/count") == 1 })
	cancel()
	wantError(t, <-done, clerkauth.Canceled, clerkauth.ReasonCanceled)
	f.clerk.ClearFaults()
	if _, err := users.Count(t.Context(), &user.ListParams{ListParams: clerksdk.ListParams{}}); err != nil {
		t.Errorf("the next: %v", err)
	}
}

// TestRetryAfterIsBounded: five minutes for a 429, fifteen seconds for another
// answer.
func TestRetryAfterIsBounded(t *testing.T) {
	for status, wait := range map[int]time.Duration{429: 5 * time.Minute, 401: 15 * time.Second} {
		f := newFixture(t)
		if _, err := f.authenticate(t, "user_ada"); err != nil {
			t.Fatal(err)
		}
		f.clerk.SetFault(userRoute, fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: status, RetryAfter: time.Hour})
		if _, err := f.authenticate(t, f.newUser(t)); err == nil {
			t.Fatal("served")
		}
		f.clerk.ClearFaults()
		f.clock.Advance(wait - time.Millisecond)
		if _, err := f.authenticate(t, f.newUser(t)); err == nil {
			t.Errorf("%d: asked before %v have passed", status, wait)
		}
		f.clock.Advance(time.Millisecond)
		if _, err := f.authenticate(t, f.newUser(t)); err != nil {
			t.Errorf("%d: after %v: %v", status, wait, err)
		}
	}
}
