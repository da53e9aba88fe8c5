package clerkauth_test

import (
	"errors"
	"strings"
	"testing"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
)

func TestCallersOfOneTokenShareNothing(t *testing.T) {
	f := newFixture(t)
	token := f.token(t, "user_ada",
		fakeclerk.Claim("fea", "o:teams,u:export"), fakeclerk.Claim("pla", "u:pro"), fakeclerk.Claim("act", map[string]string{"sub": "user_support"}),
		fakeclerk.Claim("o", map[string]string{"id": "org_1", "rol": "member", "per": "read", "fpm": "1"}))
	authenticate := func() clerkauth.Caller {
		caller, err := f.authenticator.Authenticate(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		return caller
	}
	for range 3 { // the first verification and two of the cached token
		caller := authenticate()
		caller.Organization.Permissions[0] = "org:everything:manage"
		caller.Features[1] = "u:everything"
		caller.Plans[0] = "u:gold"
		caller.Actor.Subject = ""
	}
	caller := authenticate()
	if !caller.Has(clerkauth.Permission("teams:read"), clerkauth.Feature("export"), clerkauth.Plan("pro")) || caller.Actor.Subject != "user_support" {
		t.Errorf("another request changed the caller: %+v, actor %+v", caller, caller.Actor)
	}
}

func TestCallerOfASessionTokenIsAUser(t *testing.T) {
	f := newFixture(t)
	caller, err := f.authenticate(t, "user_ada")
	if err != nil || caller.TokenType != clerkauth.SessionToken || caller.Subject != "user_ada" || caller.Scopes != nil || caller.ClientID != "" {
		t.Errorf("%+v, %v", caller, err)
	}
}

func TestClaims(t *testing.T) {
	f := newFixture(t)
	caller, err := f.authenticate(t, "user_ada",
		fakeclerk.Claim("metadata", map[string]any{"level": 7}), fakeclerk.Claim("email", "claim@example.com"))
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Subject  string `json:"sub"`
		Metadata struct {
			Level int `json:"level"`
		} `json:"metadata"`
	}
	if err := caller.Claims(&claims); err != nil || claims.Subject != "user_ada" || claims.Metadata.Level != 7 {
		t.Errorf("%+v, %v", claims, err)
	}

	var otherCase struct {
		Subject string `json:"SUB"`
	}
	if err := caller.Claims(&otherCase); err != nil || otherCase.Subject != "" {
		t.Errorf("sub was decoded as SUB: %+v, %v", otherCase, err)
	}

	var wrong struct {
		Email int `json:"email"`
	}
	err = caller.Claims(&wrong)
	var mismatch *clerkauth.ClaimTypeError
	if !errors.As(err, &mismatch) || mismatch.Claim != "/email" || strings.Contains(err.Error(), "claim@") {
		t.Errorf("got %v, want a *ClaimTypeError about /email that holds no value", err)
	}
	if err := caller.Claims(claims); err == nil {
		t.Error("claims were decoded into something that is not a pointer")
	}
	if err := new(clerkauth.Caller).Claims(&claims); err == nil {
		t.Error("a caller who was not authenticated has claims")
	}
}

func TestIssuerThatLooksLikeClerks(t *testing.T) {
	f := newFixture(t)
	for issuer, want := range map[string]bool{
		"https://clerk.example.com":                 true,
		"https://happy-hippo-1.clerk.accounts.dev":  true,
		"https://clerk.happy.hippo-1.lcl.dev":       true,
		"http://clerk.example.com":                  false,
		"https://clerk.example.com/":                false,
		"https://clerk.example.com:8443":            false,
		"https://clerk.@evil.example":               false,
		"https://evil.example/.clerk.accounts.dev":  false,
		"https://a.clerk.accounts.dev.evil.example": false,
		"HTTPS://clerk.example.com":                 false,
		"https://":                                  false,
		"":                                          false,
	} {
		_, err := f.authenticate(t, "user_ada", fakeclerk.Claim("iss", issuer))
		if want && err != nil {
			t.Errorf("%q: %v", issuer, err)
		}
		if !want {
			wantError(t, err, clerkauth.Unauthenticated, clerkauth.ReasonInvalidIssuer)
		}
	}
}

func TestRememberedTokenAllocatesNothing(t *testing.T) {
	f := newFixture(t)
	token := f.token(t, "user_ada")
	ctx := t.Context()
	allocations := testing.AllocsPerRun(200, func() {
		if _, err := f.authenticator.Authenticate(ctx, token); err != nil {
			t.Fatal(err)
		}
	})
	if allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
}
