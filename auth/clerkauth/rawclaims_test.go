package clerkauth_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"golang.org/x/net/http/httpguts"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
)

// travel encodes and decodes a caller, as in a call between two services.
func travel(t *testing.T, caller clerkauth.Caller) clerkauth.Caller {
	t.Helper()
	encoded, err := json.Marshal(caller)
	if err != nil {
		t.Fatal(err)
	}
	if !httpguts.ValidHeaderFieldValue(string(encoded)) {
		t.Errorf("does not fit into a header: %q", encoded)
	}
	var arrived clerkauth.Caller
	if err := json.Unmarshal(encoded, &arrived); err != nil {
		t.Fatal(err)
	}
	return arrived
}

type withMetadata struct {
	Metadata struct {
		Role string `json:"role"`
	} `json:"metadata"`
}

func TestClaimsTravel(t *testing.T) {
	long := strings.Repeat("x", 4<<10)
	for _, test := range []struct {
		name  string
		carry []string
		long  string
		want  map[string]any // arrives
		tier  string         // the claim that has not arrived
	}{
		{"all custom claims", []string{"*"}, "", map[string]any{"metadata": map[string]any{"role": "ad\x7fmin\n é"}, "tier": 3.0, "long": ""}, ""},
		{"one", []string{"metadata"}, "", map[string]any{"metadata": map[string]any{"role": "ad\x7fmin\n é"}}, "tier"},
		{"a claim of Clerk's", []string{"tier", "sid"}, "", map[string]any{"tier": 3.0, "sid": "sess_1"}, ""},
		{"what fits", []string{"*"}, long, map[string]any{"metadata": map[string]any{"role": "ad\x7fmin\n é"}, "tier": 3.0}, ""},
		{"none", nil, "", map[string]any{}, "tier"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, func(o *clerkauth.Options) { o.CarryClaims = test.carry })
			caller, err := f.authenticate(t, "user_ada", fakeclerk.Claim("sid", "sess_1"), fakeclerk.Claim("tier", 3),
				fakeclerk.Claim("metadata", map[string]any{"role": "ad\x7fmin\n é"}), fakeclerk.Claim("long", test.long))
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // to a service, and to another from there
				caller = travel(t, caller)
				for name, want := range test.want {
					if r := clerkauth.Claim(name, want); !caller.Has(r) {
						t.Errorf("%s has not arrived", name)
					}
				}
				for _, name := range []string{"tier", "metadata", "long", "sid", "iss"} {
					if _, wanted := test.want[name]; wanted {
						continue
					}
					var notCarried *clerkauth.NotCarriedError
					if err := caller.Require(clerkauth.Claim(name, "x")); !errors.As(err, &notCarried) || notCarried.Claim != name {
						t.Errorf("%s: got %v", name, err)
					}
				}
			}
		})
	}
}

// A claim that was left out must not look like one that is absent: code may deny
// by a claim.
func TestClaimsThatDidNotTravel(t *testing.T) {
	f := newFixture(t, func(o *clerkauth.Options) { o.CarryClaims = []string{"metadata"} })
	caller, err := f.authenticate(t, "user_ada", fakeclerk.Claim("suspended", true),
		fakeclerk.Claim("metadata", map[string]any{"role": "admin"}))
	if err != nil {
		t.Fatal(err)
	}
	caller = travel(t, caller)
	var claims withMetadata
	if err := caller.Claims(&claims); err != nil || claims.Metadata.Role != "admin" {
		t.Errorf("got %+v, %v", claims, err)
	}
	for name, into := range map[string]any{
		"suspended": new(struct {
			Suspended bool `json:"suspended"`
		}),
		"sub": new(struct {
			Subject string `json:"sub"`
		}),
	} {
		var notCarried *clerkauth.NotCarriedError
		if err := caller.Claims(into); !errors.As(err, &notCarried) || notCarried.Claim != name {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := caller.Claims(new(map[string]any)); err == nil {
		t.Error("a map took the claims without the one that was left out")
	}
	absent := struct {
		Tier int `json:"tier"`
	}{}
	if err := caller.Claims(&absent); err != nil {
		t.Errorf("a claim that the token never had: %v", err)
	}
	nobody := travel(t, clerkauth.Caller{})
	if err := nobody.Claims(&claims); err == nil {
		t.Error("a caller without claims has claims after the way")
	}
}

func TestMapTakesAllClaimsThatTravelled(t *testing.T) {
	f := newFixture(t, func(o *clerkauth.Options) { o.CarryClaims = []string{"*"} })
	caller, err := f.authenticate(t, "user_ada", fakeclerk.Claim("tier", 3))
	if err != nil {
		t.Fatal(err)
	}
	caller = travel(t, caller)
	var claims map[string]any
	if err := caller.Claims(&claims); err != nil || len(claims) != 1 || claims["tier"] != 3.0 {
		t.Errorf("got %v, %v", claims, err)
	}
}

func TestNewClaims(t *testing.T) {
	claims, err := clerkauth.NewClaims(map[string]any{"metadata": map[string]any{"role": "admin"}})
	if err != nil {
		t.Fatal(err)
	}
	caller := clerkauth.Caller{UserID: "user_ada", TokenType: clerkauth.SessionToken, RawClaims: claims}
	for range 2 {
		var into withMetadata
		if err := caller.Claims(&into); err != nil || into.Metadata.Role != "admin" || !caller.Has(clerkauth.Claim("metadata.role", "admin")) {
			t.Errorf("got %+v, %v", into, err)
		}
		caller = travel(t, caller)
	}
	for _, value := range []any{nil, 5, []int{1}, make(chan int)} {
		if _, err := clerkauth.NewClaims(value); err == nil {
			t.Errorf("%T makes claims", value)
		}
	}
}

func TestCarryClaimsNamesClaims(t *testing.T) {
	for _, name := range []string{"", " metadata", "metadata\n"} {
		_, err := clerkauth.New(clerkauth.Options{SecretKey: "sk_test_x", CarryClaims: []string{name}})
		var wrong *clerkauth.OptionError
		if !errors.As(err, &wrong) || wrong.Option != "CarryClaims" {
			t.Errorf("%q: got %v", name, err)
		}
	}
}
