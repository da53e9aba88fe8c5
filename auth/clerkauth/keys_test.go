package clerkauth_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
)

const (
	jwksRoute = "GET /v1/jwks"
	userRoute = "GET /v1/users/{id}"
)

func TestKeysAreFetchedOnce(t *testing.T) {
	f := newFixture(t)
	tokens := make([]string, 50)
	for i := range tokens {
		tokens[i] = f.token(t, "user_ada")
	}
	var group sync.WaitGroup
	for _, token := range tokens {
		group.Go(func() {
			if _, err := f.authenticator.Authenticate(context.Background(), token); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if keys, users := f.clerk.Requests(jwksRoute), f.clerk.Requests(userRoute); keys != 1 || users != 1 {
		t.Errorf("%d key fetches and %d user loads, want 1 and 1", keys, users)
	}
}

func TestKeysAreRefreshedAhead(t *testing.T) {
	f := newFixture(t)
	if _, err := f.authenticate(t, "user_ada"); err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(4*time.Minute - time.Second)
	if _, err := f.authenticate(t, "user_ada"); err != nil || f.clerk.Requests(jwksRoute) != 1 {
		t.Fatalf("%v after %d fetches, want 1 fetch", err, f.clerk.Requests(jwksRoute))
	}
	f.clerk.SetFault(jwksRoute, fakeclerk.Fault{Kind: fakeclerk.FaultHang}) // no waiting request gets an answer
	f.clock.Advance(time.Second)
	if _, err := f.authenticate(t, "user_ada"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a second fetch", func() bool { return f.clerk.Requests(jwksRoute) == 2 })
}

func TestKeysThatAreTooOldAreNotUsed(t *testing.T) {
	f := newFixture(t)
	old := fakeclerk.Claim("exp", f.clock.Now().Add(time.Hour).Unix())
	token := f.token(t, "user_ada", old)
	if _, err := f.authenticator.Authenticate(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	f.clerk.RotateKey("ins_new")
	f.clerk.RemoveKey("ins_fakeclerk")
	f.clock.Advance(5 * time.Minute) // no request in between
	_, err := f.authenticator.Authenticate(t.Context(), token)
	wantError(t, err, clerkauth.Unauthenticated, clerkauth.ReasonUnknownKey)
	if _, err := f.authenticate(t, "user_ada"); err != nil {
		t.Errorf("a token of the new key: %v", err)
	}
}

func TestKeyReplacedUnderItsID(t *testing.T) {
	f := newFixture(t)
	token := f.token(t, "user_ada", fakeclerk.Claim("exp", f.clock.Now().Add(time.Hour).Unix()))
	if _, err := f.authenticator.Authenticate(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	f.clerk.RotateKey("ins_fakeclerk")
	f.clock.Advance(5 * time.Minute)
	_, err := f.authenticator.Authenticate(t.Context(), token)
	wantError(t, err, clerkauth.Unauthenticated, clerkauth.ReasonInvalidSignature)
}

func TestUnknownKeyIDs(t *testing.T) {
	f := newFixture(t)
	if _, err := f.authenticate(t, "user_ada"); err != nil {
		t.Fatal(err)
	}
	forged := func(i int) error {
		_, err := f.authenticate(t, "user_ada", fakeclerk.Header("kid", fmt.Sprintf("ins_%d", i)))
		return err
	}
	for i := range 100 {
		wantError(t, forged(i), clerkauth.Unauthenticated, clerkauth.ReasonUnknownKey)
	}
	if n := f.clerk.Requests(jwksRoute); n != 1 {
		t.Errorf("%d fetches, want the first alone", n)
	}
	f.clerk.RotateKey("ins_new")
	_, err := f.authenticate(t, "user_ada")
	wantError(t, err, clerkauth.Unauthenticated, clerkauth.ReasonUnknownKey)
	f.clock.Advance(3 * time.Second)
	if _, err := f.authenticate(t, "user_ada"); err != nil {
		t.Errorf("a new key 3 seconds after the last fetch: %v", err)
	}
	for i := range 100 {
		wantError(t, forged(i), clerkauth.Unauthenticated, clerkauth.ReasonUnknownKey)
	}
	if n := f.clerk.Requests(jwksRoute); n != 2 {
		t.Errorf("%d fetches, want 2", n)
	}
}

func TestUnknownKeyWhileClerkIsDown(t *testing.T) {
	f := newFixture(t)
	if _, err := f.authenticate(t, "user_ada"); err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(3 * time.Second)
	f.clerk.SetFault(jwksRoute, fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 500})
	f.clerk.RotateKey("ins_new")
	for range 3 {
		_, err := f.authenticate(t, "user_ada")
		wantError(t, err, clerkauth.Unavailable, clerkauth.ReasonInvalidResponse)
	}
}

// TestKeyFaults is the table of what becomes of callers while only the keys
// cannot be had, by the state of the cached keys.
func TestKeyFaults(t *testing.T) {
	for _, test := range []struct {
		name  string
		fault fakeclerk.Fault
		kind  clerkauth.Kind
	}{
		{"reset", fakeclerk.Fault{Kind: fakeclerk.FaultReset}, clerkauth.Unavailable},
		{"401", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 401}, clerkauth.Misconfigured},
		{"404", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 404}, clerkauth.Misconfigured},
		{"422", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 422}, clerkauth.Misconfigured},
		{"429", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 429, RetryAfter: 2 * time.Second}, clerkauth.Unavailable},
		{"500", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 500}, clerkauth.Unavailable},
		{"502", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 502}, clerkauth.Unavailable},
		{"truncated", fakeclerk.Fault{Kind: fakeclerk.FaultTruncated}, clerkauth.Unavailable},
		{"cut JSON", fakeclerk.Fault{Kind: fakeclerk.FaultCutJSON}, clerkauth.Unavailable},
		{"wrong JSON", fakeclerk.Fault{Kind: fakeclerk.FaultWrongJSON}, clerkauth.Unavailable},
		{"no keys", fakeclerk.Fault{Kind: fakeclerk.FaultWrongJSON, Body: `{"keys":[]}`}, clerkauth.Unavailable},
		{"null keys", fakeclerk.Fault{Kind: fakeclerk.FaultWrongJSON, Body: `{"keys":[null]}`}, clerkauth.Unavailable},
		{"symmetric keys", fakeclerk.Fault{Kind: fakeclerk.FaultWrongJSON, Body: `{"keys":[{"kty":"oct","kid":"ins_fakeclerk","alg":"HS256","k":"AAAA"}]}`}, clerkauth.Unavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			f.clerk.SetFault(jwksRoute, test.fault)
			failing := func(state string) {
				t.Helper()
				_, err := f.authenticate(t, "user_ada")
				if e := clerkauth.AsError(err); err == nil || e.Kind != test.kind {
					t.Errorf("%s: got %v, want kind %d", state, err, test.kind)
				}
			}
			serving := func(state string) {
				t.Helper()
				if _, err := f.authenticate(t, "user_ada"); err != nil {
					t.Errorf("%s: %v", state, err)
				}
			}
			failing("nothing known")
			f.clerk.ClearFaults()
			f.clock.Advance(15 * time.Second)
			serving("after the back-off")

			f.clerk.SetFault(jwksRoute, test.fault)
			f.clock.Advance(time.Minute)
			serving("fresh")
			f.clock.Advance(10 * time.Minute)
			serving("stale")
			f.clock.Advance(45 * time.Minute)
			serving("almost an hour stale")
			f.clock.Advance(15 * time.Minute)
			failing("expired")

			f.clerk.ClearFaults()
			f.clock.Advance(15 * time.Second)
			serving("after it all")
		})
	}
}

func TestNetworkless(t *testing.T) {
	var f *fixture
	f = newFixture(t)
	pem := f.clerk.PublicKeyPEM()
	f = newFixture(t, func(o *clerkauth.Options) { o.JWTKey = pem })
	if _, err := f.authenticate(t, "user_ada", fakeclerk.Claim("email", "ada@example.com")); err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(24 * time.Hour)
	if _, err := f.authenticate(t, "user_ada", fakeclerk.Claim("email", "ada@example.com")); err != nil {
		t.Fatal(err)
	}
	_, err := f.authenticate(t, "user_ada", fakeclerk.SignedBy(newKey(2048)))
	wantError(t, err, clerkauth.Unauthenticated, clerkauth.ReasonInvalidSignature)
	if n := f.clerk.TotalRequests(); n != 0 {
		t.Errorf("%d calls to Clerk, want none", n)
	}
}

func TestWaitersAreCanceledAlone(t *testing.T) {
	f := newFixture(t)
	f.clerk.SetFault(jwksRoute, fakeclerk.Fault{Kind: fakeclerk.FaultLatency, Latency: 300 * time.Millisecond, Count: 1})
	token := f.token(t, "user_ada")
	impatient, cancel := context.WithCancel(context.Background())
	canceled := make(chan error, 1)
	go func() {
		_, err := f.authenticator.Authenticate(impatient, token)
		canceled <- err
	}()
	eventually(t, "the fetch is under way", func() bool { return f.clerk.Requests(jwksRoute) == 1 })
	patient := make(chan error, 1)
	go func() {
		_, err := f.authenticator.Authenticate(context.Background(), token)
		patient <- err
	}()
	cancel()
	err := <-canceled
	wantError(t, err, clerkauth.Canceled, clerkauth.ReasonCanceled)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v does not wrap context.Canceled", err)
	}
	if err := <-patient; err != nil {
		t.Errorf("the one who waited on: %v", err)
	}
	if n := f.clerk.Requests(jwksRoute); n != 1 {
		t.Errorf("%d fetches, want 1", n)
	}
}

// TestOddKeysAreIgnored: RFC 7517, section 5. A set that has a key of a type to
// come, or one that is damaged, serves with its others.
func TestOddKeysAreIgnored(t *testing.T) {
	f := newFixture(t)
	req, err := http.NewRequest(http.MethodGet, f.clerk.URL()+"/v1/jwks", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+f.clerk.SecretKey())
	response, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	jwks, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	odd := `{"keys":[{"kty":"AKP","kid":"ins_pq","alg":"ML-DSA-44","pub":"AAAA"},{"kty":"RSA","kid":"ins_cut","alg":"RS256","n":"?"},"key",null,7,{},`
	f.clerk.SetFault(jwksRoute, fakeclerk.Fault{Kind: fakeclerk.FaultWrongJSON, Body: strings.Replace(string(jwks), `{"keys":[`, odd, 1)})
	if _, err := f.authenticate(t, "user_ada"); err != nil {
		t.Error(err)
	}
}

// TestTwoInstancesShareNoKey: Authenticators for two Clerk instances in one
// process, whose keys have the same id.
func TestTwoInstancesShareNoKey(t *testing.T) {
	key := newKey(2048)
	one, other := newFixture(t), newFixture(t)
	foreign, err := fakeclerk.Start(fakeclerk.Options{SigningKey: key, Now: other.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	options := clerkauth.Options{SecretKey: foreign.SecretKey(), APIURL: foreign.URL(), Now: other.clock.Now, RateLimitShare: 1000}
	authenticator, err := clerkauth.New(options)
	if err != nil {
		t.Fatal(err)
	}
	oneToken, otherToken := one.token(t, "user_ada"), one.token(t, "user_ada", fakeclerk.SignedBy(key))
	for range 3 {
		for _, test := range []struct {
			authenticator *clerkauth.Authenticator
			token         string
			accepted      bool
		}{
			{one.authenticator, oneToken, true}, {authenticator, oneToken, false},
			{authenticator, otherToken, true}, {one.authenticator, otherToken, false},
		} {
			_, err := test.authenticator.Authenticate(t.Context(), test.token)
			if (err == nil) != test.accepted {
				t.Errorf("accepted: %v, want %v: %v", err == nil, test.accepted, err)
			}
			if err != nil {
				wantError(t, err, clerkauth.Unauthenticated, clerkauth.ReasonInvalidSignature)
			}
		}
	}
}
