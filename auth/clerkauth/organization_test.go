package clerkauth_test

import (
	"reflect"
	"strings"
	"testing"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
)

// having gives the caller whose token has these claims in addition to the usual
// ones; a nil value takes a claim away.
func (f *fixture) having(t *testing.T, claims map[string]any) (clerkauth.Caller, error) {
	t.Helper()
	var options []fakeclerk.TokenOption
	for name, value := range claims {
		options = append(options, fakeclerk.Claim(name, value))
	}
	return f.authenticate(t, "user_ada", options...)
}

func TestCallerHasWhatTheTokenGrants(t *testing.T) {
	f := newFixture(t)
	type claims = map[string]any
	o := func(fields claims) claims {
		all := claims{"id": "org_1", "slg": "one", "rol": "admin", "per": "manage,read", "fpm": "3,2"}
		for name, value := range fields {
			all[name] = value
		}
		return all
	}
	active := func(permissions ...string) clerkauth.Organization {
		return clerkauth.Organization{ID: "org_1", Slug: "one", Role: "org:admin", Permissions: permissions}
	}
	many := strings.TrimSuffix(strings.Repeat("p,", 69), ",") + ",last" // 70 permissions

	for _, test := range []struct {
		name   string
		claims claims
		want   clerkauth.Organization
	}{
		{"no organization is active", claims{}, clerkauth.Organization{}},
		{"version 2, as in Clerk's documentation", claims{"o": o(nil), "fea": "o:dashboard,o:teams"},
			active("org:dashboard:manage", "org:dashboard:read", "org:teams:read")},
		{"the user's own features take no place in the map", claims{"o": o(nil), "fea": "u:export,o:dashboard,uo:teams"},
			active("org:dashboard:manage", "org:dashboard:read", "org:teams:read")},
		{"white space around names and numbers", claims{"o": o(claims{"per": "manage, read", "fpm": " 3, 2"}), "fea": "o:dashboard, o:teams"},
			active("org:dashboard:manage", "org:dashboard:read", "org:teams:read")},
		{"more features than numbers", claims{"o": o(claims{"fpm": "1"}), "fea": "o:dashboard,o:teams"}, active("org:dashboard:manage")},
		{"bits beyond the permissions", claims{"o": o(claims{"fpm": "13"}), "fea": "o:dashboard"}, active("org:dashboard:manage")},
		{"more than 64 permissions", claims{"o": o(claims{"per": many, "fpm": "590295810358705651712"}), "fea": "o:x"}, active("org:x:last")},
		{"a number that is none grants nothing", claims{"o": o(claims{"fpm": "-1,+3"}), "fea": "o:dashboard,o:teams"}, active()},
		{"hexadecimal grants nothing", claims{"o": o(claims{"fpm": "0x3,1_1"}), "fea": "o:dashboard,o:teams"}, active()},
		{"an empty feature or permission name grants nothing", claims{"o": o(claims{"per": ",read", "fpm": "3,3"}), "fea": "o:,o:teams"}, active("org:teams:read")},
		{"no features", claims{"o": o(nil)}, active()},
		{"no role", claims{"o": o(claims{"rol": ""})}, clerkauth.Organization{ID: "org_1", Slug: "one"}},
		{"an organization without an id", claims{"o": o(claims{"id": ""}), "fea": "o:dashboard"}, clerkauth.Organization{}},
		{"version 2 ignores the claims of version 1", claims{"org_id": "org_2", "org_role": "org:admin"}, clerkauth.Organization{}},
		{"version 1", claims{"v": nil, "org_id": "org_1", "org_slug": "one", "org_role": "org:admin", "org_permissions": []string{"org:teams:read"}},
			active("org:teams:read")},
		{"version 1 ignores the claims of version 2", claims{"v": nil, "o": o(nil), "fea": "o:dashboard"}, clerkauth.Organization{}},
		{"a version that is not known yet", claims{"v": 3, "o": o(nil), "org_id": "org_1", "org_role": "org:admin"}, clerkauth.Organization{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			caller, err := f.having(t, test.claims)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(caller.Organization, test.want) {
				t.Errorf("got %+v, want %+v", caller.Organization, test.want)
			}
		})
	}
}

// The SDK refuses some of these tokens altogether, which is as good.
func TestMalformedClaimsGrantNothing(t *testing.T) {
	f := newFixture(t)
	good := map[string]any{"id": "org_1", "slg": "one", "rol": "admin", "per": "read", "fpm": "1"}
	everything := []clerkauth.Requirement{
		clerkauth.Role("admin"), clerkauth.Permission("org:teams:read"), clerkauth.Feature("teams"),
		clerkauth.Plan("gold"), clerkauth.Reverify(clerkauth.Lax),
	}
	for name, claims := range map[string]map[string]any{
		"o is a string":              {"o": "org_1", "fea": "o:teams"},
		"o is a list":                {"o": []any{good}, "fea": "o:teams"},
		"o.id is a number":           {"o": map[string]any{"id": 1, "rol": "admin", "per": "read", "fpm": "1"}, "fea": "o:teams"},
		"o.rol is a list":            {"o": map[string]any{"id": "org_1", "rol": []string{"admin"}}},
		"o.fpm is a number":          {"o": map[string]any{"id": "org_1", "rol": "admin", "per": "read", "fpm": 1}, "fea": "o:teams"},
		"fea is a list":              {"o": good, "fea": []string{"o:teams"}},
		"pla is an object":           {"pla": map[string]any{"u": "gold"}},
		"v is a string":              {"v": "2", "o": good, "org_id": "org_1", "org_role": "org:admin", "fea": "o:teams"},
		"org_permissions is text":    {"v": nil, "org_id": "org_1", "org_role": "org:admin", "org_permissions": "org:teams:read"},
		"org_permissions are mixed":  {"v": nil, "org_id": "org_1", "org_role": "org:admin", "org_permissions": []any{"org:teams:read", 1}},
		"fva is a number":            {"fva": 0},
		"fva has one age":            {"fva": []int{0}},
		"fva has three ages":         {"fva": []int{0, 0, 0}},
		"fva has a fraction":         {"fva": []float64{0.5, 0}},
		"fva is below never":         {"fva": []int{-2, 0}},
		"fva holds null":             {"fva": []any{nil, nil}},
		"fva holds text":             {"fva": []string{"0", "0"}},
		"fva is absent":              {"fva": nil},
		"fva says never, both times": {"fva": []int{-1, -1}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, ok := claims["fva"]; !ok {
				claims["fva"] = nil
			}
			caller, err := f.having(t, claims)
			if err != nil {
				return
			}
			for _, r := range everything {
				if r.String() == "feature teams" && claims["fea"] == "o:teams" {
					continue // a separate valid claim
				}
				if caller.Has(r) {
					t.Errorf("has %s: %+v", r, caller)
				}
			}
		})
	}
}

func TestCallerNamesTheActor(t *testing.T) {
	f := newFixture(t)
	for _, test := range []struct {
		name string
		act  any
		want *clerkauth.Actor
	}{
		{"nobody", nil, nil},
		{"a person", map[string]any{"iss": "https://dashboard.clerk.com", "sub": "user_support", "sid": "sess_1"}, &clerkauth.Actor{Subject: "user_support"}},
		{"an agent", map[string]any{"sub": "agent_1", "type": "agent"}, &clerkauth.Actor{Subject: "agent_1", Type: "agent"}},
		{"somebody who cannot be read", "user_support", &clerkauth.Actor{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			caller, err := f.having(t, map[string]any{"act": test.act})
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(caller.Actor, test.want) {
				t.Errorf("got %+v, want %+v", caller.Actor, test.want)
			}
		})
	}
}

func TestRememberedTokenGrantsTheSame(t *testing.T) {
	f := newFixture(t)
	token := f.token(t, "user_ada", fakeclerk.Claim("fea", "u:export"), fakeclerk.Claim("pla", "u:pro"), fakeclerk.Claim("fva", []int{3, -1}))
	first, err := f.authenticator.Authenticate(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	second, err := f.authenticator.Authenticate(t.Context(), token)
	if err != nil || !reflect.DeepEqual(first, second) {
		t.Errorf("%+v, then %+v, %v", first, second, err)
	}
	if !second.Has(clerkauth.Feature("export"), clerkauth.Plan("user:pro"), clerkauth.Reverify(clerkauth.Strict)) {
		t.Errorf("%+v", second)
	}
}
