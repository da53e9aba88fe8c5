//go:build encore_local

// These tests need Encore's runtime: encore test ./...

package organization

import (
	"log"
	"os"
	"reflect"
	"testing"

	encoreauth "encore.dev/beta/auth"
	"encore.dev/beta/errs"
	"encore.dev/et"

	"encore.app/auth"
	"encore.app/auth/clerkauth"
	"encore.app/examples/organization/members"
	"encore.app/fakeclerk"
)

var clerk *fakeclerk.Server

func TestMain(m *testing.M) {
	var err error
	if clerk, err = fakeclerk.Start(fakeclerk.Options{}); err != nil {
		log.Fatal(err)
	}
	os.Setenv("CLERK_API_URL", clerk.URL())
	os.Setenv("CLERK_SECRET_KEY", clerk.SecretKey())
	code := m.Run()
	clerk.Close()
	os.Exit(code)
}

// as makes the calls of a test those of a user with a role in an organization.
func as(organizationID, role string, minutes int) {
	et.OverrideAuthInfo(encoreauth.UID("user_ada"), &auth.Data{Caller: clerkauth.Caller{
		TokenType:             clerkauth.SessionToken,
		Subject:               "user_ada",
		UserID:                "user_ada",
		Organization:          clerkauth.Organization{ID: organizationID, Slug: "analytical", Role: role},
		FactorVerificationAge: clerkauth.FactorVerificationAge{Known: true, FirstFactor: minutes, SecondFactor: -1},
	}})
}

func TestGetOrganization(t *testing.T) {
	as("", "", 0)
	if _, err := GetOrganization(t.Context()); errs.Code(err) != errs.PermissionDenied {
		t.Errorf("without an organization: %v", err)
	}
	as("org_analytical", "org:member", 0)
	got, err := GetOrganization(t.Context())
	want := &members.Organization{ID: "org_analytical", Slug: "analytical", Role: "org:member", Permissions: []string{}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
}

// The rules have their tests in the package members: here, the endpoint asks for
// what it requires.
func TestRemoveMember(t *testing.T) {
	for _, test := range []struct {
		name, role string
		minutes    int
		code       errs.ErrCode
	}{
		{"a member", "org:member", 0, errs.PermissionDenied},
		{"an admin, verified long ago", "org:admin", 20, errs.PermissionDenied},
		{"an admin", "org:admin", 0, errs.OK},
	} {
		as("org_analytical", test.role, test.minutes)
		if err := RemoveMember(t.Context(), "user_grace"); errs.Code(err) != test.code {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
