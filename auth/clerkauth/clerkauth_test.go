package clerkauth_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"flag"
	"math"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
)

// TestMain lets 8 tests run at once unless -parallel says another number: the
// parallel ones wait for Clerk, and leave processors idle.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", "8")
	}
	os.Exit(m.Run())
}

var testKey = sync.OnceValue(func() *rsa.PrivateKey { return newKey(2048) })

func newKey(bits int) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return key
}

// clock is moved by hand, and stands still otherwise.
type clock struct{ now atomic.Pointer[time.Time] }

func newClock() *clock {
	c := &clock{}
	start := time.Now().Truncate(time.Second)
	c.now.Store(&start)
	return c
}

func (c *clock) Now() time.Time { return *c.now.Load() }

func (c *clock) Advance(d time.Duration) {
	next := c.Now().Add(d)
	c.now.Store(&next)
}

// fixture is a fake Clerk for Clerk and an Authenticator that asks it, both by
// one clock.
type fixture struct {
	clerk         *fakeclerk.Server
	authenticator *clerkauth.Authenticator
	clock         *clock
}

func newFixture(t testing.TB, configure ...func(*clerkauth.Options)) *fixture {
	t.Helper()
	f := &fixture{clock: newClock()}
	clerk, err := fakeclerk.Start(fakeclerk.Options{SigningKey: testKey(), Now: f.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = clerk.Close() })
	f.clerk = clerk
	options := clerkauth.Options{
		SecretKey:         clerk.SecretKey(),
		APIURL:            clerk.URL(),
		AuthorizedParties: []string{fakeclerk.DefaultAuthorizedParty},
		Now:               f.clock.Now,
		RateLimitShare:    1000, // the clock stands still: what is spent does not come back
	}
	for _, set := range configure {
		set(&options)
	}
	if f.authenticator, err = clerkauth.New(options); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) token(t testing.TB, user string, options ...fakeclerk.TokenOption) string {
	t.Helper()
	token, err := f.clerk.SessionToken(user, options...)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// authenticate authenticates with a fresh token of the user.
func (f *fixture) authenticate(t testing.TB, user string, options ...fakeclerk.TokenOption) (clerkauth.Caller, error) {
	t.Helper()
	return f.authenticator.Authenticate(t.Context(), f.token(t, user, options...))
}

// newUser adds a user who is not cached yet.
func (f *fixture) newUser(t testing.TB) string {
	t.Helper()
	user, err := f.clerk.AddUser(fakeclerk.User{})
	if err != nil {
		t.Fatal(err)
	}
	return user.ID
}

// wantError fails unless err is of the kind and reason, and tells no secret.
func wantError(t testing.TB, err error, kind clerkauth.Kind, reason clerkauth.Reason) {
	t.Helper()
	var e *clerkauth.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an *Error with the reason %s", err, reason)
	}
	if e.Kind != kind || e.Reason != reason {
		t.Fatalf("got kind %d, %v; want kind %d, %s", e.Kind, e, kind, reason)
	}
	for _, secret := range []string{"sk_test", "eyJ", "@example", "sess_"} {
		if strings.Contains(e.Error(), secret) {
			t.Errorf("the error tells %q: %v", secret, e)
		}
	}
}

// eventually waits for something that happens in the background.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}

func TestAuthenticate(t *testing.T) {
	f := newFixture(t)
	caller, err := f.authenticate(t, "user_ada")
	if err != nil {
		t.Fatal(err)
	}
	if caller.UserID != "user_ada" || caller.Email != "ada@example.com" || caller.AuthorizedParty != fakeclerk.DefaultAuthorizedParty ||
		!strings.HasPrefix(caller.SessionID, "sess_") || !caller.ExpiresAt.Equal(f.clock.Now().Add(time.Minute)) {
		t.Errorf("got %+v", caller)
	}
	for _, test := range []struct {
		name, user string
		options    []fakeclerk.TokenOption
		email      string
	}{
		{"a user without an address", "user_noemail", nil, ""},
		{"the email claim, which needs no user", "user_of_nobody_we_know", []fakeclerk.TokenOption{fakeclerk.Claim("email", "claim@example.com")}, "claim@example.com"},
		{"an email claim that is a list", "user_ada", []fakeclerk.TokenOption{fakeclerk.Claim("email", []string{})}, "ada@example.com"},
		{"an email claim that is empty", "user_ada", []fakeclerk.TokenOption{fakeclerk.Claim("email", "")}, "ada@example.com"},
		{"an email claim of another type", "user_ada", []fakeclerk.TokenOption{fakeclerk.Claim("email", 7)}, "ada@example.com"},
		{"no typ", "user_ada", []fakeclerk.TokenOption{fakeclerk.Header("typ", nil)}, "ada@example.com"},
		{"no cat", "user_ada", []fakeclerk.TokenOption{fakeclerk.Header("cat", nil)}, "ada@example.com"},
		{"a cat that does not discriminate", "user_ada", []fakeclerk.TokenOption{fakeclerk.Header("cat", "cl_I7d4PD111III")}, "ada@example.com"},
		{"header fields to come", "user_ada", []fakeclerk.TokenOption{fakeclerk.Header("new", []int{1})}, "ada@example.com"},
		{"claims to come", "user_ada", []fakeclerk.TokenOption{fakeclerk.Claim("new", map[string]int{"a": 1})}, "ada@example.com"},
		{"no nbf and no iat", "user_ada", []fakeclerk.TokenOption{fakeclerk.Claim("nbf", nil), fakeclerk.Claim("iat", nil)}, "ada@example.com"},
		{"no sts, as in version 1", "user_ada", []fakeclerk.TokenOption{fakeclerk.Claim("sts", nil), fakeclerk.Claim("v", nil)}, "ada@example.com"},
	} {
		t.Run("accepts "+test.name, func(t *testing.T) {
			user := test.user
			options := test.options
			if _, known := f.clerk.User(user); !known {
				options = append(options, fakeclerk.Claim("sub", user))
				user = "user_ada"
			}
			caller, err := f.authenticate(t, user, options...)
			if err != nil || caller.UserID != test.user || caller.Email != test.email {
				t.Errorf("got %+v, %v", caller, err)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	f := newFixture(t)
	other := newKey(2048)
	now := f.clock.Now().Unix()
	good := f.token(t, "user_ada")
	header, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	signed := func(options ...fakeclerk.TokenOption) string { return f.token(t, "user_ada", options...) }
	claim, head := fakeclerk.Claim, fakeclerk.Header

	for _, test := range []struct {
		name, token string
		reason      clerkauth.Reason
	}{
		{"nothing", "", clerkauth.ReasonMissingToken},
		{"a token over the limit", good + strings.Repeat("A", clerkauth.MaxTokenBytes), clerkauth.ReasonTooLarge},
		{"a word", "hello", clerkauth.ReasonMalformed},
		{"two parts", header + "." + payload, clerkauth.ReasonMalformed},
		{"four parts", good + ".AAAA", clerkauth.ReasonMalformed},
		{"empty parts", "..", clerkauth.ReasonMalformed},
		{"padding", header + "." + payload + "=." + signature, clerkauth.ReasonMalformed},
		{"white space", header + "." + payload + ".\n" + signature, clerkauth.ReasonMalformed},
		{"bits to spare", good[:len(good)-1] + "B", clerkauth.ReasonMalformed},
		{"a header that is no JSON", "AAAA." + payload + "." + signature, clerkauth.ReasonMalformed},
		{"a typ of an OAuth access token", signed(head("typ", "at+jwt")), clerkauth.ReasonTokenTypeMismatch},
		{"a typ in lower case", signed(head("typ", "jwt")), clerkauth.ReasonNotSessionToken},
		{"a JWT template", signed(head("cat", fakeclerk.CategoryJWTTemplate)), clerkauth.ReasonNotSessionToken},
		{"a machine token", signed(head("cat", fakeclerk.CategoryM2MToken)), clerkauth.ReasonNotSessionToken},
		{"an unknown cat", signed(head("cat", "cl_new")), clerkauth.ReasonNotSessionToken},
		{"alg none", signed(head("alg", "none")), clerkauth.ReasonInvalidAlgorithm},
		{"alg HS256", signed(head("alg", "HS256")), clerkauth.ReasonInvalidAlgorithm},
		{"no alg", signed(head("alg", nil)), clerkauth.ReasonInvalidAlgorithm},
		{"an unknown kid", signed(head("kid", "ins_other")), clerkauth.ReasonUnknownKey},
		{"no kid", signed(head("kid", nil)), clerkauth.ReasonUnknownKey},
		{"another's signature", signed(fakeclerk.SignedBy(other)), clerkauth.ReasonInvalidSignature},
		{"a changed payload", header + "." + payload[:len(payload)-4] + "AAAA." + signature, clerkauth.ReasonInvalidSignature},
		{"an exp 5 seconds ago", signed(claim("exp", now-5)), clerkauth.ReasonExpired},
		{"an nbf in 6 seconds", signed(claim("nbf", now+6)), clerkauth.ReasonNotActiveYet},
		{"an iat in 6 seconds", signed(claim("iat", now+6)), clerkauth.ReasonIssuedInFuture},
		{"no exp", signed(claim("exp", nil)), clerkauth.ReasonMalformedClaims},
		{"an exp in words", signed(claim("exp", "tomorrow")), clerkauth.ReasonMalformedClaims},
		{"an exp of no year", signed(claim("exp", 1e300)), clerkauth.ReasonMalformedClaims},
		{"an aud of no type", signed(claim("aud", 5)), clerkauth.ReasonMalformedClaims},
		{"an empty sub", signed(claim("sub", "")), clerkauth.ReasonInvalidSubject},
		{"a sub of a machine", signed(claim("sub", "mch_1")), clerkauth.ReasonInvalidSubject},
		{"a sub that is a path", signed(claim("sub", "user_/../jwks")), clerkauth.ReasonInvalidSubject},
		{"no sid", signed(claim("sid", nil)), clerkauth.ReasonMissingSession},
		{"an issuer that is not Clerk's", signed(claim("iss", "https://evil.example")), clerkauth.ReasonInvalidIssuer},
		{"a foreign azp", signed(claim("azp", "https://evil.example")), clerkauth.ReasonInvalidAuthorized},
		{"an azp with a path", signed(claim("azp", fakeclerk.DefaultAuthorizedParty+"/")), clerkauth.ReasonInvalidAuthorized},
		{"no azp", signed(claim("azp", nil)), clerkauth.ReasonMissingAuthorized},
		{"an organization beside a feature without a scope", signed(claim("o", map[string]string{"id": "org_1"}), claim("fea", "teams")), clerkauth.ReasonMalformedClaims},
		{"a pending session", signed(claim("sts", "pending")), clerkauth.ReasonSessionPending},
		{"a banned user", f.token(t, "user_banned"), clerkauth.ReasonUserBanned},
		{"a user who is gone", signed(claim("sub", "user_gone")), clerkauth.ReasonUnknownUser},
	} {
		t.Run("refuses "+test.name, func(t *testing.T) {
			for range 2 { // no refused token is cached as good
				_, err := f.authenticator.Authenticate(t.Context(), test.token)
				wantError(t, err, clerkauth.Unauthenticated, test.reason)
			}
		})
	}
	t.Run("accepts within the leeway", func(t *testing.T) {
		for _, option := range []fakeclerk.TokenOption{claim("exp", now-4), claim("nbf", now+5), claim("iat", now+5)} {
			if _, err := f.authenticate(t, "user_ada", option); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestIssuer(t *testing.T) {
	f := newFixture(t, func(o *clerkauth.Options) { o.Issuer = "https://clerk.example.com" })
	if _, err := f.authenticate(t, "user_ada", fakeclerk.Claim("iss", "https://clerk.example.com")); err != nil {
		t.Error(err)
	}
	for _, issuer := range []any{f.clerk.Issuer(), "https://clerk.example.com.evil.example", "https://clerk.example.com/", nil} {
		_, err := f.authenticate(t, "user_ada", fakeclerk.Claim("iss", issuer))
		wantError(t, err, clerkauth.Unauthenticated, clerkauth.ReasonInvalidIssuer)
	}
}

func TestNoAuthorizedParties(t *testing.T) {
	f := newFixture(t, func(o *clerkauth.Options) { o.AuthorizedParties = nil })
	for _, party := range []any{"https://anything.example", nil} {
		if _, err := f.authenticate(t, "user_ada", fakeclerk.Claim("azp", party)); err != nil {
			t.Error(err)
		}
	}
}

func TestOptions(t *testing.T) {
	good := clerkauth.Options{SecretKey: "sk_test_x"}
	for _, test := range []struct {
		name string
		set  func(*clerkauth.Options)
		want string
	}{
		{"no secret key", func(o *clerkauth.Options) { o.SecretKey = "" }, "SecretKey (CLERK_SECRET_KEY) is empty"},
		{"an API URL without a scheme", func(o *clerkauth.Options) { o.APIURL = "api.clerk.com" }, "APIURL"},
		{"a party without a scheme", func(o *clerkauth.Options) { o.AuthorizedParties = []string{"example.com"} }, "AuthorizedParties"},
		{"a party with a path", func(o *clerkauth.Options) { o.AuthorizedParties = []string{"https://example.com/"} }, "AuthorizedParties"},
		{"a JWT key that is no PEM", func(o *clerkauth.Options) { o.JWTKey = "MIIB" }, "JWTKey"},
		{"a party in capital letters", func(o *clerkauth.Options) { o.AuthorizedParties = []string{"https://App.example.com"} }, `write "https://app.example.com"`},
		{"an issuer with a slash", func(o *clerkauth.Options) { o.Issuer = "https://clerk.example.com/" }, `write "https://clerk.example.com"`},
		{"a share that is negative", func(o *clerkauth.Options) { o.RateLimitShare = -1 }, "RateLimitShare"},
		{"a share that is no number", func(o *clerkauth.Options) { o.RateLimitShare = math.NaN() }, "RateLimitShare"},
		{"a share of less than 2 calls", func(o *clerkauth.Options) { o.RateLimitShare = 0.01 }, "RateLimitShare"},
		{"keys for longer than 5 minutes", func(o *clerkauth.Options) { o.KeysMaxAge = time.Hour }, "KeysMaxAge"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := good
			test.set(&o)
			if _, err := clerkauth.New(o); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error about %s", err, test.want)
			}
		})
	}
	if _, err := clerkauth.New(good); err != nil {
		t.Error(err)
	}
}

func TestBearerToken(t *testing.T) {
	for authorization, want := range map[string]string{
		"Bearer abc": "abc", "bearer abc": "abc", "BEARER  abc": "abc",
		"": "", "Bearer": "", "Bearer ": "", "abc": "", "Basic abc": "", "Bearerabc": "", " Bearer abc": "",
	} {
		token, err := clerkauth.BearerToken(authorization)
		if token != want || (err == nil) != (want != "") {
			t.Errorf("BearerToken(%q) = %q, %v; want %q", authorization, token, err, want)
		}
		if err != nil {
			wantError(t, err, clerkauth.Unauthenticated, clerkauth.ReasonMissingToken)
		}
	}
}

func TestRememberedTokenExpires(t *testing.T) {
	f := newFixture(t)
	token := f.token(t, "user_ada")
	authenticate := func() error {
		_, err := f.authenticator.Authenticate(context.Background(), token)
		return err
	}
	for _, step := range []time.Duration{0, 59 * time.Second, 5 * time.Second} { // 64 s: within the leeway
		f.clock.Advance(step)
		if err := authenticate(); err != nil {
			t.Fatal(err)
		}
	}
	f.clock.Advance(time.Second)
	wantError(t, authenticate(), clerkauth.Unauthenticated, clerkauth.ReasonExpired)
}

func TestSubprotocolToken(t *testing.T) {
	for _, test := range []struct{ protocols, token, rest string }{
		{"live, bearer.x", "x", "live"},
		{"bearer.x,live,more", "x", "live, more"},
		{"live", "", "live"},
		{"", "", ""},
		{"bearer.x, live, bearer.y", "x", "live"}, // no token stays in the header
		{"bearer." + strings.Repeat("x", clerkauth.MaxTokenBytes), strings.Repeat("x", clerkauth.MaxTokenBytes), ""},
		{strings.Repeat("a,", 500_000) + "bearer.x", "", ""}, // costs nothing
	} {
		if token, rest := clerkauth.SubprotocolToken(test.protocols); token != test.token || rest != test.rest {
			t.Errorf("%.30q: %.30q, %.30q", test.protocols, token, rest)
		}
	}
}
