package conformance

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
)

// claims are put beside the usual ones; a nil value takes a claim away.
type claims = map[string]any

// check is the argument of has() in Clerk's JavaScript.
type check map[string]any

// requirements are the same in Go.
func (c check) requirements() []clerkauth.Requirement {
	var all []clerkauth.Requirement // all of them, in any order
	for name, require := range map[string]func(string) clerkauth.Requirement{
		"role": clerkauth.Role, "permission": clerkauth.Permission, "feature": clerkauth.Feature, "plan": clerkauth.Plan,
	} {
		if asked, ok := c[name].(string); ok {
			all = append(all, require(asked))
		}
	}
	switch r := c["reverification"].(type) {
	case string:
		all = append(all, clerkauth.Reverify(presets[r]))
	case map[string]any:
		all = append(all, clerkauth.Reverify(clerkauth.Reverification{
			Level: clerkauth.Level(r["level"].(string)), AfterMinutes: r["afterMinutes"].(int),
		}))
	}
	return all
}

var presets = map[string]clerkauth.Reverification{
	"strict_mfa": clerkauth.StrictMFA, "strict": clerkauth.Strict, "moderate": clerkauth.Moderate, "lax": clerkauth.Lax,
}

// granted is what a token grants, by the names of Clerk's JavaScript.
type granted struct {
	Refused               string          `json:"refused"`
	UserID                string          `json:"userId"`
	OrgID                 any             `json:"orgId"`
	OrgSlug               any             `json:"orgSlug"`
	OrgRole               any             `json:"orgRole"`
	OrgPermissions        any             `json:"orgPermissions"`
	Actor                 any             `json:"actor"`
	FactorVerificationAge any             `json:"factorVerificationAge"`
	Has                   []bool          `json:"has"`
	Event                 json.RawMessage `json:"event"`
}

// String has only what is compared, with nothing for undefined, null and "".
func (g granted) String() string {
	if g.Refused != "" {
		return "refused"
	}
	permissions := ""
	if list, _ := g.OrgPermissions.([]any); len(list) > 0 {
		permissions = fmt.Sprint(list)
	}
	actor, age := "", ""
	if g.Actor != nil {
		fields, _ := g.Actor.(map[string]any)
		subject, _ := fields["sub"].(string)
		actor = "actor " + subject
	}
	if g.FactorVerificationAge != nil {
		age = fmt.Sprint("age ", g.FactorVerificationAge)
	}
	text := func(v any) string {
		if v == nil {
			return ""
		}
		return fmt.Sprint(v)
	}
	return strings.Join([]string{g.UserID, text(g.OrgID), text(g.OrgSlug), text(g.OrgRole), permissions, actor, age, fmt.Sprint(g.Has)}, "|")
}

// ours is what this project's Authenticator says.
func ours(t *testing.T, authenticator *clerkauth.Authenticator, token string, checks []check) granted {
	t.Helper()
	caller, err := authenticator.Authenticate(t.Context(), token)
	if err != nil {
		return granted{Refused: err.Error()}
	}
	g := granted{UserID: caller.UserID, OrgID: caller.Organization.ID, OrgSlug: caller.Organization.Slug, OrgRole: caller.Organization.Role}
	var permissions []any
	for _, p := range caller.Organization.Permissions {
		permissions = append(permissions, p)
	}
	g.OrgPermissions = permissions
	if caller.Actor != nil {
		g.Actor = map[string]any{"sub": caller.Actor.Subject}
	}
	if age := caller.FactorVerificationAge; age.Known {
		g.FactorVerificationAge = []any{age.FirstFactor, age.SecondFactor}
	}
	for _, c := range checks {
		g.Has = append(g.Has, caller.Has(c.requirements()...))
	}
	return g
}

// grants asks what @clerk/backend reads in a token or webhook.
func grants(t *testing.T, js *node, question any) granted {
	t.Helper()
	var g granted
	js.ask(t, question, &g)
	return g
}

// both starts a fake Clerk for Clerk and the two who judge its tokens.
func both(t *testing.T) (*fakeclerk.Server, *node, *clerkauth.Authenticator) {
	t.Helper()
	js := startNode(t, "organization.mjs")
	clerk, err := fakeclerk.Start(fakeclerk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = clerk.Close() })
	authenticator, err := clerkauth.New(clerkauth.Options{SecretKey: clerk.SecretKey(), APIURL: clerk.URL(), JWTKey: clerk.PublicKeyPEM()})
	if err != nil {
		t.Fatal(err)
	}
	grants(t, js, map[string]string{"jwtKey": clerk.PublicKeyPEM()})
	return clerk, js, authenticator
}

func sign(t *testing.T, clerk *fakeclerk.Server, c claims) string {
	t.Helper()
	var options []fakeclerk.TokenOption
	for name, value := range c {
		options = append(options, fakeclerk.Claim(name, value))
	}
	token, err := clerk.SessionToken("user_ada", options...)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// TestGrantsAreThoseOfClerk compares tokens in the shape that Clerk gives them,
// drawn at random from a fixed seed. They grant the very same here and there.
func TestGrantsAreThoseOfClerk(t *testing.T) {
	needsWhole(t)
	clerk, js, authenticator := both(t)
	const tokens, checksEach = 600, 12
	r := rand.New(rand.NewPCG(1, 2))
	yes := 0
	for range tokens {
		c := randomClaims(r)
		var checks []check
		for range checksEach {
			checks = append(checks, randomCheck(r))
		}
		token := sign(t, clerk, c)
		theirs := grants(t, js, map[string]any{"token": token, "checks": checks})
		mine := ours(t, authenticator, token, checks)
		if mine.String() != theirs.String() {
			t.Errorf("claims %s, checks %s\nours   %v\ntheirs %v (%s)", asJSON(c), asJSON(checks), mine, theirs, theirs.Refused)
		}
		for _, has := range mine.Has {
			if has {
				yes++
			}
		}
	}
	t.Logf("%d tokens, %d checks, of which %d are met", tokens, tokens*checksEach, yes)
	if all := tokens * checksEach; yes < all/10 || yes > all*9/10 {
		t.Errorf("%d of %d checks are met: the tokens and checks do not test much", yes, all)
	}
}

func asJSON(v any) string {
	encoded, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(encoded)
}

func oneOf[T any](r *rand.Rand, values ...T) T { return values[r.IntN(len(values))] }

func some(r *rand.Rand, most int, value func() string) string {
	var list []string
	for range r.IntN(most + 1) {
		list = append(list, value())
	}
	return strings.Join(list, oneOf(r, ",", ",", ",", ", "))
}

func randomClaims(r *rand.Rand) claims {
	c := claims{"v": 2}
	scoped := func() string {
		return oneOf(r, "o", "o", "o", "u", "ou", "uo", "x", "org") + ":" + oneOf(r, "dashboard", "teams", "export", "a:b")
	}
	if r.IntN(4) > 0 {
		c["fea"] = some(r, 5, scoped)
	}
	if r.IntN(2) > 0 {
		c["pla"] = some(r, 3, func() string { return oneOf(r, "o", "u", "uo") + ":" + oneOf(r, "gold", "pro") })
	}
	age := func() int { return oneOf(r, -1, 0, 9, 10, 11, 59, 60, 1439, 1440, r.IntN(2000)) }
	if c["fva"] = any([]int{age(), age()}); r.IntN(8) == 0 {
		c["fva"] = nil
	}
	if r.IntN(6) == 0 {
		c["act"] = oneOf[any](r, claims{"sub": "user_support", "iss": "https://dashboard.clerk.com"}, claims{"sub": "agent_1", "type": "agent"})
	}
	role := oneOf(r, "admin", "admin", "admin", "org:admin", "member", "billing_manager")
	if r.IntN(3) == 0 { // version 1
		c["v"] = nil
		if r.IntN(4) > 0 {
			c["org_id"], c["org_slug"], c["org_role"] = "org_1", "one", oneOf(r, "org:", "", "org:org:")+role
			c["org_permissions"] = oneOf(r, []string{}, []string{"org:teams:manage"}, []string{"org:teams:read", "org:dashboard:read", "teams:manage"})
		}
		if r.IntN(4) == 0 {
			c["o"] = claims{"id": "org_2", "rol": "admin"} // not of this version
		}
		return c
	}
	if r.IntN(5) > 0 {
		o := claims{"id": "org_1"}
		optional := func(name string, value any) {
			if r.IntN(6) > 0 {
				o[name] = value
			}
		}
		optional("slg", "one")
		optional("rol", role)
		optional("per", oneOf(r, "manage,read", "read", "manage, read ,delete", strings.TrimPrefix(strings.Repeat(",p", 70), ",")))
		optional("fpm", some(r, 5, func() string {
			return oneOf(r, "0", "1", "2", "3", "3", "7", "007", "18446744073709551616", "-1", "x", "1.5", "", fmt.Sprint(r.IntN(9)))
		}))
		c["o"] = o
	}
	if r.IntN(6) == 0 {
		c["org_id"], c["org_role"] = "org_2", "org:admin" // not of this version
	}
	return c
}

func randomCheck(r *rand.Rand) check {
	c := check{}
	dimensions := map[int]func(){
		0: func() {
			c["role"] = oneOf(r, "org:admin", "admin", "org:org:admin", "org:admin", "org:member", "member", "Admin", "billing_manager")
		},
		1: func() {
			c["permission"] = oneOf(r, "org:", "", "org:org:") + oneOf(r, "teams:manage", "teams:read", "dashboard:read", "dashboard:manage", "a:b:read", "export:p", "teams")
		},
		2: func() {
			c["feature"] = oneOf(r, "", "", "o:", "org:", "organization:", "u:", "user:", "x:", "ou:") + oneOf(r, "dashboard", "teams", "export", "org", "a:b")
		},
		3: func() { c["plan"] = oneOf(r, "", "o:", "org:", "user:", "u:") + oneOf(r, "gold", "pro", "free") },
		4: func() {
			c["reverification"] = oneOf[any](r, "strict_mfa", "strict", "moderate", "lax", map[string]any{
				"level": oneOf(r, "first_factor", "second_factor", "multi_factor", "third_factor"), "afterMinutes": oneOf(r, 0, -5, 1, 10, 60, 100_000),
			})
		},
	}
	for range oneOf(r, 1, 1, 1, 1, 1, 1, 2, 2, 3, 5) {
		dimensions[r.IntN(len(dimensions))]()
	}
	if r.IntN(100) == 0 {
		return check{} // nothing
	}
	return c
}

// TestOddTokensNeverGrantMore names every case in which this project is stricter
// than Clerk's JavaScript. None of these tokens is one that Clerk makes.
func TestOddTokensNeverGrantMore(t *testing.T) {
	clerk, js, authenticator := both(t)
	o := func(fields claims) claims {
		all := claims{"id": "org_1", "slg": "one", "rol": "admin", "per": "manage,read", "fpm": "3"}
		for name, value := range fields {
			all[name] = value
		}
		return all
	}
	v1 := func(fields claims) claims {
		all := claims{"v": nil, "org_id": "org_1", "org_role": "org:admin", "org_permissions": []string{"org:teams:read"}}
		for name, value := range fields {
			all[name] = value
		}
		return all
	}
	checks := []check{
		{"role": "admin"}, {"role": "5"}, {"role": ""}, {"permission": "teams:manage"}, {"permission": "teams:read"}, {"permission": "teams:"},
		{"feature": "teams"}, {"feature": "user:teams"}, {"feature": ""}, {"plan": "gold"}, {"plan": ""}, {"reverification": "lax"}, {"reverification": "strict_mfa"}, {},
	}
	for _, test := range []struct {
		name     string
		claims   claims
		stricter bool // than Clerk's JavaScript, which reads something into the claims
	}{
		{"an organization id that is a number", claims{"o": o(claims{"id": 5}), "fea": "o:teams"}, true},
		{"a role that is a number", claims{"o": o(claims{"rol": 5}), "fea": "o:teams"}, true},
		{"a slug that is a number", claims{"o": o(claims{"slg": 5}), "fea": "o:teams"}, true},
		{"permissions that are a list", claims{"o": o(claims{"per": []string{"read"}}), "fea": "o:teams"}, false},
		{"a map that is a number", claims{"o": o(claims{"fpm": 3}), "fea": "o:teams"}, false},
		{"o is text", claims{"o": "org_1", "fea": "o:teams"}, true},
		{"o is a list", claims{"o": []any{o(nil)}, "fea": "o:teams"}, true},
		{"o is false", claims{"o": false, "fea": "o:teams"}, true},
		{"o is null", claims{"o": json.RawMessage("null"), "fea": "o:teams"}, false},
		// Clerk's JavaScript throws.
		{"features without a scope, and an organization", claims{"o": o(nil), "fea": "teams,o:teams", "fva": nil}, false},
		{"features without a scope", claims{"fea": "teams,u:teams"}, false},
		{"features that are a list", claims{"fea": []string{"u:teams"}}, true},
		{"plans that are an object", claims{"pla": claims{"u": "gold"}}, false},
		{"an empty feature", claims{"o": o(nil), "fea": "o:,o:teams"}, true},
		{"an empty permission", claims{"o": o(claims{"per": "manage,,read", "fpm": "7"}), "fea": "o:teams"}, true},
		{"an empty plan", claims{"pla": "u:"}, true},
		{"white space that is not ASCII", claims{"fea": "\u00a0u:teams"}, true},
		{"a version that is text", claims{"v": "2", "o": o(nil), "org_id": "org_1", "org_role": "org:admin"}, true},
		{"a version that does not exist yet", claims{"v": 3, "org_id": "org_1", "org_role": "org:admin"}, true},
		{"version 1 that says so", v1(claims{"v": 1}), false},
		{"a version 1 id that is a number", v1(claims{"org_id": 5}), true},
		{"a version 1 role that is a list", v1(claims{"org_role": []string{"org:admin"}}), true},
		{"version 1 permissions that are text", v1(claims{"org_permissions": "org:teams:read"}), true},
		{"version 1 permissions with a number among them", v1(claims{"org_permissions": []any{"org:teams:read", 5}}), true},
		{"no version 1 permissions", v1(claims{"org_permissions": nil}), false},
		{"an empty version 1 role", v1(claims{"org_role": ""}), false},
		{"factor ages with fractions", claims{"fva": []float64{0.5, 0.5}}, true},
		{"factor ages written with an exponent", claims{"fva": json.RawMessage("[1e1,1e0]")}, true},
		{"one factor age", claims{"fva": []int{0}}, false},
		{"three factor ages", claims{"fva": []int{0, 0, 0}}, false},
		{"factor ages below never", claims{"fva": []int{-2, 0}}, false},
		{"factor ages that are text", claims{"fva": []string{"0", "0"}}, true},
		{"factor ages that are null", claims{"fva": json.RawMessage("[null,null]")}, false},
		{"factor ages that are a number", claims{"fva": 0}, true},
		{"an actor that is text", claims{"act": "user_support"}, false},
		{"an actor without a subject", claims{"act": claims{"iss": "x"}}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			token := sign(t, clerk, test.claims)
			theirs := grants(t, js, map[string]any{"token": token, "checks": checks})
			mine := ours(t, authenticator, token, checks)
			stricter := false
			for i, has := range mine.Has {
				if has && (theirs.Refused != "" || !theirs.Has[i]) {
					t.Errorf("has %v here, but not there", checks[i])
				}
			}
			if theirs.Refused == "" {
				stricter = mine.Refused != "" || !slices.Equal(mine.Has, theirs.Has)
			}
			if stricter != test.stricter {
				t.Errorf("stricter: %v\nours   %v\ntheirs %v (%s)", stricter, mine, theirs, theirs.Refused)
			}
		})
	}
}

// TestClerkAcceptsTheFakeClerksWebhooks lets @clerk/backend's verifyWebhook judge
// what the fake Clerk sends, as it is sent.
func TestClerkAcceptsTheFakeClerksWebhooks(t *testing.T) {
	js := startNode(t, "organization.mjs")
	type delivery struct {
		header http.Header
		body   []byte
	}
	arrived := make(chan delivery, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		arrived <- delivery{r.Header.Clone(), body}
	}))
	defer receiver.Close()
	clerk, err := fakeclerk.Start(fakeclerk.Options{WebhookURL: receiver.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer clerk.Close()

	ask := func(d delivery) granted {
		headers := make(map[string]string)
		for name := range d.header {
			headers[name] = d.header.Get(name)
		}
		return grants(t, js, map[string]any{"webhook": map[string]any{"headers": headers, "body": string(d.body), "secret": clerk.WebhookSigningSecret()}})
	}
	for eventType, change := range map[string]func(){
		"user.created":                   func() { _, _ = clerk.AddUser(fakeclerk.User{ID: "user_new", FirstName: "Zoë"}) },
		"user.updated":                   func() { _ = clerk.BanUser("user_grace") },
		"user.deleted":                   func() { _ = clerk.DeleteUser("user_noemail") },
		"organization.updated":           func() { _, _ = clerk.UpdateOrganization("org_analytical", func(*fakeclerk.Organization) {}) },
		"organizationMembership.created": func() { _, _ = clerk.AddMembership("org_analytical", "user_banned", "") },
	} {
		change()
		var d delivery
		select {
		case d = <-arrived:
		case <-time.After(10 * time.Second):
			t.Fatalf("%s did not arrive", eventType)
		}
		verified := ask(d)
		var event struct {
			Type string         `json:"type"`
			Data map[string]any `json:"data"`
		}
		if err := json.Unmarshal(verified.Event, &event); err != nil || event.Type != eventType || event.Data["id"] == nil {
			t.Errorf("%s: %s %s", eventType, verified.Refused, verified.Event)
		}
		d.body = append(d.body, ' ')
		if altered := ask(d); altered.Refused == "" {
			t.Errorf("%s is accepted although it was altered", eventType)
		}
	}
}
