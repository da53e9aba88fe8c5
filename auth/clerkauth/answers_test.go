package clerkauth_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/clerk/clerk-sdk-go/v2/organization"
	"github.com/clerk/clerk-sdk-go/v2/organizationmembership"
	"github.com/go-jose/go-jose/v3"

	"encore.app/auth/clerkauth"
)

// answering is an authenticator whose Clerk is the handler.
func answering(t *testing.T, clerk http.HandlerFunc) *clerkauth.Authenticator {
	t.Helper()
	server := httptest.NewServer(clerk)
	t.Cleanup(server.Close)
	authenticator, err := clerkauth.New(clerkauth.Options{
		SecretKey: "sk_test_x", APIURL: server.URL, AcceptsToken: everyType, RateLimitShare: 1000,
	})
	if err != nil {
		t.Fatal(err)
	}
	return authenticator
}

const goodKey = `"subject":"org_1","scopes":["reports:read"],"revoked":false,"expired":false`

// TestOnlySuccessIsSuccess: the SDK takes every status below 400 for an answer.
func TestOnlySuccessIsSuccess(t *testing.T) {
	token := newFixture(t).token(t, "user_ada")
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: testKey().Public(), KeyID: "ins_fakeclerk", Algorithm: "RS256", Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, status := range []int{200, 201, 300, 301, 302, 303, 304, 307, 308, 399} {
		var followed atomic.Int64
		elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { followed.Add(1) }))
		defer elsewhere.Close()
		authenticator := answering(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", elsewhere.URL)
			w.WriteHeader(status)
			if strings.HasSuffix(r.URL.Path, "/jwks") {
				_, _ = w.Write(keys)
			} else {
				_, _ = w.Write([]byte(`{"id":"user_ada","primary_email_address_id":null,"email_addresses":[],` + goodKey + `}`))
			}
		})
		_, err := authenticator.Authenticate(t.Context(), "ak_"+strings.Repeat("x", 30))
		_, errSession := authenticator.Authenticate(t.Context(), token)
		_, errOther := (&organization.Client{Backend: authenticator.Backend()}).Get(t.Context(), "org_1")
		for what, err := range map[string]error{"an API key": err, "a session token": errSession, "another call": errOther} {
			if (err == nil) != (status < 300) {
				t.Errorf("status %d, %s: %v", status, what, err)
			} else if err != nil && clerkauth.AsError(err).Kind != clerkauth.Unavailable {
				t.Errorf("status %d, %s: %v", status, what, err)
			}
		}
		if followed.Load() > 0 {
			t.Errorf("status %d: the secret key goes elsewhere", status)
		}
	}
}

// TestKeysForSomethingElse: a key verifies only what it is for.
func TestKeysForSomethingElse(t *testing.T) {
	token := newFixture(t).token(t, "user_ada")
	plain, err := json.Marshal(jose.JSONWebKey{Key: testKey().Public(), KeyID: "ins_fakeclerk", Algorithm: "RS256"})
	if err != nil {
		t.Fatal(err)
	}
	for members, good := range map[string]bool{
		``:                                     true,
		`,"use":"sig"`:                         true,
		`,"key_ops":["verify"]`:                true,
		`,"key_ops":["sign","verify"]`:         true,
		`,"use":"sig","key_ops":["verify"]`:    true,
		`,"use":"enc"`:                         false,
		`,"use":""`:                            false,
		`,"use":"SIG"`:                         false,
		`,"use":["sig"]`:                       false,
		`,"use":"enc","use":"sig"`:             false,
		`,"key_ops":[]`:                        false,
		`,"key_ops":["encrypt"]`:               false,
		`,"key_ops":"verify"`:                  false,
		`,"use":"sig","key_ops":["deriveKey"]`: false,
		`,"use":"enc","key_ops":["verify"]`:    false,
	} {
		authenticator := answering(t, func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/jwks") {
				_, _ = w.Write([]byte(`{"keys":[` + strings.TrimSuffix(string(plain), "}") + members + `}]}`))
			} else {
				_, _ = w.Write([]byte(`{"id":"user_ada","email_addresses":[]}`))
			}
		})
		if _, err := authenticator.Authenticate(t.Context(), token); (err == nil) != good {
			t.Errorf("%s: %v", members, err)
		}
	}
}

// TestVerificationsAreReadStrictly: as tokens are.
func TestVerificationsAreReadStrictly(t *testing.T) {
	for answer, good := range map[string]bool{
		`{` + goodKey + `}`: true,
		`{` + goodKey + `,"new":{"a":1},"claims":{"a":1},"expiration":null}`:             true,
		`{` + goodKey + `,"revoked":false}`:                                              false,
		`{` + strings.Replace(goodKey, `"revoked":false`, `"revoked":true`, 1) + `}`:     false,
		`{` + goodKey + `,"subject":"user_1"}`:                                           false,
		`{` + strings.Replace(goodKey, "revoked", "Revoked", 1) + `}`:                    false,
		`{` + strings.Replace(goodKey, "subject", "SUBJECT", 1) + `}`:                    false,
		`{"revoked":true,"Revoked":false,"expired":false,"subject":"org_1","scopes":[]}`: false,
		`{` + goodKey + `,"claims":{"a":1,"a":2}}`:                                       false,
		`{` + strings.Replace(goodKey, `"org_1"`, `7`, 1) + `}`:                          false,
		`[]`: false,
		`{}`: false,
	} {
		authenticator := answering(t, func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(answer)) })
		if _, err := authenticator.Authenticate(t.Context(), "ak_"+strings.Repeat("x", 30)); (err == nil) != good {
			t.Errorf("%s: %v", answer, err)
		}
	}
}

// TestRateLimitedRoute: a 429 holds for its route with all ids, and for nothing
// else.
func TestRateLimitedRoute(t *testing.T) {
	var deletes atomic.Int64
	authenticator := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			deletes.Add(1)
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		_, _ = w.Write([]byte(`{"id":"org_1"}`))
	})
	memberships := organizationmembership.Client{Backend: authenticator.Backend()}
	for _, user := range []string{"user_a", "user_b", "user_count"} {
		for _, id := range []string{"org_1", "org_2"} {
			_, err := memberships.Delete(t.Context(), &organizationmembership.DeleteParams{OrganizationID: id, UserID: user})
			if clerkauth.AsError(err).Reason != clerkauth.ReasonRateLimited {
				t.Error(err)
			}
		}
	}
	if n := deletes.Load(); n != 1 {
		t.Errorf("%d calls to the route that is limited", n)
	}
	if _, err := (&organization.Client{Backend: authenticator.Backend()}).Get(t.Context(), "org_1"); err != nil {
		t.Errorf("another route: %v", err)
	}
}
