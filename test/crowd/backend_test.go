package crowd

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clerk/clerk-sdk-go/v2/organizationmembership"
	"golang.org/x/sync/errgroup"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
	"encore.app/internal/standalone"
)

// secretKey is that of a production instance, whose limit clerkLimit is.
const secretKey = "sk_live_fakeclerk"

var clerkLimit = fakeclerk.RateLimit{Requests: 1000, Window: 10 * time.Second}

// user is one of the crowd. The profile is the only right answer to the token.
type user struct{ id, token, profile string }

// tokens are a crowd with its session tokens, signed before any scenario
// begins. All fake Clerks have the same key, so one crowd serves every scenario.
type tokens struct {
	key   *rsa.PrivateKey
	users []user
	admin user
}

func signTokens(t *testing.T, n int) *tokens {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	clerk := startClerk(t, key, fakeclerk.Options{}, n)
	all := &tokens{key: key, users: make([]user, n), admin: user{id: "user_ada"}}
	var group errgroup.Group
	group.SetLimit(16)
	for i := range n {
		group.Go(func() (err error) {
			u := user{id: userID(i), profile: fmt.Sprintf(`{"userId":%q,"email":%q}`, userID(i), email(i))}
			u.token, err = clerk.SessionToken(u.id)
			all.users[i] = u
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if all.admin.token, err = clerk.SessionToken("user_ada", fakeclerk.ActiveOrganization("org_analytical")); err != nil {
		t.Fatal(err)
	}
	return all
}

func userID(i int) string { return fmt.Sprintf("user_%05d", i) }
func email(i int) string  { return fmt.Sprintf("%05d@example.com", i) }

// startClerk starts a fake Clerk with the first n users of the crowd, a latency of
// 80 ms and Clerk's rate limit.
func startClerk(t *testing.T, key *rsa.PrivateKey, o fakeclerk.Options, n int) *fakeclerk.Server {
	o.SecretKey, o.SigningKey = secretKey, key
	o.TokenLifetime = time.Hour // longer than the run
	clerk, err := fakeclerk.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = clerk.Close() })
	clerk.SetRateLimit(clerkLimit)
	clerk.SetLatency(80 * time.Millisecond)
	for i := range n {
		if _, err := clerk.AddUser(fakeclerk.User{ID: userID(i), EmailAddresses: []fakeclerk.EmailAddress{{EmailAddress: email(i)}}}); err != nil {
			t.Fatal(err)
		}
	}
	return clerk
}

// settings are what a backend is started with.
type settings struct {
	apiURL    string
	share     float64 // of Clerk's limit; 0 is the default
	transport http.RoundTripper
}

// instance is a running backend.
type instance struct {
	url    string
	server *http.Server
}

// start serves the backend at a loopback address, and connects the client to it,
// so that a crowd finds the connections open.
func (s *scene) start(with settings) *instance {
	options := clerkauth.Options{
		SecretKey:         secretKey,
		APIURL:            s.clerk.URL(),
		AuthorizedParties: []string{fakeclerk.DefaultAuthorizedParty},
		RateLimitShare:    with.share,
		Observer:          &s.reasons,
		Now:               s.now,
	}
	if with.apiURL != "" {
		options.APIURL = with.apiURL
	}
	if with.transport != nil {
		options.HTTPClient = &http.Client{Transport: with.transport}
	}
	authenticator, err := clerkauth.New(options)
	if err != nil {
		s.Fatal(err)
	}
	handler, err := standalone.Handler(standalone.Options{Authenticator: authenticator})
	if err != nil {
		s.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", handler)
	mux.Handle("GET /organization/members", listMembers(authenticator))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.Fatal(err)
	}
	server := &http.Server{Handler: mux, Protocols: new(http.Protocols), HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 4096}}
	server.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = server.Serve(listener) }()
	s.Cleanup(func() { _ = server.Close() }) // every request is answered
	i := &instance{url: "http://" + listener.Addr().String(), server: server}
	for _, one := range s.client {
		if _, _, err := get(s.Context(), one, i.url+"/not-found", ""); err != nil {
			s.Fatal(err)
		}
	}
	return i
}

// stop lets the requests that are under way end.
func (i *instance) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	_ = i.server.Shutdown(ctx)
}

func (i *instance) always(int) string { return i.url }

// listMembers loads members from Clerk on the connection that sign-ins use, as an
// endpoint of an application may. The app's own list reads its database.
func listMembers(authenticator *clerkauth.Authenticator) http.Handler {
	memberships := &organizationmembership.Client{Backend: authenticator.Backend()}
	return authenticator.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, _ := clerkauth.FromContext(r.Context())
		offset, err := strconv.ParseInt(r.URL.Query().Get("offset"), 10, 64)
		if err == nil {
			params := &organizationmembership.ListParams{OrganizationID: caller.Organization.ID}
			params.Offset = &offset
			_, err = memberships.List(r.Context(), params)
		}
		if err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}), nil)
}

// callsFor counts the calls to Clerk that name a user, in their path or query.
type callsFor struct {
	userID string
	next   http.RoundTripper
	n      atomic.Int64
}

// RoundTrip implements [http.RoundTripper].
func (c *callsFor) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.Contains(r.URL.Path+"?"+r.URL.RawQuery, c.userID) {
		c.n.Add(1)
	}
	return c.next.RoundTrip(r)
}

// line is the way to Clerk over TLS and HTTP/2, through a TCP proxy that can
// lose what its connections carry.
type line struct {
	url   string       // of the proxy
	epoch atomic.Int64 // connections of an earlier one are silent
}

func newLine(t *testing.T, clerk string) *line {
	target, err := url.Parse(clerk)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(httputil.NewSingleHostReverseProxy(target))
	server.EnableHTTP2 = true
	server.StartTLS()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{url: "https://" + listener.Addr().String()}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed
			}
			behind, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				_ = conn.Close()
				continue
			}
			context.AfterFunc(t.Context(), func() {
				_ = conn.Close()
				_ = behind.Close()
			})
			epoch := l.epoch.Load()
			go l.forward(behind, conn, epoch)
			go l.forward(conn, behind, epoch)
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		server.CloseClientConnections()
		server.Close()
	})
	return l
}

// forward copies until one side ends. It reads and drops the bytes of a silent
// connection, and does not pass on its end.
func (l *line) forward(to, from net.Conn, epoch int64) {
	buffer := make([]byte, 16<<10)
	for {
		n, err := from.Read(buffer)
		if l.epoch.Load() == epoch {
			if _, failed := to.Write(buffer[:n]); failed != nil || err != nil {
				_ = to.Close()
			}
		}
		if err != nil {
			return
		}
	}
}

// silence makes the open connections lose everything from now on.
func (l *line) silence() { l.epoch.Add(1) }
