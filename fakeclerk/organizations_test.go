package fakeclerk_test

import (
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"testing"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/jwt"
	"github.com/clerk/clerk-sdk-go/v2/organization"
	"github.com/clerk/clerk-sdk-go/v2/organizationmembership"

	"encore.app/fakeclerk"
)

func TestOrganizationsAreSwitchedOff(t *testing.T) {
	s := start(t, fakeclerk.Options{NoOrganizations: true})
	expect := func(status int) {
		t.Helper()
		for _, route := range []string{
			"GET /v1/organizations", "GET /v1/organizations/analytical", "GET /v1/organization_memberships",
			"GET /v1/organizations/org_analytical/memberships", "GET /v1/users/user_ada/organization_memberships",
		} {
			got := call(t, s, route, "")
			if got.status != status || status == http.StatusForbidden && got.errorCode() != "organization_not_enabled_in_instance" {
				t.Errorf("%s: %d %s", route, got.status, got.body)
			}
		}
		if got := call(t, s, "GET /v1/users", ""); got.status != http.StatusOK {
			t.Errorf("users: %d %s", got.status, got.body)
		}
	}
	expect(http.StatusForbidden)
	call(t, s, "PUT /fakeclerk/organizations", `{"enabled": true}`)
	expect(http.StatusOK)
	s.SetOrganizationsEnabled(false)
	expect(http.StatusForbidden)
}

func TestInstance(t *testing.T) {
	for key, environment := range map[string]string{"sk_test_x": "development", "sk_live_x": "production"} {
		s := start(t, fakeclerk.Options{InstanceID: "ins_1", SecretKey: key})
		got := call(t, s, "GET /v1/instance", "")
		if got.json["id"] != "ins_1" || got.json["environment_type"] != environment {
			t.Errorf("%s", got.body)
		}
	}
}

func TestClerkSDKReadsAndChangesOrganizations(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	organizations := organization.NewClient(sdkConfig(s))
	memberships := organizationmembership.NewClient(sdkConfig(s))
	ctx := t.Context()

	analytical, err := organizations.Get(ctx, "analytical")
	if err != nil || analytical.ID != "org_analytical" || *analytical.MembersCount != 2 {
		t.Fatalf("%+v, %v", analytical, err)
	}
	page, err := memberships.List(ctx, &organizationmembership.ListParams{
		OrganizationID: analytical.ID, OrderBy: clerk.String("+created_at"),
		ListParams: clerk.ListParams{Limit: clerk.Int64(1), Offset: clerk.Int64(1)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if page.TotalCount != 2 || len(page.OrganizationMemberships) != 1 {
		t.Fatalf("%s", page.Response.RawJSON)
	}
	grace := page.OrganizationMemberships[0]
	if grace.Role != "org:member" || grace.PublicUserData.UserID != "user_grace" || grace.PublicUserData.Identifier != "grace@example.com" || grace.Organization.Slug != "analytical" {
		t.Errorf("%s", page.Response.RawJSON)
	}

	created, err := organizations.Create(ctx, &organization.CreateParams{Name: clerk.String("Difference Engine"), CreatedBy: clerk.String("user_grace")})
	if err != nil || created.Slug != "difference-engine" {
		t.Fatalf("%+v, %v", created, err)
	}
	if _, err := memberships.Create(ctx, &organizationmembership.CreateParams{OrganizationID: created.ID, UserID: clerk.String("user_ada"), Role: clerk.String("org:member")}); err != nil {
		t.Error(err)
	}
	if m, err := memberships.Update(ctx, &organizationmembership.UpdateParams{OrganizationID: created.ID, UserID: "user_ada", Role: clerk.String("org:admin")}); err != nil || m.Role != "org:admin" {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := memberships.Delete(ctx, &organizationmembership.DeleteParams{OrganizationID: created.ID, UserID: "user_ada"}); err != nil {
		t.Error(err)
	}
	wantAPIError(t, http.StatusBadRequest, "organization_minimum_permissions_needed", func() error {
		_, err := memberships.Delete(ctx, &organizationmembership.DeleteParams{OrganizationID: created.ID, UserID: "user_grace"})
		return err
	})
	wantAPIError(t, http.StatusNotFound, "resource_not_found", func() error {
		_, err := memberships.Delete(ctx, &organizationmembership.DeleteParams{OrganizationID: created.ID, UserID: "user_noemail"})
		return err
	})
	if renamed, err := s.UpdateOrganization(created.ID, func(o *fakeclerk.Organization) { o.Name = "Engines" }); err != nil || renamed.Slug != created.Slug {
		t.Errorf("%+v, %v", renamed, err)
	}
	if _, err := s.UpdateOrganization(created.ID, func(o *fakeclerk.Organization) { o.Slug = "analytical" }); !errors.Is(err, fakeclerk.ErrOrganizationExists) {
		t.Errorf("a taken slug: %v", err)
	}
	if got, err := organizations.Get(ctx, created.ID); err != nil || got.Name != "Engines" {
		t.Errorf("%+v, %v", got, err)
	}
	if err := s.DeleteOrganization(created.ID); err != nil {
		t.Error(err)
	}
	wantAPIError(t, http.StatusNotFound, "resource_not_found", func() error {
		_, err := organizations.Get(ctx, created.ID)
		return err
	})
	if _, err := s.AddOrganization(fakeclerk.Organization{Name: "Analytical"}); !errors.Is(err, fakeclerk.ErrOrganizationExists) {
		t.Errorf("a taken slug: %v", err)
	}
	if err := s.DeleteUser("user_grace"); err != nil {
		t.Fatal(err)
	}
	if a := call(t, s, "GET /v1/organizations/org_analytical/memberships", ""); a.json["total_count"] != 1.0 {
		t.Errorf("a deleted user is still a member: %s", a.body)
	}
}

func TestSessionTokenNamesTheActiveOrganization(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	key, err := clerk.JSONWebKeyFromPEM(s.PublicKeyPEM())
	if err != nil {
		t.Fatal(err)
	}
	for user, want := range map[string][]string{
		"user_ada":   {"org:dashboard:manage", "org:dashboard:read", "org:teams:manage", "org:teams:read"},
		"user_grace": {"org:dashboard:read", "org:teams:read"},
	} {
		token, err := s.SessionToken(user, fakeclerk.ActiveOrganization("org_analytical"))
		if err != nil {
			t.Fatal(err)
		}
		claims, err := jwt.Verify(t.Context(), &jwt.VerifyParams{Token: token, JWK: key})
		if err != nil {
			t.Fatal(err)
		}
		if claims.ActiveOrganizationID != "org_analytical" || claims.ActiveOrganizationSlug != "analytical" || !reflect.DeepEqual(claims.ActiveOrganizationPermissions, want) {
			t.Errorf("%s: %+v", user, claims.Claims)
		}
	}
	if _, err := s.SessionToken("user_noemail", fakeclerk.ActiveOrganization("org_analytical")); !errors.Is(err, fakeclerk.ErrUnknownMembership) {
		t.Errorf("not a member: %v", err)
	}

	a := call(t, s, "GET /token?user_id=user_grace&org=analytical", "")
	if _, claims := decode(t, a.body); claims["o"].(map[string]any)["rol"] != "member" {
		t.Errorf("%v", claims)
	}
	a = call(t, s, "GET /token?user_id=user_grace&org=analytical&claims="+url.QueryEscape(`{"o":null}`), "")
	if _, claims := decode(t, a.body); claims["o"] != nil {
		t.Errorf("claims do not win over org: %v", claims)
	}
	if a := call(t, s, "GET /token?user_id=user_noemail&org=analytical", ""); a.status != http.StatusNotFound {
		t.Errorf("not a member: %d", a.status)
	}
}
