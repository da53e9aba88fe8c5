//go:build encore_local

package auth

import (
	"testing"

	"encore.dev/beta/auth"
	"encore.dev/beta/errs"
	"encore.dev/et"

	"encore.app/auth/clerkauth"
)

func TestRequire(t *testing.T) {
	if _, err := Require(clerkauth.Role("org:admin")); errs.Code(err) != errs.Unauthenticated {
		t.Errorf("nobody: %v", err)
	}
	et.OverrideAuthInfo(auth.UID("user_ada"), &Data{Caller: clerkauth.Caller{
		TokenType: clerkauth.SessionToken, Subject: "user_ada", UserID: "user_ada",
		Organization: clerkauth.Organization{ID: "org_1", Role: "org:admin"},
	}})
	if caller, err := Require(clerkauth.Role("org:admin")); err != nil || caller.UserID != "user_ada" {
		t.Errorf("an admin: %+v, %v", caller, err)
	}
	if _, err := Require(clerkauth.Role("org:owner")); errs.Code(err) != errs.PermissionDenied {
		t.Errorf("an admin who is no owner: %v", err)
	}
}
