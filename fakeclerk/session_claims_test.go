package fakeclerk_test

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	"encore.app/fakeclerk"
)

// The first cases are those of Clerk's page on JWT templates.
func TestSessionTokenClaims(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	maria, err := s.AddUser(fakeclerk.User{
		FirstName: "Maria", EmailAddresses: []fakeclerk.EmailAddress{{EmailAddress: "maria@example.com"}},
		PublicMetadata: map[string]any{"role": "admin", "profile": map[string]any{"interests": []any{"reading", "climbing"}}, "off": false},
		UnsafeMetadata: map[string]any{"foo": map[string]any{"bar": 42}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddMembership("org_analytical", maria.ID, ""); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ template, want any }{
		{"https://my-site.com", "https://my-site.com"},
		{1, 1.0},
		{map[string]any{"bar": []int{1, 2}}, map[string]any{"bar": []any{1.0, 2.0}}},
		{"{{user.id}}", maria.ID},
		{"{{user.last_name}} {{user.first_name}}", "null Maria"},
		{"{{user.primary_email_address}}", "maria@example.com"},
		{"{{user.primary_phone_address}}", nil},
		{"{{user.created_at}}", float64(maria.CreatedAt.Unix())},
		{"{{user.public_metadata.profile.interests}}", []any{"reading", "climbing"}},
		{"{{user.public_metadata.role}}", "admin"},
		{"role: {{user.public_metadata.role}}", "role: admin"},
		{[]any{"{{user.public_metadata.role}}"}, []any{"admin"}},
		{"{{user.unsafe_metadata}}", map[string]any{"foo": map[string]any{"bar": 42.0}}},
		{"{{user.i_dont_exist}}", nil},
		{"{{user.email_verified || user.phone_number_verified}}", true},
		{"{{user.public_metadata.nickname || 'Awesome User'}}", "Awesome User"},
		{"{{user.public_metadata.age || user.unsafe_metadata.age || 30 }}", 30.0},
		{"{{user.public_metadata.off || false}}", false},
		{"{{user.private_metadata}}", nil},
		{"{{org.slug}}", "analytical"},
		{"{{org.role}}", "org:member"},
		{"{{user.organizations}}", map[string]any{"org_analytical": "org:member"}},
	} {
		if err := s.SetSessionTokenClaims(map[string]any{"claim": test.template}); err != nil {
			t.Fatal(err)
		}
		token, err := s.SessionToken(maria.ID, fakeclerk.ActiveOrganization("analytical"))
		if err != nil {
			t.Fatal(err)
		}
		if _, claims := decode(t, token); !reflect.DeepEqual(claims["claim"], test.want) {
			t.Errorf("%v: got %v, want %v", test.template, claims["claim"], test.want)
		}
	}
}

func TestCustomClaimsOverrideNoneOfClerks(t *testing.T) {
	for _, name := range []string{"sub", "sid", "exp", "azp", "o", "act", "v", "org_role"} {
		if _, err := fakeclerk.Start(fakeclerk.Options{SessionTokenClaims: map[string]any{name: "x"}}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	s := start(t, fakeclerk.Options{SessionTokenClaims: map[string]any{"tier": "{{user.public_metadata.tier}}", "org": "{{org.id}}"}})
	token, err := s.SessionToken("user_ada", fakeclerk.Claim("tier", 3)) // a test has the last word
	if err != nil {
		t.Fatal(err)
	}
	if _, claims := decode(t, token); claims["tier"] != 3.0 || claims["org"] != nil || claims["sub"] != "user_ada" {
		t.Errorf("got %v", claims)
	}
}

func TestMetadataIsMerged(t *testing.T) {
	s := start(t, fakeclerk.Options{SessionTokenClaims: map[string]any{"metadata": "{{user.public_metadata}}"}})
	for _, step := range []struct {
		body string
		want map[string]any
	}{
		{`{"public_metadata":{"role":"admin","a":{"b":1}}}`, map[string]any{"role": "admin", "a": map[string]any{"b": 1.0}}},
		{`{"public_metadata":{"role":null,"a":{"c":2}},"private_metadata":{"x":1}}`, map[string]any{"a": map[string]any{"b": 1.0, "c": 2.0}}},
		{`{}`, map[string]any{"a": map[string]any{"b": 1.0, "c": 2.0}}},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, s.URL()+"/v1/users/user_ada/metadata", strings.NewReader(step.body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+s.SecretKey())
		request.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		token, err := s.SessionToken("user_ada")
		if err != nil {
			t.Fatal(err)
		}
		if _, claims := decode(t, token); response.StatusCode != http.StatusOK || !reflect.DeepEqual(claims["metadata"], step.want) {
			t.Errorf("%s: %d, got %v", step.body, response.StatusCode, claims["metadata"])
		}
	}
}
