//go:build encore_local

// These tests need Encore's runtime: encore test ./...

package auth

import (
	"encoding/json"
	"log"
	"os"
	"testing"
	"time"

	"encore.dev"
	"encore.dev/beta/errs"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
)

var clerk *fakeclerk.Server

func TestMain(m *testing.M) {
	var err error
	if clerk, err = fakeclerk.Start(fakeclerk.Options{}); err != nil {
		log.Fatal(err)
	}
	os.Setenv("CLERK_API_URL", clerk.URL())
	os.Setenv("CLERK_SECRET_KEY", clerk.SecretKey())
	code := m.Run()
	clerk.Close()
	os.Exit(code)
}

func token(t *testing.T, user string, options ...fakeclerk.TokenOption) string {
	t.Helper()
	token, err := clerk.SessionToken(user, options...)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// newService returns a service with empty caches.
func newService(t *testing.T) *Service {
	t.Helper()
	options, err := settings(encore.Meta().Environment).Options(Log{})
	if err != nil {
		t.Fatal(err)
	}
	a, err := clerkauth.New(options)
	if err != nil {
		t.Fatal(err)
	}
	return &Service{authenticator: a}
}

func TestAuthHandler(t *testing.T) {
	service := newService(t)
	good := token(t, "user_ada")
	for _, test := range []struct {
		name, authorization string
		uid, email          string
		code                errs.ErrCode
	}{
		{name: "a session token", authorization: "Bearer " + good, uid: "user_ada", email: "ada@example.com"},
		{name: "the scheme in lower case", authorization: "bearer " + good, uid: "user_ada", email: "ada@example.com"},
		{name: "another scheme", authorization: "Basic " + good, code: errs.Unauthenticated},
		{name: "a damaged token", authorization: "Bearer " + good[:len(good)-8] + "AAAAAAAA", code: errs.Unauthenticated},
		{name: "a foreign origin", authorization: "Bearer " + token(t, "user_ada", fakeclerk.Claim("azp", "https://evil.example")), code: errs.Unauthenticated},
		{name: "a banned user", authorization: "Bearer " + token(t, "user_banned"), code: errs.Unauthenticated},
	} {
		t.Run(test.name, func(t *testing.T) {
			uid, data, err := service.AuthHandler(t.Context(), &Params{Authorization: test.authorization})
			if errs.Code(err) != test.code || string(uid) != test.uid {
				t.Fatalf("got %q, %v", uid, err)
			}
			if err == nil && (data.UserID != test.uid || data.Email != test.email) {
				t.Errorf("got %+v", data)
			}
		})
	}
}

func TestParamsAreWrittenWithoutTheToken(t *testing.T) {
	written, err := json.Marshal(&Params{Authorization: "Bearer " + token(t, "user_ada")})
	if err != nil || string(written) != "{}" {
		t.Errorf("got %s, %v", written, err)
	}
}

func TestClerkFailing(t *testing.T) {
	for _, test := range []struct {
		status int
		code   errs.ErrCode
	}{{500, errs.Unavailable}, {429, errs.Unavailable}, {401, errs.Internal}} {
		service := newService(t)
		clerk.SetFault("", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: test.status})
		_, _, err := service.AuthHandler(t.Context(), &Params{Authorization: "Bearer " + token(t, "user_ada")})
		clerk.ClearFaults()
		if errs.Code(err) != test.code {
			t.Errorf("Clerk answers %d: got %v, want %v", test.status, err, test.code)
		}
	}
}

func TestSettings(t *testing.T) {
	secrets.ClerkSecretKey = "sk_live_x"
	defer func() { secrets.ClerkSecretKey = "" }()
	s := settings(encore.EnvironmentMeta{Cloud: encore.CloudAWS, Type: encore.EnvDevelopment})
	s.UserMaxAge = "7s"
	options, err := s.Options(Log{})
	if err != nil || options.SecretKey != "sk_live_x" || options.UserMaxAge != 7*time.Second || options.KeysMaxAge != 5*time.Minute {
		t.Errorf("got %+v, %v", options, err)
	}
}

// Encore records the headers of an endpoint's request in its trace. The token
// stays out because the auth handler's request has the same header map.
func TestTokenIsTakenOffTheRequest(t *testing.T) {
	service := newService(t)
	header := encore.CurrentRequest().Headers
	if header == nil {
		t.Skip("this test's request has no headers")
	}
	header.Set("Authorization", "Bearer x")
	_, _, _ = service.AuthHandler(t.Context(), &Params{Authorization: "Bearer x"})
	if encore.CurrentRequest().Headers.Get("Authorization") != "" {
		t.Error("the token is still in the request's headers")
	}
}
