//go:build encore_local

package auth

import (
	"encoding/json"
	"testing"

	"encore.dev/beta/auth"
	"encore.dev/beta/errs"
	"encore.dev/et"
	jsoniter "github.com/json-iterator/go"

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

// Claims that a test sets are there, also after Encore has encoded auth data
// between services. Traces, which record it with encoding/json's names, have
// none of them.
func TestClaimsOfATest(t *testing.T) {
	claims, err := clerkauth.NewClaims(map[string]any{"metadata": map[string]any{"role": "admin"}})
	if err != nil {
		t.Fatal(err)
	}
	data := &Data{Caller: clerkauth.Caller{TokenType: clerkauth.SessionToken, Subject: "user_ada", UserID: "user_ada", RawClaims: claims}}
	recorded, err := json.Marshal(data)
	if err != nil || string(recorded) != "{}" {
		t.Errorf("traces record %s, %v", recorded, err)
	}
	// As in encore.dev/appruntime/apisdk/api, call_meta.go.
	authJSON := jsoniter.Config{ValidateJsonRawMessage: true, TagKey: "auth-json"}.Froze()
	encoded, err := authJSON.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	arrived := new(Data)
	if err := authJSON.Unmarshal(encoded, arrived); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]*Data{"in this process": data, "in another": arrived} {
		et.OverrideAuthInfo(auth.UID("user_ada"), data)
		if _, err := Require(clerkauth.Claim("metadata.role", "admin")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := Require(clerkauth.Claim("metadata.role", "owner")); errs.Code(err) != errs.PermissionDenied {
			t.Errorf("%s: an admin is owner: %v", name, err)
		}
	}
}
