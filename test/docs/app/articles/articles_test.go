//go:build docs && encore_local

package articles

import (
	"testing"

	"encore.dev/beta/errs"

	"encore.app/auth/clerkauth"
	"encore.app/authtest"
)

func TestAdminsPublish(t *testing.T) {
	authtest.SignIn(t, clerkauth.Caller{UserID: "user_ada"}, authtest.Claims{"metadata": map[string]any{"role": "admin"}})
	if err := Publish(t.Context(), "1"); err != nil {
		t.Error(err)
	}
}

func TestOthersDoNot(t *testing.T) {
	authtest.SignIn(t, clerkauth.Caller{UserID: "user_grace"})
	if err := Publish(t.Context(), "1"); errs.Code(err) != errs.PermissionDenied {
		t.Errorf("got %v, want a permission that is denied", err)
	}
}
