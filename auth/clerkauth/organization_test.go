package clerkauth_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"encore.app/auth/clerkauth"
	"encore.app/internal/fakeclerk"
)

// signIn gives the caller of a token that has these claims beside the usual
// ones; a nil value takes a claim away.
func signIn(t *testing.T, authenticator *clerkauth.Authenticator, clerk *fakeclerk.Server, claims map[string]any) (clerkauth.Caller, error) {
	t.Helper()
	var options []fakeclerk.TokenOption
	for name, value := range claims {
		options = append(options, fakeclerk.Claim(name, value))
	}
	token, err := clerk.SessionToken("user_ada", options...)
	if err != nil {
		t.Fatal(err)
	}
	return authenticator.Authenticate(t.Context(), token)
}

// networkless is an Authenticator for the fake's tokens that asks for no key.
func networkless(t testing.TB, change func(*clerkauth.Options)) (*clerkauth.Authenticator, *fakeclerk.Server) {
	t.Helper()
	clerk, err := fakeclerk.Start(fakeclerk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = clerk.Close() })
	options := clerkauth.Options{SecretKey: clerk.SecretKey(), APIURL: clerk.URL(), JWTKey: clerk.PublicKeyPEM()}
	if change != nil {
		change(&options)
	}
	authenticator, err := clerkauth.New(options)
	if err != nil {
		t.Fatal(err)
	}
	return authenticator, clerk
}

func TestCallerHasWhatTheTokenGrants(t *testing.T) {
	authenticator, clerk := networkless(t, nil)
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
		{"a feature without a scope makes them all void", claims{"o": o(nil), "fea": "dashboard,o:teams"}, active()},
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
			caller, err := signIn(t, authenticator, clerk, test.claims)
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
	authenticator, clerk := networkless(t, nil)
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
		"fva holds text":             {"fva": []string{"0", "0"}},
		"fva is absent":              {"fva": nil},
		"fva says never, both times": {"fva": []int{-1, -1}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, ok := claims["fva"]; !ok {
				claims["fva"] = nil
			}
			caller, err := signIn(t, authenticator, clerk, claims)
			if err != nil {
				return
			}
			for _, r := range everything {
				if r.String() == "feature teams" && claims["fea"] == "o:teams" {
					continue // a sound claim of its own
				}
				if caller.Has(r) {
					t.Errorf("has %s: %+v", r, caller)
				}
			}
		})
	}
}

func TestCallerNamesTheActor(t *testing.T) {
	authenticator, clerk := networkless(t, nil)
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
			caller, err := signIn(t, authenticator, clerk, map[string]any{"act": test.act})
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
	authenticator, clerk := networkless(t, nil)
	token, err := clerk.SessionToken("user_ada", fakeclerk.Claim("fea", "u:export"), fakeclerk.Claim("pla", "u:pro"), fakeclerk.Claim("fva", []int{3, -1}))
	if err != nil {
		t.Fatal(err)
	}
	first, err := authenticator.Authenticate(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	second, err := authenticator.Authenticate(t.Context(), token)
	if err != nil || !reflect.DeepEqual(first, second) {
		t.Errorf("%+v, then %+v, %v", first, second, err)
	}
	if !second.Has(clerkauth.Feature("export"), clerkauth.Plan("user:pro"), clerkauth.Reverify(clerkauth.Strict)) {
		t.Errorf("%+v", second)
	}
}

func TestRefusedUsersAndSessions(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	authenticator, clerk := networkless(t, func(o *clerkauth.Options) { o.Now = func() time.Time { return now } })
	token := func(options ...fakeclerk.TokenOption) string {
		t.Helper()
		signed, err := clerk.SessionToken("user_ada", options...)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	tokens := map[string]string{
		"a token without email claim": token(),
		"a token with email claim":    token(fakeclerk.Claim("email", "ada@example.com")),
	}
	want := func(t *testing.T, reason clerkauth.Reason) {
		t.Helper()
		for name, token := range tokens {
			_, err := authenticator.Authenticate(t.Context(), token)
			var got clerkauth.Reason
			if err != nil {
				got = clerkauth.AsError(err).Reason
			}
			if got != reason {
				t.Errorf("%s: refused for %q, want %q", name, got, reason)
			}
		}
	}
	caller, err := authenticator.Authenticate(t.Context(), tokens["a token without email claim"])
	if err != nil {
		t.Fatal(err)
	}
	want(t, "")

	authenticator.RefuseUser("user_grace", now)
	authenticator.RefuseSession("sess_other", now)
	want(t, "")

	authenticator.RefuseUser("user_ada", now)
	want(t, clerkauth.ReasonUserRevoked)
	authenticator.AdmitUser("user_ada", now.Add(-time.Second)) // older news
	want(t, clerkauth.ReasonUserRevoked)
	authenticator.AdmitUser("user_ada", now)
	want(t, "")
	authenticator.RefuseUser("user_ada", now.Add(-time.Second)) // older news
	want(t, "")

	authenticator.RefuseSession(caller.SessionID, now.Add(time.Hour)) // Clerk's clock is wrong
	want(t, clerkauth.ReasonSessionRevoked)
	now = now.Add(30 * time.Second)
	want(t, clerkauth.ReasonSessionRevoked)
	now = now.Add(2 * time.Minute)
	want(t, clerkauth.ReasonExpired)

	clerk.SetClockOffset(150 * time.Second)
	for name := range tokens {
		tokens[name] = token()
	}
	want(t, "")
	authenticator.RefuseUser("user_ada", now.Add(-2*time.Minute)) // too old to matter
	want(t, "")
}

func TestForgottenUserIsAskedForAgain(t *testing.T) {
	authenticator, clerk := networkless(t, nil)
	token, err := clerk.SessionToken("user_ada")
	if err != nil {
		t.Fatal(err)
	}
	email := func() string {
		t.Helper()
		caller, err := authenticator.Authenticate(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		return caller.Email
	}
	before := email()
	if err := clerk.UpdateUser("user_ada", func(u *fakeclerk.User) { u.PrimaryEmailAddressID = "idn_ada_work" }); err != nil {
		t.Fatal(err)
	}
	if got := email(); got != before {
		t.Fatalf("not remembered: %s", got)
	}
	authenticator.ForgetUser("user_ada")
	if got := email(); got != "ada.lovelace@example.org" {
		t.Errorf("got %s", got)
	}
}

func BenchmarkAuthenticateRemembered(b *testing.B) {
	for _, refused := range []bool{false, true} {
		name := "nobody is refused"
		if refused {
			name = "another user is refused"
		}
		b.Run(name, func(b *testing.B) {
			authenticator, clerk := networkless(b, nil)
			if refused {
				authenticator.RefuseUser("user_grace", time.Now())
			}
			token, err := clerk.SessionToken("user_ada")
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := authenticator.Authenticate(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
