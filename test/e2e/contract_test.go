package e2e

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v3"
	"github.com/go-jose/go-jose/v3/jwt"
)

func TestSignedIn(t *testing.T) {
	ada := func(more ...string) string {
		query := url.Values{"user_id": {"user_ada"}}
		for i := 0; i < len(more); i += 2 {
			query.Set(more[i], more[i+1])
		}
		return token(t, query)
	}
	for _, test := range []struct{ name, authorization, want string }{
		{"answers with the primary email, not the first", "Bearer " + ada(), `{"userId":"user_ada","email":"ada@example.com"}`},
		{"takes the scheme in any case", "bEARER " + ada(), `{"userId":"user_ada","email":"ada@example.com"}`},
		{"answers an empty email for a user without one", "Bearer " + token(t, url.Values{"user_id": {"user_noemail"}}), `{"userId":"user_noemail","email":""}`},
		{"takes the email claim over the Backend API", "Bearer " + ada("claims", `{"email":"claimed@example.com"}`), `{"userId":"user_ada","email":"claimed@example.com"}`},
		{"allows 4 seconds of clock skew", "Bearer " + ada("claims", fmt.Sprintf(`{"iat":%d}`, now().Add(4*time.Second).Unix())), `{"userId":"user_ada","email":"ada@example.com"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := ask(t, "/user/profile", test.authorization)
			if got.status != http.StatusOK || compact(got.body) != test.want {
				t.Fatalf("got %v, want 200 %s", got, test.want)
			}
		})
	}
}

func TestNotSignedIn(t *testing.T) {
	good := token(t, url.Values{"user_id": {"user_ada"}})
	claimed := func(claims string) string {
		return "Bearer " + token(t, url.Values{"user_id": {"user_ada"}, "claims": {claims}})
	}
	deleted := newUser(t)
	ofDeleted := "Bearer " + token(t, url.Values{"user_id": {deleted}})
	control(t, http.MethodDelete, "/v1/users/"+deleted, nil)

	for _, test := range []struct{ name, authorization string }{
		{"no header", ""},
		{"another scheme", "Basic " + good},
		{"no scheme", good},
		{"no token", "Bearer "},
		{"not a JWT", "Bearer hello"},
		{"a damaged signature", "Bearer " + good[:len(good)-8] + "AAAAAAAA"},
		{"a damaged payload", "Bearer " + strings.Replace(good, ".", ".A", 1)},
		{"a truncated token", "Bearer " + good[:len(good)/2]},
		{"white space within", "Bearer " + good[:40] + " " + good[40:]},
		{"expired", claimed(fmt.Sprintf(`{"exp":%d}`, now().Add(-6*time.Second).Unix()))},
		{"without exp", claimed(`{"exp":null}`)},
		{"not active yet", claimed(fmt.Sprintf(`{"nbf":%d}`, now().Add(time.Minute).Unix()))},
		{"issued in the future", claimed(fmt.Sprintf(`{"iat":%d}`, now().Add(time.Minute).Unix()))},
		{"of a foreign origin", "Bearer " + token(t, url.Values{"user_id": {"user_ada"}, "azp": {"https://evil.example"}})},
		{"without an origin", "Bearer " + token(t, url.Values{"user_id": {"user_ada"}, "azp": {""}})},
		{"of a session with pending tasks", claimed(`{"sts":"pending"}`)},
		{"of no session", claimed(`{"sid":null}`)},
		{"of nobody", claimed(`{"sub":""}`)},
		{"of a machine", claimed(`{"sub":"mch_1"}`)},
		{"of another issuer", claimed(`{"iss":"https://clerk.evil.example"}`)},
		{"of a banned user", "Bearer " + token(t, url.Values{"user_id": {"user_banned"}})},
		{"of a deleted user", ofDeleted},
		{"a token of a JWT template", "Bearer " + token(t, url.Values{"user_id": {"user_ada"}, "headers": {`{"cat":"cl_B7d4PD222AAA"}`}})},
		{"signed by somebody else", "Bearer " + forge(t, "ins_fakeclerk")},
		{"signed by somebody else under another key id", "Bearer " + forge(t, "ins_other")},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := ask(t, "/user/profile", test.authorization)
			body := notSignedIn
			if test.authorization == "" {
				body = noAuthorization
			}
			want(t, got, http.StatusUnauthorized, body)
		})
	}
}

func TestUnknownEndpoint(t *testing.T) {
	want(t, ask(t, "/user/nobody", ""), http.StatusNotFound, endpointNotFound)
}

func TestOneUserCostsTwoCalls(t *testing.T) {
	authorization := "Bearer " + token(t, url.Values{"user_id": {newUser(t)}})
	control(t, http.MethodDelete, "/fakeclerk/requests", nil)
	begin := time.Now()
	inParallel(1000, func(int) {
		if got := ask(t, "/user/profile", authorization); got.status != http.StatusOK {
			t.Errorf("got %v", got)
		}
	})
	// Under encore run real time passes, so what is fetched ages: one more
	// call for the user and one for the keys in every period begun.
	allowed := 2
	if livesInRealTime() {
		allowed += 2 * int(time.Since(begin)/w.userMaxAge)
	}
	if total, routes := calls(t); total > allowed {
		t.Errorf("%d calls to the Backend API for 1,000 requests, at most %d allowed: %v", total, allowed, routes)
	}
}

func TestForgedKeyIDsCostTwoFetches(t *testing.T) {
	if got := profile(t, "user_ada"); got.status != http.StatusOK {
		t.Fatalf("got %v", got)
	}
	good := "Bearer " + token(t, url.Values{"user_id": {"user_ada"}})
	forged := forge(t, "placeholder")
	control(t, http.MethodDelete, "/fakeclerk/requests", nil)
	begin := time.Now()
	inParallel(1000, func(i int) {
		if got := ask(t, "/user/profile", "Bearer "+withKeyID(t, forged, fmt.Sprintf("ins_forged_%d", i))); got.status != http.StatusUnauthorized {
			t.Errorf("got %v for a forged token", got)
		}
		if i%10 == 0 {
			if got := ask(t, "/user/profile", good); got.status != http.StatusOK {
				t.Errorf("got %v for a valid caller beside forged ones", got)
			}
		}
	})
	allowed := 2
	if livesInRealTime() {
		allowed += int(time.Since(begin) / w.keysMaxAge)
	}
	if _, routes := calls(t); routes["GET /v1/jwks"] > allowed {
		t.Errorf("%d key fetches for 1,000 forged tokens, at most %d allowed", routes["GET /v1/jwks"], allowed)
	}
}

// The errors of the contract, byte for byte but for white space.
const (
	notSignedIn       = `{"code":"unauthenticated","message":"not signed in","details":null}`
	noAuthorization   = `{"code":"unauthenticated","message":"missing auth param","details":null}` // Encore's own
	unavailable       = `{"code":"unavailable","message":"temporarily unavailable, try again shortly","details":null}`
	internal          = `{"code":"internal","message":"internal error","details":null}`
	endpointNotFound  = `{"code":"not_found","message":"endpoint not found","details":null}`
	requiresAdmin     = `{"code":"permission_denied","message":"requires the role org:admin","details":null}`
	verifyAgain       = `{"code":"permission_denied","message":"verify again that it is you","details":{"clerk_error":{"type":"forbidden","reason":"reverification-error","metadata":{"reverification":"strict"}}}}`
	noOrganization    = `{"code":"permission_denied","message":"no organization is active","details":null}`
	invalidPage       = `{"code":"invalid_argument","message":"limit must be from 1 to 100, and offset 0 or more","details":null}`
	noSuchMember      = `{"code":"not_found","message":"no such member","details":null}`
	lastAdministrator = `{"code":"failed_precondition","message":"an organization needs an admin","details":null}`
)

// want checks an answer's status and body, white space aside.
func want(t *testing.T, got answer, status int, body string) {
	t.Helper()
	if got.status != status || compact(got.body) != body {
		t.Errorf("got %v, want %d %s", got, status, body)
	}
}

// now is the time by which the fake Clerk signs.
func now() time.Time {
	if w.now != nil {
		return w.now()
	}
	return time.Now()
}

// livesInRealTime reports whether what the backend knows ages by itself.
func livesInRealTime() bool { return w.now == nil }

func compact(body []byte) string {
	var b bytes.Buffer
	if json.Compact(&b, body) != nil {
		return string(body)
	}
	return b.String()
}

// inParallel runs do n times on 16 goroutines.
func inParallel(n int, do func(i int)) {
	var group sync.WaitGroup
	numbers := make(chan int)
	for range 16 {
		group.Go(func() {
			for i := range numbers {
				do(i)
			}
		})
	}
	for i := range n {
		numbers <- i
	}
	close(numbers)
	group.Wait()
}

var foreignKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// forge signs a session token of user_ada with a key that is not Clerk's.
func forge(t testing.TB, keyID string) string {
	t.Helper()
	options := (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", keyID).WithHeader("cat", "cl_B7d4PD111AAA")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: foreignKey()}, options)
	if err != nil {
		t.Fatal(err)
	}
	at := now()
	forged, err := jwt.Signed(signer).Claims(map[string]any{
		"azp": "http://localhost:3001", "iss": "https://fakeclerk.clerk.accounts.dev",
		"sub": "user_ada", "sid": "sess_forged", "sts": "active", "v": 2,
		"iat": at.Unix(), "nbf": at.Unix() - 10, "exp": at.Unix() + 60,
	}).CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return forged
}

// withKeyID changes a token's key id, which a forger need not sign.
func withKeyID(t testing.TB, token, keyID string) string {
	t.Helper()
	_, rest, _ := strings.Cut(token, ".")
	header := fmt.Sprintf(`{"alg":"RS256","cat":"cl_B7d4PD111AAA","kid":%q,"typ":"JWT"}`, keyID)
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + rest
}
