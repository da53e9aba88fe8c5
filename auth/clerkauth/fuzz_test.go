package clerkauth_test

import (
	"context"
	"strings"
	"testing"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
)

// FuzzAuthenticate: every token except the seeds that Clerk signed is refused,
// with an *Error and without a panic.
func FuzzAuthenticate(f *testing.F) {
	fix := newFixture(f, acceptEvery)
	good := map[string]bool{}
	for _, options := range [][]fakeclerk.TokenOption{
		nil,
		{fakeclerk.Claim("email", "ada@example.com")},
		{fakeclerk.Claim("o", map[string]any{"id": "org_1", "rol": "admin", "slg": "one", "per": "read,manage", "fpm": "3,1"}), fakeclerk.Claim("fea", "o:a,o:b")},
		{fakeclerk.Claim("org_id", "org_1"), fakeclerk.Claim("org_role", "org:admin"), fakeclerk.Claim("v", nil)},
	} {
		token := fix.token(f, "user_ada", options...)
		good[token] = true
		f.Add(token)
		f.Add(token[:len(token)-1])
		f.Add(token + ".")
		header, rest, _ := strings.Cut(token, ".")
		f.Add(rest + "." + header)
	}
	for _, tokenType := range []string{fakeclerk.TypeM2MToken, fakeclerk.TypeOAuthToken} {
		subject := map[string]string{fakeclerk.TypeM2MToken: "mch_1", fakeclerk.TypeOAuthToken: "user_ada"}[tokenType]
		token := fix.issue(f, fakeclerk.MachineToken{Type: tokenType, Subject: subject, JWT: true}).Token
		good[token] = true
		f.Add(token)
		f.Add("ak_" + token)
	}
	for _, seed := range []string{"", ".", "..", "...", "a.b.c", "e30.e30.e30", "eyJhbGciOiJub25lIn0.e30.", "\x00", "eyJhbGciOiJSUzI1NiIsImtpZCI6Imluc19mYWtlY2xlcmsifQ.e30.AAAA"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		caller, err := fix.authenticator.Authenticate(context.Background(), token)
		switch {
		case err == nil && !good[token]:
			t.Fatalf("accepted %q as %s", token, caller.UserID)
		case err != nil && clerkauth.AsError(err).Kind != clerkauth.Unauthenticated:
			t.Fatalf("%q: %v", token, err)
		case err != nil && caller.UserID != "":
			t.Fatalf("a caller beside the error %v", err)
		}
	})
}

// FuzzBearerToken: the result is a part of the input, and never empty.
func FuzzBearerToken(f *testing.F) {
	for _, seed := range []string{"", "Bearer x", "bearer  x", "Bearer", "Bearer ", "Basic x", "Bearer\tx", "Bearer x y", "\x00Bearer x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, authorization string) {
		token, err := clerkauth.BearerToken(authorization)
		if (err == nil) != (token != "") {
			t.Fatalf("BearerToken(%q) = %q, %v", authorization, token, err)
		}
		if err == nil && (!strings.HasSuffix(authorization, token) || !strings.EqualFold(authorization[:7], "Bearer ")) {
			t.Fatalf("BearerToken(%q) = %q", authorization, token)
		}
	})
}
