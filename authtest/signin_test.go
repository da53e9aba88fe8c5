//go:build encore_local

package authtest_test

import (
	"testing"

	"encore.dev/beta/errs"

	"encore.app/auth"
	"encore.app/auth/clerkauth"
	"encore.app/authtest"
)

func TestSignIn(t *testing.T) {
	authtest.SignIn(t, clerkauth.Caller{UserID: "user_ada", Email: "ada@example.com", Organization: clerkauth.Organization{Role: "org:admin"}},
		authtest.Claims{"metadata": map[string]any{"role": "editor"}})
	caller, err := auth.Require(clerkauth.Role("org:admin"), clerkauth.Claim("metadata.role", "editor"), clerkauth.InPerson())
	if err != nil || caller.UserID != "user_ada" || caller.Subject != "user_ada" || caller.Email != "ada@example.com" || caller.TokenType != clerkauth.SessionToken {
		t.Errorf("got %+v, %v", caller, err)
	}
	var claims struct {
		Sub string `json:"sub"`
	}
	if err := caller.Claims(&claims); err != nil || claims.Sub != "user_ada" {
		t.Errorf("claims: %+v, %v", claims, err)
	}
	if _, err := auth.Require(clerkauth.Claim("metadata.role", "admin")); errs.Code(err) != errs.PermissionDenied {
		t.Errorf("an editor is an admin: %v", err)
	}

	authtest.SignIn(t, clerkauth.Caller{UserID: "user_ada", Actor: &clerkauth.Actor{Subject: "user_support"}})
	if _, err := auth.Require(clerkauth.InPerson()); errs.Code(err) != errs.PermissionDenied {
		t.Errorf("somebody else in the user's place: %v", err)
	}

	authtest.SignIn(t, clerkauth.Caller{TokenType: clerkauth.M2MToken, Subject: "mch_reports", Scopes: []string{"mch_inventory"}})
	caller, err = auth.Require(clerkauth.Scope("mch_inventory"))
	if err != nil || caller.Subject != "mch_reports" || caller.UserID != "" || caller.SessionID != "" {
		t.Errorf("a machine: %+v, %v", caller, err)
	}
}
