//go:build encore_local

// These tests need Encore's runtime: encore test ./...

package user

import (
	"testing"

	"encore.dev/beta/errs"

	"encore.app/auth/clerkauth"
	"encore.app/authtest"
	"encore.app/user/profile"
)

func TestGetProfile(t *testing.T) {
	if _, err := GetProfile(t.Context()); errs.Code(err) != errs.Unauthenticated {
		t.Errorf("nobody: got %v, want unauthenticated", err)
	}
	authtest.SignIn(t, clerkauth.Caller{UserID: "user_ada", Email: "ada@example.com"})
	want := profile.Profile{UserID: "user_ada", Email: "ada@example.com"}
	if got, err := GetProfile(t.Context()); err != nil || *got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	authtest.SignIn(t, clerkauth.Caller{UserID: "user_noemail"})
	want = profile.Profile{UserID: "user_noemail", Email: ""}
	if got, err := GetProfile(t.Context()); err != nil || *got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}
