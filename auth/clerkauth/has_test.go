package clerkauth_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
)

func TestHas(t *testing.T) {
	caller := clerkauth.Caller{
		UserID:                "user_ada",
		Organization:          clerkauth.Organization{ID: "org_1", Role: "org:admin", Permissions: []string{"org:teams:manage"}},
		Features:              []string{"o:dashboard", "u:export", "uo:search", "x:hidden"},
		Plans:                 []string{"u:pro"},
		FactorVerificationAge: clerkauth.FactorVerificationAge{Known: true, FirstFactor: 5, SecondFactor: -1},
	}
	noOrganization := caller
	noOrganization.Organization.ID = ""
	nobody := caller
	nobody.UserID = ""

	has := func(requirements ...clerkauth.Requirement) []clerkauth.Requirement { return requirements }
	for _, test := range []struct {
		name         string
		caller       *clerkauth.Caller
		requirements []clerkauth.Requirement
		want         bool
	}{
		{"the role", &caller, has(clerkauth.Role("org:admin")), true},
		{"the role without org:", &caller, has(clerkauth.Role("admin")), true},
		{"the role with org: twice", &caller, has(clerkauth.Role("org:org:admin")), true},
		{"another role", &caller, has(clerkauth.Role("org:member")), false},
		{"a role in another case", &caller, has(clerkauth.Role("org:Admin")), false},
		{"no role", &caller, has(clerkauth.Role("")), false},
		{"a role while no organization is active", &noOrganization, has(clerkauth.Role("org:admin")), false},
		{"the permission", &caller, has(clerkauth.Permission("org:teams:manage")), true},
		{"the permission without org:", &caller, has(clerkauth.Permission("teams:manage")), true},
		{"another permission", &caller, has(clerkauth.Permission("org:teams:read")), false},
		{"a permission while no organization is active", &noOrganization, has(clerkauth.Permission("teams:manage")), false},
		{"the organization's feature", &caller, has(clerkauth.Feature("org:dashboard")), true},
		{"the organization's feature, of the user", &caller, has(clerkauth.Feature("user:dashboard")), false},
		{"the user's feature", &caller, has(clerkauth.Feature("u:export")), true},
		{"a feature of anybody", &caller, has(clerkauth.Feature("export"), clerkauth.Feature("dashboard")), true},
		{"a feature of both", &caller, has(clerkauth.Feature("organization:search"), clerkauth.Feature("user:search")), true},
		{"a feature in a scope of its own", &caller, has(clerkauth.Feature("hidden")), false},
		{"a feature in a scope that does not exist", &caller, has(clerkauth.Feature("x:hidden")), false},
		{"no feature", &caller, has(clerkauth.Feature("")), false},
		{"the plan", &caller, has(clerkauth.Plan("pro")), true},
		{"another plan", &caller, has(clerkauth.Plan("gold")), false},
		{"everything at once", &caller, has(clerkauth.Role("admin"), clerkauth.Feature("export"), clerkauth.Plan("pro"), clerkauth.Reverify(clerkauth.Strict)), true},
		{"all but one", &caller, has(clerkauth.Role("admin"), clerkauth.Plan("gold")), false},
		{"nothing", &caller, nil, false},
		{"a requirement that was not made", &caller, has(clerkauth.Requirement{}), false},
		{"of nobody", &nobody, has(clerkauth.Role("admin")), false},
		{"of no caller", nil, has(clerkauth.Role("admin")), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.caller.Has(test.requirements...); got != test.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestClaimRequirement(t *testing.T) {
	claims, err := clerkauth.NewClaims(map[string]any{
		"metadata": map[string]any{"role": "admin", "roles": []any{"editor", 3}, "level": 7, "tenant": uint64(1<<53 + 1), "beta": true, "none": nil},
		"email":    "ada@example.com", "https://example.com/role": "owner", "a": map[string]any{"b.c": 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	user := clerkauth.Caller{TokenType: clerkauth.SessionToken, UserID: "user_ada", RawClaims: claims}
	machine := user
	machine.TokenType = clerkauth.M2MToken
	type role string
	for _, test := range []struct {
		name   string
		values []any
		want   bool
	}{
		{"metadata.role", []any{"admin"}, true},
		{"metadata.role", []any{role("admin")}, true},
		{"metadata.role", []any{"owner", "admin"}, true},
		{"metadata.role", []any{"Admin"}, false},
		{"metadata.role", nil, false},
		{"metadata.role", []any{""}, false},
		{"metadata.role", []any{make(chan int)}, false},
		{"metadata.roles", []any{"editor"}, true},
		{"metadata.roles", []any{3}, true},
		{"metadata.roles", []any{"admin"}, false},
		{"metadata.roles", []any{[]any{"editor", 3}}, true},
		{"metadata.level", []any{7.0}, true},
		{"metadata.level", []any{"7"}, false},
		{"metadata.tenant", []any{1<<53 + 1}, true},
		{"metadata.tenant", []any{1 << 53}, false}, // the same float64
		{"metadata.beta", []any{true}, true},
		{"metadata.none", []any{nil}, true},
		{"metadata.absent", []any{nil}, false},
		{"metadata", []any{"admin"}, false},
		{"email.role", []any{"admin"}, false},
		{"absent.role", []any{"admin"}, false},
		{"/https:~1~1example.com~1role", []any{"owner"}, true},
		{"/metadata/role", []any{"admin"}, true},
		{"/a/b.c", []any{1}, true},
		{"", []any{""}, false},
	} {
		requirement := clerkauth.Claim(test.name, test.values...)
		if got := user.Has(requirement); got != test.want {
			t.Errorf("%s %v: got %v", test.name, test.values, got)
		}
		if machine.Has(requirement) {
			t.Errorf("%s %v: a machine has it by its own word", test.name, test.values)
		}
	}
	if got := clerkauth.Claim("metadata.role", "admin", "owner").String(); got != `claim metadata.role "admin" or "owner"` {
		t.Errorf("got %s", got)
	}
}

func TestInPerson(t *testing.T) {
	session := clerkauth.Caller{TokenType: clerkauth.SessionToken, UserID: "user_ada"}
	impersonated, agent, machine := session, session, session
	impersonated.Actor = &clerkauth.Actor{}
	agent.Actor = &clerkauth.Actor{Subject: "agent_1", Type: "agent"}
	machine.TokenType = clerkauth.APIKey
	for name, test := range map[string]struct {
		caller *clerkauth.Caller
		want   bool
	}{
		"the user": {&session, true}, "an impersonator": {&impersonated, false}, "an agent": {&agent, false},
		"a machine": {&machine, false}, "nobody": {&clerkauth.Caller{}, false}, "no caller": {nil, false},
	} {
		if got := test.caller.Has(clerkauth.InPerson()); got != test.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestReverification(t *testing.T) {
	level := func(level clerkauth.Level) clerkauth.Reverification {
		return clerkauth.Reverification{Level: level, AfterMinutes: 10}
	}
	for _, test := range []struct {
		name          string
		first, second int
		r             clerkauth.Reverification
		want          bool
	}{
		{"fresh first factor", 9, -1, level(clerkauth.FirstFactor), true},
		{"first factor of the very age", 10, -1, level(clerkauth.FirstFactor), false},
		{"first factor, whatever the second", 9, 900, level(clerkauth.FirstFactor), true},
		{"first factor never verified", -1, 0, level(clerkauth.FirstFactor), false},
		{"fresh second factor", 900, 9, level(clerkauth.SecondFactor), true},
		{"stale second factor", 0, 10, level(clerkauth.SecondFactor), false},
		{"no second factor, fresh first", 9, -1, level(clerkauth.SecondFactor), true},
		{"no second factor, stale first", 20, -1, level(clerkauth.SecondFactor), false},
		{"second factor alone", -1, 9, level(clerkauth.SecondFactor), true},
		{"both factors fresh", 9, 9, level(clerkauth.MultiFactor), true},
		{"only the first fresh", 9, 10, level(clerkauth.MultiFactor), false},
		{"only the second fresh", 10, 9, level(clerkauth.MultiFactor), false},
		{"no second factor for both", 9, -1, level(clerkauth.MultiFactor), true},
		{"no first factor for both", -1, 9, level(clerkauth.MultiFactor), false},
		{"neither factor ever", -1, -1, clerkauth.Lax, false},
		{"strict", 20, -1, clerkauth.Strict, false},
		{"moderate", 20, -1, clerkauth.Moderate, true},
		{"lax", 1439, -1, clerkauth.Lax, true},
		{"strict_mfa", 9, 11, clerkauth.StrictMFA, false},
		{"a level that does not exist", 0, 0, level("third_factor"), false},
		{"no minutes", 0, 0, clerkauth.Reverification{Level: clerkauth.FirstFactor}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			caller := clerkauth.Caller{UserID: "user_ada", FactorVerificationAge: clerkauth.FactorVerificationAge{Known: true, FirstFactor: test.first, SecondFactor: test.second}}
			if got := caller.Has(clerkauth.Reverify(test.r)); got != test.want {
				t.Errorf("got %v", got)
			}
			caller.FactorVerificationAge.Known = false
			if caller.Has(clerkauth.Reverify(test.r)) {
				t.Error("a token that does not tell needs no reverification")
			}
		})
	}
}

// The ages in a token are of the time it was made.
func TestVerificationAges(t *testing.T) {
	f := newFixture(t)
	token := f.token(t, "user_ada", fakeclerk.Claim("exp", f.clock.Now().Add(time.Hour).Unix()), fakeclerk.Claim("fva", []int{3, -1}))
	for _, want := range []int{3, 13} {
		caller, err := f.authenticator.Authenticate(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		if age := caller.FactorVerificationAge; age.FirstFactor != want || age.SecondFactor != -1 {
			t.Errorf("got %+v, want %d and -1", age, want)
		}
		if got := caller.Has(clerkauth.Reverify(clerkauth.Strict)); got != (want < 10) {
			t.Errorf("after %d minutes: %v", want, got)
		}
		f.clock.Advance(10 * time.Minute)
	}
}

func TestMissingNamesReverificationLast(t *testing.T) {
	caller := clerkauth.Caller{UserID: "user_ada", Organization: clerkauth.Organization{ID: "org_1", Role: "org:admin"}}
	strict := clerkauth.Reverify(clerkauth.Strict)
	for _, test := range []struct {
		requirements []clerkauth.Requirement
		want         string
	}{
		{[]clerkauth.Requirement{clerkauth.Role("admin")}, ""},
		{[]clerkauth.Requirement{strict, clerkauth.Role("admin")}, "reverification"},
		{[]clerkauth.Requirement{strict, clerkauth.Role("org:owner")}, "role org:owner"},
		{nil, "nothing"},
	} {
		var missing *clerkauth.MissingError
		err := caller.Require(test.requirements...)
		if errors.As(err, &missing) != (test.want != "") || err != nil && missing.Requirement.String() != test.want {
			t.Errorf("%v: got %v, want %q", test.requirements, err, test.want)
		}
	}
}

func TestHintIsWhatClerksFrontendReads(t *testing.T) {
	custom := clerkauth.Reverification{Level: clerkauth.FirstFactor, AfterMinutes: 5}
	for want, r := range map[string]clerkauth.Reverification{
		`"strict_mfa"`: clerkauth.StrictMFA, `"strict"`: clerkauth.Strict, `"moderate"`: clerkauth.Moderate, `"lax"`: clerkauth.Lax,
		`{"level":"first_factor","afterMinutes":5}`: custom,
	} {
		hint, ok := clerkauth.Reverify(r).Hint()
		body, err := json.Marshal(hint)
		want = `{"clerk_error":{"type":"forbidden","reason":"reverification-error","metadata":{"reverification":` + want + `}}}`
		if err != nil || !ok || string(body) != want {
			t.Errorf("got %s, want %s", body, want)
		}
	}
	if _, ok := clerkauth.Role("admin").Hint(); ok {
		t.Error("a role has a hint")
	}
}
