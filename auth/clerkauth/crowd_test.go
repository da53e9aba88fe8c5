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
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/organizationmembership"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
)

const usersRoute = "GET /v1/users"

// needsWhole skips a test of many users or many tokens.
func needsWhole(t *testing.T) {
	t.Helper()
	if os.Getenv("TESTS") != "whole" {
		t.Skip("TESTS=whole has crowds arrive, caches fill and calls to Clerk hang")
	}
}

// crowd is a fake Clerk with the rate limit of a production instance, and an
// Authenticator by the real clock.
type crowd struct {
	clerk         *fakeclerk.Server
	authenticator *clerkauth.Authenticator
	about         about
}

func newCrowd(t testing.TB, configure ...func(*clerkauth.Options)) *crowd {
	t.Helper()
	clerk, err := fakeclerk.Start(fakeclerk.Options{SigningKey: shortKey(), SecretKey: "sk_live_fakeclerk", TokenLifetime: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	clerk.SetRateLimit(fakeclerk.RateLimit{Requests: 1000, Window: 10 * time.Second})
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

// tokens are tokens of n users who are not cached yet.
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

// TestCrowdIsServed: 1,000 users arrive at once. test/crowd has 20,000 of them.
func TestCrowdIsServed(t *testing.T) {
	const size = 1000
	c := newCrowd(t)
	tokens := c.tokens(t, size)
	c.clerk.SetLatency(80 * time.Millisecond)
	refused := c.arrive(t, tokens)
	if refused != 0 || c.clerk.RateLimited() != 0 {
		t.Errorf("%d refused, %d × 429, want none", refused, c.clerk.RateLimited())
	}
	const most = size/100 + 100
	if calls := c.clerk.Requests(usersRoute) + c.clerk.Requests(userRoute); calls > most {
		t.Errorf("%d calls, want at most %d", calls, most)
	}
}

// TestCrowdBesideOneUsersTrouble: a user whose record Clerk cannot serve keeps
// asking, 100 times a second for 8 seconds, while 160 others sign in.
func TestCrowdBesideOneUsersTrouble(t *testing.T) {
	needsWhole(t)
	for _, test := range []struct {
		name  string
		fault fakeclerk.Fault
	}{
		{"500", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 500}},
		{"502", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 502}},
		{"422", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 422}},
		{"403", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 403}},
		{"an answer that breaks off", fakeclerk.Fault{Kind: fakeclerk.FaultTruncated}},
		{"a connection that is reset", fakeclerk.Fault{Kind: fakeclerk.FaultReset}},
		{"half of the JSON", fakeclerk.Fault{Kind: fakeclerk.FaultCutJSON}},
		{"a record that is something else", fakeclerk.Fault{Kind: fakeclerk.FaultWrongJSON}},
		{"a record with an odd field", fakeclerk.Fault{Kind: fakeclerk.FaultWrongJSON, Body: `{"id":"ID","banned":"no"}`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			c := newCrowd(t, func(o *clerkauth.Options) { o.Now, o.RateLimitShare = clock.Now, 100 })
			tokens := c.tokens(t, 160)
			if c.arrive(t, tokens[:1]) != 0 {
				t.Fatal("refused before the fault")
			}
			odd, err := c.clerk.AddUser(fakeclerk.User{})
			if err != nil {
				t.Fatal(err)
			}
			oddToken, err := c.clerk.SessionToken(odd.ID)
			if err != nil {
				t.Fatal(err)
			}
			test.fault.Body = strings.ReplaceAll(test.fault.Body, "ID", odd.ID)
			c.clerk.SetUserFault(odd.ID, test.fault)
			c.clerk.SetLatency(5 * time.Millisecond)
			c.about.watch(odd.ID)

			refused := 0
			for second := range 8 {
				for step := range 100 {
					arriving := []string{oddToken}
					if step%10 == 0 { // two others with each tenth
						first := (second*10 + step/10) * 2
						arriving = append(arriving, tokens[first:first+2]...)
					}
					refused += c.arriveQuietly(arriving) - 1
					clock.Advance(10 * time.Millisecond)
				}
			}
			if refused != 0 {
				t.Errorf("%d of 160 others were refused", refused)
			}
			_, err = c.authenticator.Authenticate(t.Context(), oddToken)
			if err == nil || clerkauth.AsError(err).Kind != clerkauth.Unavailable {
				t.Errorf("the odd user: %v", err)
			}
			if n := c.about.calls.Load(); n > 20 {
				t.Errorf("%d calls for the odd user, want at most 20", n)
			}
			c.clerk.ClearFaults()
			clock.Advance(30 * time.Second)
			if _, err := c.authenticator.Authenticate(t.Context(), oddToken); err != nil {
				t.Errorf("once the record is in order: %v", err)
			}
		})
	}
}

func (c *crowd) arriveQuietly(tokens []string) int {
	var refused atomic.Int64
	var group sync.WaitGroup
	for _, token := range tokens {
		group.Go(func() {
			if _, err := c.authenticator.Authenticate(context.Background(), token); err != nil {
				refused.Add(1)
			}
		})
	}
	group.Wait()
	return int(refused.Load())
}

// TestCrowdWithOddRecords: a crowd with some odd users in it arrives at once.
func TestCrowdWithOddRecords(t *testing.T) {
	needsWhole(t)
	t.Parallel()
	for _, odd := range []int{1, 3} {
		t.Run(fmt.Sprint(odd), func(t *testing.T) {
			clock := newClock()
			c := newCrowd(t, func(o *clerkauth.Options) { o.Now, o.RateLimitShare = clock.Now, 100 })
			tokens := c.tokens(t, 400)
			if c.arrive(t, tokens[:1]) != 0 {
				t.Fatal("refused before the fault")
			}
			for i := range odd {
				user, err := c.clerk.AddUser(fakeclerk.User{ID: fmt.Sprintf("user_odd%d", i)})
				if err != nil {
					t.Fatal(err)
				}
				token, err := c.clerk.SessionToken(user.ID)
				if err != nil {
					t.Fatal(err)
				}
				c.clerk.SetUserFault(user.ID, fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 500})
				// Late enough to find all calls in use.
				tokens = append(tokens[:100+i], append([]string{token}, tokens[100+i:]...)...)
			}
			c.clerk.SetLatency(20 * time.Millisecond)
			c.about.watch("user_odd0")
			if refused := c.arrive(t, tokens); refused != odd {
				t.Errorf("%d were refused, want the %d odd ones", refused, odd)
			}
			if n := c.about.calls.Load(); n > 20 {
				t.Errorf("%d calls for an odd user, want at most 20", n)
			}
		})
	}
}

// TestCrowdBesideRefreshes: everybody's record is stale at once, and
// new users arrive among them.
func TestCrowdBesideRefreshes(t *testing.T) {
	needsWhole(t)
	t.Parallel()
	offset := new(atomic.Int64)
	c := newCrowd(t, func(o *clerkauth.Options) {
		o.Now = func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
	})
	known, strangers := c.tokens(t, 1500), c.tokens(t, 60)
	for some := range slices.Chunk(known, 100) {
		if refused := c.arrive(t, some); refused != 0 {
			t.Fatalf("%d refused", refused)
		}
	}
	offset.Store(int64(time.Minute))
	c.clerk.SetRateLimit(fakeclerk.RateLimit{Requests: 1000, Window: 10 * time.Second})
	c.clerk.ResetRequests()
	c.clerk.SetLatency(20 * time.Millisecond)
	refused := 0
	for i := range 20 {
		refused += c.arrive(t, known[i*75:(i+1)*75])
		refused += c.arrive(t, strangers[i*3:(i+1)*3])
	}
	if refused != 0 || c.clerk.RateLimited() != 0 {
		t.Errorf("%d refused, %d × 429", refused, c.clerk.RateLimited())
	}
	eventually(t, "nothing is on its way", func() bool { return c.clerk.Requests(usersRoute) > 0 })
	if calls := c.clerk.Requests(usersRoute) + c.clerk.Requests(userRoute); calls > 60+1500/20 {
		t.Errorf("%d calls for 60 new users and 1500 refreshes", calls)
	}
}

// TestCrowdWhileClerkHangs: all are answered once five calls have hung for as long
// as a call may, and Clerk is not asked for each.
func TestCrowdWhileClerkHangs(t *testing.T) {
	needsWhole(t)
	t.Parallel()
	c := newCrowd(t)
	tokens := c.tokens(t, 300)
	if c.arrive(t, tokens[:1]) != 0 {
		t.Fatal("refused before the fault")
	}
	c.clerk.ResetRequests()
	c.clerk.SetFault(usersRoute, fakeclerk.Fault{Kind: fakeclerk.FaultHang})
	c.clerk.SetFault(userRoute, fakeclerk.Fault{Kind: fakeclerk.FaultHang})
	if refused := c.arrive(t, tokens[1:]); refused != 299 {
		t.Errorf("%d refused, want 299", refused)
	}
	// 16 batches and 8 single calls at once, and one in the place of each of the four
	// that fail before the circuit opens.
	if calls := c.clerk.Requests(usersRoute) + c.clerk.Requests(userRoute); calls > 16+8+4 {
		t.Errorf("%d calls, want 28 at most", calls)
	}
	c.clerk.ClearFaults()
	eventually(t, "everybody is served", func() bool { return c.arriveQuietly(tokens) == 0 })
}

// TestCrowdBesideARecordThatHangs is soon alone, and costs the others nothing from
// then on.
func TestCrowdBesideARecordThatHangs(t *testing.T) {
	needsWhole(t)
	t.Parallel()
	c := newCrowd(t)
	tokens := c.tokens(t, 60)
	if c.arrive(t, tokens[:1]) != 0 {
		t.Fatal("refused before the fault")
	}
	odd, err := c.clerk.AddUser(fakeclerk.User{})
	if err != nil {
		t.Fatal(err)
	}
	oddToken, err := c.clerk.SessionToken(odd.ID)
	if err != nil {
		t.Fatal(err)
	}
	c.clerk.SetUserFault(odd.ID, fakeclerk.Fault{Kind: fakeclerk.FaultHang})
	c.clerk.SetLatency(20 * time.Millisecond)
	all := append(append([]string{}, tokens[:30]...), append([]string{oddToken}, tokens[30:]...)...)
	eventually(t, "all but the odd one are served", func() bool { return c.arriveQuietly(all) == 1 })
	if refused := c.arrive(t, c.tokens(t, 60)); refused != 0 {
		t.Errorf("%d new users are refused", refused)
	}
}

// TestCrowdBesideOtherCalls: somebody asks for 1,500 pages of an
// organization's members in no time.
func TestCrowdBesideOtherCalls(t *testing.T) {
	needsWhole(t)
	t.Parallel()
	c := newCrowd(t)
	strangers := c.tokens(t, 200)
	var flood sync.WaitGroup
	var served, limited atomic.Int64
	members := organizationmembership.Client{Backend: c.authenticator.Backend()}
	for i := range 1500 {
		flood.Go(func() {
			_, err := members.List(context.Background(), &organizationmembership.ListParams{
				ListParams:     clerk.ListParams{Offset: clerk.Int64(int64(i))},
				OrganizationID: "org_analytical",
			})
			switch {
			case err == nil:
				served.Add(1)
			case clerkauth.AsError(err).Reason == clerkauth.ReasonRateLimitShare:
				limited.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	refused := c.arrive(t, strangers)
	flood.Wait()
	if refused != 0 || c.clerk.RateLimited() != 0 {
		t.Errorf("%d of 200 new users refused, %d × 429", refused, c.clerk.RateLimited())
	}
	if served.Load() == 0 || limited.Load() == 0 {
		t.Errorf("%d pages served and %d refused, want some of both", served.Load(), limited.Load())
	}
}
