//go:build encore_local

package auth

import (
	"encoding/json"
	"errors"
	"testing"

	"encore.dev/beta/auth"
	"encore.dev/beta/errs"
	"encore.dev/et"

	"encore.app/auth/clerkauth"
)

func TestRequire(t *testing.T) {
	admin, strict := clerkauth.Role("org:admin"), clerkauth.Reverify(clerkauth.Strict)
	caller := func(role string, minutes int) *Data {
		return &Data{Caller: clerkauth.Caller{
			UserID:                "user_ada",
			Organization:          clerkauth.Organization{ID: "org_1", Role: role},
			FactorVerificationAge: clerkauth.FactorVerificationAge{Known: true, FirstFactor: minutes, SecondFactor: -1},
		}}
	}
	const hint = `{"clerk_error":{"type":"forbidden","reason":"reverification-error","metadata":{"reverification":"strict"}}}`
	for _, test := range []struct {
		name         string
		caller       *Data
		requirements []clerkauth.Requirement
		code         errs.ErrCode
		details      string
	}{
		{"all that is required", caller("org:admin", 0), []clerkauth.Requirement{admin, strict}, errs.OK, ""},
		{"another role", caller("org:member", 0), []clerkauth.Requirement{admin}, errs.PermissionDenied, "null"},
		{"a stale factor", caller("org:admin", 20), []clerkauth.Requirement{admin, strict}, errs.PermissionDenied, hint},
		{"another role and a stale factor", caller("org:member", 20), []clerkauth.Requirement{strict, admin}, errs.PermissionDenied, "null"},
		{"nothing is required", caller("org:admin", 0), nil, errs.PermissionDenied, "null"},
		{"nobody", nil, []clerkauth.Requirement{admin}, errs.Unauthenticated, "null"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.caller != nil {
				et.OverrideAuthInfo(auth.UID(test.caller.UserID), test.caller)
			}
			got, err := Require(test.requirements...)
			if errs.Code(err) != test.code || (got != nil) != (err == nil) {
				t.Fatalf("got %v, %v", got, err)
			}
			var refused *errs.Error
			if !errors.As(err, &refused) {
				return
			}
			if details, err := json.Marshal(refused.Details); err != nil || string(details) != test.details {
				t.Errorf("details %s, %v, want %s", details, err, test.details)
			}
		})
	}
}
