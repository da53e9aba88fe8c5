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
	"encore.app/internal/fakeclerk"
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
	want := &Organization{ID: "org_analytical", Slug: "analytical", Role: "org:member", Permissions: []string{}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestListMembers(t *testing.T) {
	for _, test := range []struct {
		name, organization, role string
		params                   ListMembersParams
		code                     errs.ErrCode
		want                     int
	}{
		{"an admin", "org_analytical", "org:admin", ListMembersParams{}, errs.OK, 2},
		{"a page", "org_analytical", "org:admin", ListMembersParams{Limit: 1, Offset: 1}, errs.OK, 1},
		{"a member", "org_analytical", "org:member", ListMembersParams{}, errs.PermissionDenied, 0},
		{"no organization", "", "", ListMembersParams{}, errs.PermissionDenied, 0},
		{"an organization that is gone", "org_gone", "org:admin", ListMembersParams{}, errs.NotFound, 0},
		{"a page that is too large", "org_analytical", "org:admin", ListMembersParams{Limit: 101}, errs.InvalidArgument, 0},
		{"a page before the first", "org_analytical", "org:admin", ListMembersParams{Offset: -1}, errs.InvalidArgument, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			as(test.organization, test.role, 0)
			got, err := ListMembers(t.Context(), &test.params)
			if errs.Code(err) != test.code {
				t.Fatal(err)
			}
			if err == nil && (len(got.Members) != test.want || got.Total != 2) {
				t.Errorf("%d of %d members", len(got.Members), got.Total)
			}
		})
	}
}

func TestRemoveMember(t *testing.T) {
	for _, test := range []struct {
		name, role string
		minutes    int
		user       string
		code       errs.ErrCode
	}{
		{"a member", "org:member", 0, "user_grace", errs.PermissionDenied},
		{"an admin, verified long ago", "org:admin", 20, "user_grace", errs.PermissionDenied},
		{"an admin", "org:admin", 0, "user_grace", errs.OK},
		{"of a user who is no member", "org:admin", 0, "user_noemail", errs.NotFound},
		{"of the last admin", "org:admin", 0, "user_ada", errs.FailedPrecondition},
		{"of something else", "org:admin", 0, "../user_ada", errs.NotFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			as("org_analytical", test.role, test.minutes)
			if err := RemoveMember(t.Context(), test.user); errs.Code(err) != test.code {
				t.Error(err)
			}
		})
	}
}

func TestClerkFailing(t *testing.T) {
	as("org_analytical", "org:admin", 0)
	for _, test := range []struct {
		status int
		code   errs.ErrCode
	}{{500, errs.Unavailable}, {401, errs.Internal}} {
		service, err := initService()
		if err != nil {
			t.Fatal(err)
		}
		clerk.SetFault("", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: test.status})
		_, err = service.ListMembers(t.Context(), &ListMembersParams{Limit: 7})
		clerk.ClearFaults()
		if errs.Code(err) != test.code {
			t.Errorf("Clerk answers %d: got %v, want %v", test.status, err, test.code)
		}
	}
}
