package clerkauth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
)

// evidence is an error's evidence as a log would write it.
func evidence(err error) string {
	return strings.TrimSpace(fmt.Sprintln(clerkauth.AsError(err).Evidence()...))
}

func TestEvidence(t *testing.T) {
	f := newFixture(t)
	now := f.clock.Now().Unix()
	claim, head := fakeclerk.Claim, fakeclerk.Header
	signed := func(options ...fakeclerk.TokenOption) string { return f.token(t, "user_ada", options...) }
	for _, test := range []struct {
		name, token, want string
		unverified        bool
	}{
		{"a foreign azp", signed(claim("azp", "https://evil.example")), "azp https://evil.example", false},
		{"an azp with a user and a query", signed(claim("azp", "https://ada:secret@evil.example/?token=1")), "azp ...@evil.example/...", false},
		{"an azp with a line break", signed(claim("azp", "a\nlevel=ERROR\x1b[31m\u202e")), `azp a\nlevel=ERROR\x1b[31m\u202e`, false},
		{"a long azp", signed(claim("azp", strings.Repeat("a", 5000))), "azp " + strings.Repeat("a", 120) + "...", false},
		{"a long address", signed(claim("azp", strings.Repeat("a", 500)+"@example.com")), "azp ...@example.com", false},
		{"no azp", signed(claim("azp", nil)), "", false},
		{"another issuer", signed(claim("iss", "https://evil.example")), "iss https://evil.example configured ", false},
		{"an unknown key", signed(head("kid", "ins_other")), "kid ins_other known ins_fakeclerk", true},
		{"another's signature", signed(fakeclerk.SignedBy(newKey(2048))), "kid ins_fakeclerk verified_with the key of this kid that Clerk lists", true},
		{"an expired token", signed(claim("exp", now-90)), "seconds_ago 90", false},
		{"a token of tomorrow", signed(claim("nbf", now+90)), "seconds_ahead 90", false},
		{"a token issued tomorrow", signed(claim("iat", now+90)), "seconds_ahead 90", false},
		{"a date in words", signed(claim("exp", "tomorrow")), "claim exp", false},
		{"no exp", signed(claim("exp", nil)), "claim exp", false},
		{"an azp that is a number", signed(claim("azp", 7)), "claim azp", false},
		{"a JWT template", signed(head("cat", fakeclerk.CategoryJWTTemplate)), "cat " + fakeclerk.CategoryJWTTemplate, true},
		{"a JWT template with a key of its own", signed(head("alg", "HS256")), "alg HS256", true},
		{"an API key", "ak_0123456789abcdefghij", "token_type api_key", true},
		{"undefined", "undefined", "sent Bearer undefined", true},
		{"an object", "[object Object]", "sent Bearer [object Object]", true},
		{"a promise", "[object Promise]", "sent Bearer [object Promise]", true},
		{"a token in quotes", `"` + signed() + `"`, "sent a token in quotes", true},
		{"the secret key", "sk_live_0123456789", "sent a secret key", true},
		{"Bearer twice", "Bearer " + signed(), "sent the word Bearer twice", true},
		{"a token that was cut off", signed()[:200], "sent a JWT with 2 parts instead of 3", true},
		{"nonsense", "nonsense", "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := f.authenticator.Authenticate(t.Context(), test.token)
			if got := evidence(err); got != strings.TrimSpace(test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if got := clerkauth.AsError(err).Unverified(); got != test.unverified {
				t.Errorf("%v is unverified: %v", err, got)
			}
		})
	}
}

func TestEvidenceOfTheHeader(t *testing.T) {
	for authorization, want := range map[string]string{
		"Bearer":       "sent Bearer without a token",
		"eyJh.eyJh.x":  "sent a token without Bearer",
		"Token eyJh.x": "sent a token with another scheme than Bearer",
		"Basic YTpi":   "",
	} {
		if _, err := clerkauth.BearerToken(authorization); evidence(err) != want {
			t.Errorf("%q: got %q, want %q", authorization, evidence(err), want)
		}
	}
}

// The JWTKey is of one instance and the secret key of another, which has no such
// user. A user who was known and is gone is another matter.
func TestUnknownUser(t *testing.T) {
	key := newFixture(t).clerk.PublicKeyPEM() // of every fixture
	f := newFixture(t, func(o *clerkauth.Options) { o.JWTKey = key })
	_, err := f.authenticate(t, "user_ada", fakeclerk.Claim("sub", "user_elsewhere"))
	wantError(t, err, clerkauth.Unauthenticated, clerkauth.ReasonUnknownUser)
	if got := evidence(err); got != "verified_with JWTKey" {
		t.Errorf("got %q", got)
	}
	_, err = f.authenticate(t, "user_ada", fakeclerk.SignedBy(newKey(2048)))
	if got := evidence(err); got != "kid ins_fakeclerk verified_with JWTKey" {
		t.Errorf("got %q", got)
	}

	user := f.newUser(t)
	if _, err := f.authenticate(t, user); err != nil {
		t.Fatal(err)
	}
	if err := f.clerk.DeleteUser(user); err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(time.Minute)
	eventually(t, "the user who was known is deleted", func() bool {
		_, err := f.authenticator.Authenticate(t.Context(), f.token(t, "user_ada", fakeclerk.Claim("sub", user)))
		return err != nil && clerkauth.AsError(err).Reason == clerkauth.ReasonUserDeleted
	})
}

// A setting that makes every request impossible is not Clerk's failure.
func TestRequestsThatCannotBeMade(t *testing.T) {
	for _, test := range []struct {
		name string
		set  func(*clerkauth.Options)
		want string
	}{
		{"an API URL with a bad escape", func(o *clerkauth.Options) { o.APIURL = "http://127.0.0.1/%zz" }, "call GET /jwks"},
	} {
		t.Run(test.name, func(t *testing.T) {
			options := clerkauth.Options{SecretKey: "sk_test_a"}
			test.set(&options)
			a, err := clerkauth.New(options)
			if err != nil {
				t.Fatal(err)
			}
			f := newFixture(t)
			_, err = a.Authenticate(t.Context(), f.token(t, "user_ada"))
			wantError(t, err, clerkauth.Misconfigured, clerkauth.ReasonInvalidRequest)
			if got := evidence(err); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// Clerk's answers have its time, which tells an old token from a wrong clock.
func TestClockAhead(t *testing.T) {
	f := newFixture(t)
	date := time.Now()
	clerk := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", date.UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer clerk.Close()
	for _, test := range []struct {
		ahead time.Duration
		want  string
	}{
		{0, "seconds_ago 100"},
		{2 * time.Minute, "seconds_ago 100 clock_ahead_seconds 120"},
		{-2 * time.Minute, "seconds_ago 100 clock_ahead_seconds -120"},
	} {
		now := date.Truncate(time.Second).Add(test.ahead)
		a, err := clerkauth.New(clerkauth.Options{
			SecretKey: f.clerk.SecretKey(), APIURL: clerk.URL, JWTKey: f.clerk.PublicKeyPEM(), Now: func() time.Time { return now },
		})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = a.Authenticate(t.Context(), f.token(t, "user_ada", fakeclerk.Claim("iat", now.Unix()-30), fakeclerk.Claim("nbf", nil), fakeclerk.Claim("exp", now.Unix()+60)))
		_, err = a.Authenticate(t.Context(), f.token(t, "user_ada", fakeclerk.Claim("exp", now.Unix()-100)))
		wantError(t, err, clerkauth.Unauthenticated, clerkauth.ReasonExpired)
		if got := evidence(err); got != test.want {
			t.Errorf("ahead by %v: got %q, want %q", test.ahead, got, test.want)
		}
	}
}

// Anybody can make up an API key. Clerk's refusal to verify it is neither ours to
// mend nor an error.
func TestVerificationRefused(t *testing.T) {
	f := newFixture(t, func(o *clerkauth.Options) { o.AcceptsToken = everyType })
	for _, status := range []int{http.StatusPaymentRequired, http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusConflict} {
		f.clerk.SetFault("", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: status})
		before := f.verifications()
		madeUp := fmt.Sprintf("ak_madeup_%d_0123456789", status)
		for range 5 {
			_, err := f.authenticator.Authenticate(t.Context(), madeUp)
			wantError(t, err, clerkauth.Unauthenticated, clerkauth.ReasonVerificationRefused)
		}
		if calls := f.verifications() - before; calls != 1 {
			t.Errorf("status %d: %d calls for one refused token, want 1", status, calls)
		}
		f.clerk.ClearFaults()
	}
	key := f.issue(t, fakeclerk.MachineToken{Type: fakeclerk.TypeAPIKey, Subject: "user_ada"})
	if _, err := f.authenticator.Authenticate(t.Context(), key.Token); err != nil {
		t.Errorf("a key that Clerk knows, at once: %v", err)
	}
}
