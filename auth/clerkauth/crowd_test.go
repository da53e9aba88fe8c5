package clerkauth_test

import (
	"context"
	"crypto/rsa"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"encore.app/auth/clerkauth"
	"encore.app/internal/fakeclerk"
)

const usersRoute = "GET /v1/users"

// whole reports whether the crowd is of its whole size, which takes minutes of
// signing: CROWD=whole go test -run Crowd ./auth/clerkauth
var whole = os.Getenv("CROWD") == "whole"

// crowd is a fake Clerk with the rate limit of a production instance, and an
// Authenticator by the real clock.
type crowd struct {
	clerk         *fakeclerk.Server
	authenticator *clerkauth.Authenticator
	about         about
}

func newCrowd(t testing.TB, configure ...func(*clerkauth.Options)) *crowd {
	t.Helper()
	clerk, err := fakeclerk.Start(fakeclerk.Options{
		SigningKey: shortKey(), SecretKey: "sk_live_fakeclerk", TokenLifetime: time.Hour,
		RateLimit: fakeclerk.RateLimit{Requests: 1000, Window: 10 * time.Second},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = clerk.Close() })
	c := &crowd{clerk: clerk}
	options := clerkauth.Options{SecretKey: clerk.SecretKey(), APIURL: c.about.proxy(t, clerk.URL())}
	for _, set := range configure {
		set(&options)
	}
	if c.authenticator, err = clerkauth.New(options); err != nil {
		t.Fatal(err)
	}
	return c
}

// shortKey signs fast.
var shortKey = sync.OnceValue(func() *rsa.PrivateKey { return newKey(1024) })

// tokens are tokens of n users of whom nothing is known yet.
func (c *crowd) tokens(t testing.TB, n int) []string {
	t.Helper()
	tokens := make([]string, n)
	var group sync.WaitGroup
	for part := range runtime.NumCPU() {
		group.Go(func() {
			for i := part; i < n; i += runtime.NumCPU() {
				user, err := c.clerk.AddUser(fakeclerk.User{})
				if err == nil {
					tokens[i], err = c.clerk.SessionToken(user.ID)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	return tokens
}

// arrive authenticates everybody at once, and returns how many were refused.
func (c *crowd) arrive(t testing.TB, tokens []string) int {
	t.Helper()
	var refused atomic.Int64
	var group sync.WaitGroup
	for _, token := range tokens {
		group.Go(func() {
			if _, err := c.authenticator.Authenticate(context.Background(), token); err != nil {
				if refused.Add(1) == 1 {
					t.Log("the first refusal: ", err)
				}
			}
		})
	}
	group.Wait()
	return int(refused.Load())
}

// about counts the calls to Clerk that are about one user.
type about struct {
	user  atomic.Pointer[string]
	calls atomic.Int64
}

// proxy returns the URL of a reverse proxy that counts.
func (a *about) proxy(t testing.TB, clerk string) string {
	target, err := url.Parse(clerk)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = &http.Transport{MaxIdleConnsPerHost: 64}
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user := a.user.Load(); user != nil && strings.Contains(r.URL.Path+"?"+r.URL.RawQuery, *user) {
			a.calls.Add(1)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func (a *about) watch(user string) {
	a.user.Store(&user)
	a.calls.Store(0)
}

func TestCrowdIsServed(t *testing.T) {
	sizes := []int{1000}
	if whole {
		sizes = []int{5000, 20_000}
	}
	for _, size := range sizes {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			c := newCrowd(t)
			tokens := c.tokens(t, size)
			c.clerk.SetLatency(80 * time.Millisecond)
			begin := time.Now()
			refused := c.arrive(t, tokens)
			calls := c.clerk.Requests(usersRoute) + c.clerk.Requests(userRoute)
			t.Logf("%d users, %d refused, %d calls, %d × 429, %v", size, refused, calls, c.clerk.RateLimited(), time.Since(begin).Round(time.Millisecond))
			if refused != 0 || c.clerk.RateLimited() != 0 {
				t.Errorf("%d refused, %d × 429, want none", refused, c.clerk.RateLimited())
			}
			if most := size/100 + 100; calls > most {
				t.Errorf("%d calls, want at most %d", calls, most)
			}
		})
	}
}
