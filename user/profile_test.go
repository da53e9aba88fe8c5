//go:build encore_local

// These tests need Encore's runtime: encore test ./...

package user

import (
	"testing"

	"encore.dev/beta/errs"
	"encore.dev/et"

	"encore.app/auth"
	"encore.app/auth/clerkauth"
	"encore.app/user/profile"
)

func TestGetProfile(t *testing.T) {
	if _, err := GetProfile(t.Context()); errs.Code(err) != errs.Unauthenticated {
		t.Errorf("nobody: got %v, want unauthenticated", err)
	}
	for _, want := range []profile.Profile{
		{UserID: "user_ada", Email: "ada@example.com"},
		{UserID: "user_noemail", Email: ""},
	} {
		et.OverrideAuthInfo("user_ada", &auth.Data{Caller: clerkauth.Caller{
			TokenType: clerkauth.SessionToken, Subject: want.UserID, UserID: want.UserID, Email: want.Email,
		}})
		got, err := GetProfile(t.Context())
		if err != nil || *got != want {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
	}
}
