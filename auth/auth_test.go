//go:build encore_local

// These tests need Encore's runtime: encore test ./...

package auth

import (
	"log"
	"os"
	"strings"
	"testing"

	"encore.dev"
	"encore.dev/beta/errs"
	"encore.dev/config"
	"encore.dev/et"

	"encore.app/internal/fakeclerk"
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

func TestAuthHandler(t *testing.T) {
	service, err := initService()
	if err != nil {
		t.Fatal(err)
	}
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

func TestClerkFailing(t *testing.T) {
	for _, test := range []struct {
		status int
		code   errs.ErrCode
	}{{500, errs.Unavailable}, {429, errs.Unavailable}, {401, errs.Internal}} {
		service, err := initService()
		if err != nil {
			t.Fatal(err)
		}
		clerk.SetFault("", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: test.status})
		_, _, err = service.AuthHandler(t.Context(), &Params{Authorization: "Bearer " + token(t, "user_ada")})
		clerk.ClearFaults()
		if errs.Code(err) != test.code {
			t.Errorf("Clerk answers %d: got %v, want %v", test.status, err, test.code)
		}
	}
}

func TestRefusesToStart(t *testing.T) {
	local := encore.EnvironmentMeta{Cloud: encore.CloudLocal, Type: encore.EnvDevelopment}
	production := encore.EnvironmentMeta{Cloud: encore.CloudAWS, Type: encore.EnvProduction}
	defer func(configured config.Values[string]) { cfg.AuthorizedParties = configured }(cfg.AuthorizedParties)
	cfg.AuthorizedParties = func() []string { return nil }
	secrets.ClerkSecretKey = "sk_live_x"

	if _, err := authenticatorOptions(production); err == nil || !strings.Contains(err.Error(), "AuthorizedParties") {
		t.Errorf("production without authorized parties: %v", err)
	}
	cfg.AuthorizedParties = func() []string { return []string{"https://app.example.com"} }
	options, err := authenticatorOptions(production)
	if err != nil {
		t.Fatal(err)
	}
	if options.APIURL != "" || options.SecretKey != "sk_live_x" {
		t.Errorf("a deployed app is pointed elsewhere by its environment: %+v", options)
	}
	secrets.ClerkSecretKey = ""
	if _, err := authenticatorOptions(production); err == nil || !strings.Contains(err.Error(), "encore secret set") {
		t.Errorf("without a secret key: %v", err)
	}
	if options, err = authenticatorOptions(local); err != nil || options.APIURL != clerk.URL() || options.SecretKey != clerk.SecretKey() {
		t.Errorf("locally: %+v, %v", options, err)
	}
	et.SetCfg(cfg.UserMaxAge, "soon")
	if _, err := authenticatorOptions(local); err == nil || !strings.Contains(err.Error(), "UserMaxAge") {
		t.Errorf("a duration in words: %v", err)
	}
}
