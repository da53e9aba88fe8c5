//go:build encore_local

// These tests need Encore's runtime: encore test ./...

package user

import (
	"testing"

	"encore.dev/beta/errs"
	"encore.dev/et"

	"encore.app/auth"
	"encore.app/auth/clerkauth"
)

func TestGetProfile(t *testing.T) {
	for _, want := range []Profile{
		{UserID: "user_ada", Email: "ada@example.com"},
		{UserID: "user_noemail", Email: ""},
	} {
		et.OverrideAuthInfo("user_ada", &auth.Data{Caller: clerkauth.Caller{UserID: want.UserID, Email: want.Email}})
		got, err := GetProfile(t.Context())
		if err != nil || *got != want {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
	}
}

func TestGetProfileNeedsAuth(t *testing.T) {
	if _, err := GetProfile(t.Context()); errs.Code(err) != errs.Unauthenticated {
		t.Errorf("got %v, want unauthenticated", err)
	}
}
