package clerkauth_test

import (
	"crypto/rand"
	"reflect"
	"strings"
	"testing"
	"time"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
)

const (
	apiKeyRoute = "POST /v1/api_keys/verify"
	m2mRoute    = "POST /v1/m2m_tokens/verify"
	oauthRoute  = "POST /v1/oauth_applications/access_tokens/verify"
)

var everyType = []clerkauth.TokenType{clerkauth.SessionToken, clerkauth.APIKey, clerkauth.M2MToken, clerkauth.OAuthToken}

func acceptEvery(o *clerkauth.Options) { o.AcceptsToken = everyType }

// issue makes a machine token in the fake Clerk.
func (f *fixture) issue(t testing.TB, token fakeclerk.MachineToken, options ...fakeclerk.TokenOption) fakeclerk.MachineToken {
	t.Helper()
	issued, err := f.clerk.AddMachineToken(token, options...)
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

// verifications is how many calls verified a secret.
func (f *fixture) verifications() int {
	return f.clerk.Requests(apiKeyRoute) + f.clerk.Requests(m2mRoute) + f.clerk.Requests(oauthRoute)
}

func TestMachineCallers(t *testing.T) {
	f := newFixture(t, acceptEvery)
	now := f.clock.Now()
	hour := now.Add(time.Hour)
	for _, test := range []struct {
		name  string
		token fakeclerk.MachineToken
		want  clerkauth.Caller
	}{
		{
			"an API key of a user",
			fakeclerk.MachineToken{Type: fakeclerk.TypeAPIKey, Subject: "user_ada", Scopes: []string{"reports:read", "reports:write"}},
			clerkauth.Caller{
				TokenType: clerkauth.APIKey, Subject: "user_ada", UserID: "user_ada", Email: "ada@example.com", EmailVerified: true,
				Scopes: []string{"reports:read", "reports:write"},
			},
		},
		{
			"an API key of an organization, with an expiry",
			fakeclerk.MachineToken{Type: fakeclerk.TypeAPIKey, Subject: "org_analytical", ExpiresAt: hour},
			clerkauth.Caller{
				TokenType: clerkauth.APIKey, Subject: "org_analytical", ExpiresAt: hour,
				Organization: clerkauth.Organization{ID: "org_analytical"},
			},
		},
		{
			"an opaque M2M token",
			fakeclerk.MachineToken{Type: fakeclerk.TypeM2MToken, Subject: "mch_1", Scopes: []string{"mch_2"}, ExpiresAt: hour},
			clerkauth.Caller{TokenType: clerkauth.M2MToken, Subject: "mch_1", Scopes: []string{"mch_2"}, ExpiresAt: hour},
		},
		{
			"an M2M token that is a JWT",
			fakeclerk.MachineToken{Type: fakeclerk.TypeM2MToken, JWT: true, Subject: "mch_1", Scopes: []string{"mch_2", "mch_3"}, ExpiresAt: hour},
			clerkauth.Caller{TokenType: clerkauth.M2MToken, Subject: "mch_1", Scopes: []string{"mch_2", "mch_3"}, ExpiresAt: hour, IssuedAt: now},
		},
		{
			"an opaque OAuth access token",
			fakeclerk.MachineToken{Type: fakeclerk.TypeOAuthToken, Subject: "user_grace", ClientID: "client_1", Scopes: []string{"profile"}, ExpiresAt: hour},
			clerkauth.Caller{
				TokenType: clerkauth.OAuthToken, Subject: "user_grace", UserID: "user_grace", Email: "grace@example.com", EmailVerified: true,
				Scopes: []string{"profile"}, ClientID: "client_1", ExpiresAt: hour,
			},
		},
		{
			"an OAuth access token that is a JWT",
			fakeclerk.MachineToken{Type: fakeclerk.TypeOAuthToken, JWT: true, Subject: "user_grace", ClientID: "client_1", Scopes: []string{"profile", "email"}, ExpiresAt: hour},
			clerkauth.Caller{
				TokenType: clerkauth.OAuthToken, Subject: "user_grace", UserID: "user_grace", Email: "grace@example.com", EmailVerified: true,
				Scopes: []string{"profile", "email"}, ClientID: "client_1", ExpiresAt: hour, IssuedAt: now,
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			issued := f.issue(t, test.token)
			for range 2 {
				got, err := f.authenticator.Authenticate(t.Context(), issued.Token)
				if err != nil {
					t.Fatal(err)
				}
				var claims map[string]any
				if err := got.Claims(&claims); err != nil {
					t.Error(err)
				}
				if !sameCaller(got, test.want) {
					t.Errorf("got  %+v\nwant %+v", got, test.want)
				}
			}
		})
	}
	// A caller's own copy: changing it changes no other.
	key := f.issue(t, fakeclerk.MachineToken{Type: fakeclerk.TypeAPIKey, Subject: "user_ada", Scopes: []string{"a"}}).Token
	for range 3 {
		caller, err := f.authenticator.Authenticate(t.Context(), key)
		if err != nil || !caller.Has(clerkauth.Scope("a")) {
			t.Fatalf("%+v, %v", caller, err)
		}
		caller.Scopes[0] = "everything"
	}
}

// sameCaller compares what is exported.
func sameCaller(a, b clerkauth.Caller) bool {
	if !a.ExpiresAt.Equal(b.ExpiresAt) {
		return false
	}
	a.ExpiresAt, b.ExpiresAt = time.Time{}, time.Time{}
	a.RawClaims, b.RawClaims = clerkauth.RawClaims{}, clerkauth.RawClaims{}
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range x.NumField() {
		if x.Type().Field(i).IsExported() && !reflect.DeepEqual(x.Field(i).Interface(), y.Field(i).Interface()) {
			return false
		}
	}
	return true
}

func TestClaimsOfAnAPIKey(t *testing.T) {
	f := newFixture(t, acceptEvery)
	key := f.issue(t, fakeclerk.MachineToken{Type: fakeclerk.TypeAPIKey, Subject: "user_ada", Claims: map[string]any{"tier": "gold"}})
	caller, err := f.authenticator.Authenticate(t.Context(), key.Token)
	var claims struct {
		Tier string `json:"tier"`
	}
	if err != nil || caller.Claims(&claims) != nil || claims.Tier != "gold" {
		t.Errorf("%+v, %v", claims, err)
	}
}

func TestMachineTokensThatAreRefused(t *testing.T) {
	f := newFixture(t, acceptEvery)
	past, now := f.clock.Now().Add(-time.Second), f.clock.Now().Unix()
	opaque := func(tokenType, subject string, change ...func(*fakeclerk.MachineToken)) string {
		token := fakeclerk.MachineToken{Type: tokenType, Subject: subject}
		for _, c := range change {
			c(&token)
		}
		return f.issue(t, token).Token
	}
	jwt := func(tokenType, subject string, options ...fakeclerk.TokenOption) string {
		return f.issue(t, fakeclerk.MachineToken{Type: tokenType, JWT: true, Subject: subject}, options...).Token
	}
	revoked := func(token *fakeclerk.MachineToken) { token.Revoked = true }
	expired := func(token *fakeclerk.MachineToken) { token.ExpiresAt = past }
	apiKey, m2m, oauth := fakeclerk.TypeAPIKey, fakeclerk.TypeM2MToken, fakeclerk.TypeOAuthToken
	random := rand.Text()
	good := jwt(oauth, "user_ada")

	for _, test := range []struct {
		name, token string
		reason      clerkauth.Reason
	}{
		{"a revoked API key", opaque(apiKey, "user_ada", revoked), clerkauth.ReasonRevoked},
		{"a revoked M2M token", opaque(m2m, "mch_1", revoked), clerkauth.ReasonRevoked},
		{"a revoked OAuth token", opaque(oauth, "user_ada", revoked), clerkauth.ReasonRevoked},
		{"an expired API key", opaque(apiKey, "user_ada", expired), clerkauth.ReasonExpired},
		{"an expired M2M token", opaque(m2m, "mch_1", expired), clerkauth.ReasonExpired},
		{"an expired OAuth token", opaque(oauth, "user_ada", expired), clerkauth.ReasonExpired},
		{"an API key that nobody created", "ak_" + random, clerkauth.ReasonUnknownSecret},
		{"an M2M token that nobody created", "mt_" + random, clerkauth.ReasonUnknownSecret},
		{"an OAuth token that nobody created", "oat_" + random, clerkauth.ReasonUnknownSecret},
		{"an API key with another prefix", "mt_" + strings.TrimPrefix(opaque(apiKey, "user_ada"), "ak_"), clerkauth.ReasonUnknownSecret},
		{"an API key of a banned user", opaque(apiKey, "user_banned"), clerkauth.ReasonUserBanned},
		{"an OAuth token of a banned user", opaque(oauth, "user_banned"), clerkauth.ReasonUserBanned},
		{"an OAuth JWT of a banned user", jwt(oauth, "user_banned"), clerkauth.ReasonUserBanned},
		{"an API key of a user who is gone", opaque(apiKey, "user_gone"), clerkauth.ReasonUnknownUser},
		{"an API key of nothing that has keys", opaque(apiKey, "sess_1"), clerkauth.ReasonInvalidSubject},
		{"an M2M token of a user", opaque(m2m, "user_ada"), clerkauth.ReasonInvalidSubject},
		{"an OAuth token of an organization", opaque(oauth, "org_analytical"), clerkauth.ReasonInvalidSubject},
		{"a prefix", "ak_", clerkauth.ReasonMalformed},
		{"a short secret", "ak_123", clerkauth.ReasonMalformed},
		{"a long secret", "ak_" + strings.Repeat("a", 512), clerkauth.ReasonMalformed},
		{"a secret with a space", "ak_ " + random, clerkauth.ReasonMalformed},
		{"a JWT with a prefix", "ak_" + good, clerkauth.ReasonMalformed},
		{"a prefix in capital letters", "AK_" + random, clerkauth.ReasonMalformed},
		{"a prefix without its underscore", "ak" + random, clerkauth.ReasonMalformed},
		{"a prefix in the middle", "xak_" + random, clerkauth.ReasonMalformed},
		{"an OAuth JWT of another's signature", jwt(oauth, "user_ada", fakeclerk.SignedBy(newKey(2048))), clerkauth.ReasonInvalidSignature},
		{"an M2M JWT of another's signature", jwt(m2m, "mch_1", fakeclerk.SignedBy(newKey(2048))), clerkauth.ReasonInvalidSignature},
		{"an OAuth JWT without an expiry", jwt(oauth, "user_ada", fakeclerk.Claim("exp", nil)), clerkauth.ReasonMalformedClaims},
		{"an expired OAuth JWT", jwt(oauth, "user_ada", fakeclerk.Claim("exp", now-5)), clerkauth.ReasonExpired},
		{"an expired M2M JWT", jwt(m2m, "mch_1", fakeclerk.Claim("exp", now-5)), clerkauth.ReasonExpired},
		{"an M2M JWT that is not valid yet", jwt(m2m, "mch_1", fakeclerk.Claim("nbf", now+6)), clerkauth.ReasonNotActiveYet},
		{"an OAuth JWT of a foreign issuer", jwt(oauth, "user_ada", fakeclerk.Claim("iss", "https://evil.example")), clerkauth.ReasonInvalidIssuer},
		{"an OAuth JWT of a machine", jwt(oauth, "mch_1"), clerkauth.ReasonInvalidSubject},
		{"an M2M JWT in the category of session tokens", jwt(m2m, "mch_1", fakeclerk.Header("cat", "cl_B7d4PD111AAA")), clerkauth.ReasonInvalidSubject},
		{"an M2M JWT of a user", jwt(m2m, "user_ada"), clerkauth.ReasonNotSessionToken},
		{"an OAuth JWT whose typ was taken away", jwt(oauth, "user_ada", fakeclerk.Header("typ", nil)), clerkauth.ReasonMissingSession},
		{"a session token with a machine's subject", f.token(t, "user_ada", fakeclerk.Claim("sub", "mch_1")), clerkauth.ReasonInvalidSubject},
	} {
		t.Run("refuses "+test.name, func(t *testing.T) {
			before := f.verifications()
			for range 2 {
				_, err := f.authenticator.Authenticate(t.Context(), test.token)
				wantError(t, err, clerkauth.Unauthenticated, test.reason)
				if strings.Contains(err.Error(), random) {
					t.Error("the error holds the secret")
				}
			}
			if calls := f.verifications() - before; calls > 1 {
				t.Errorf("%d calls to Clerk for one refused secret", calls)
			}
		})
	}
}

// A kind that is not accepted costs no call, and by default that is every kind
// but session tokens.
func TestKindsThatAreNotAccepted(t *testing.T) {
	for _, accepted := range append(everyType, "") {
		f := newFixture(t, func(o *clerkauth.Options) {
			if accepted != "" {
				o.AcceptsToken = []clerkauth.TokenType{accepted}
			}
		})
		tokens := map[clerkauth.TokenType][]string{
			clerkauth.SessionToken: {f.token(t, "user_ada")},
			clerkauth.APIKey:       {f.issue(t, fakeclerk.MachineToken{Type: fakeclerk.TypeAPIKey, Subject: "user_ada"}).Token},
		}
		for _, jwt := range []bool{false, true} {
			m2m := f.issue(t, fakeclerk.MachineToken{Type: fakeclerk.TypeM2MToken, Subject: "mch_1", JWT: jwt})
			oauth := f.issue(t, fakeclerk.MachineToken{Type: fakeclerk.TypeOAuthToken, Subject: "user_ada", JWT: jwt})
			tokens[clerkauth.M2MToken] = append(tokens[clerkauth.M2MToken], m2m.Token)
			tokens[clerkauth.OAuthToken] = append(tokens[clerkauth.OAuthToken], oauth.Token)
		}
		for kind, ofKind := range tokens {
			for _, token := range ofKind {
				want := kind == accepted || accepted == "" && kind == clerkauth.SessionToken
				f.clerk.ResetRequests()
				caller, err := f.authenticator.Authenticate(t.Context(), token)
				if want {
					if err != nil || caller.TokenType != kind {
						t.Errorf("accepting %q: %s: %+v, %v", accepted, kind, caller, err)
					}
					continue
				}
				if e := clerkauth.AsError(err); err == nil || e.Kind != clerkauth.Unauthenticated {
					t.Errorf("accepting %q: %s: %v", accepted, kind, err)
				}
				if calls := f.clerk.TotalRequests() - f.clerk.Requests(jwksRoute); calls > 0 {
					t.Errorf("accepting %q: %s cost %d calls", accepted, kind, calls)
				}
			}
		}
	}
	if _, err := clerkauth.New(clerkauth.Options{SecretKey: "sk_test_x", AcceptsToken: []clerkauth.TokenType{"session"}}); err == nil {
		t.Error("a kind that does not exist was configured")
	}
}

func TestWhatMachinesHave(t *testing.T) {
	machine := clerkauth.Caller{
		TokenType: clerkauth.APIKey, Subject: "user_ada", UserID: "user_ada", Scopes: []string{"reports:read"},
		// None of this comes from a machine token. If it did, it would grant nothing.
		Organization: clerkauth.Organization{ID: "org_1", Role: "org:admin", Permissions: []string{"org:teams:read"}},
		Features:     []string{"u:export"}, Plans: []string{"u:pro"},
		FactorVerificationAge: clerkauth.FactorVerificationAge{Known: true},
	}
	person := machine
	person.TokenType = clerkauth.SessionToken
	unknown := machine
	unknown.TokenType = "new_token"
	for _, test := range []struct {
		requirement             clerkauth.Requirement
		machine, person, unkown bool
	}{
		{clerkauth.Role("org:admin"), false, true, false},
		{clerkauth.Permission("teams:read"), false, true, false},
		{clerkauth.Feature("export"), false, true, false},
		{clerkauth.Plan("pro"), false, true, false},
		{clerkauth.Reverify(clerkauth.Lax), false, true, false},
		{clerkauth.Scope("reports:read"), true, false, true},
		{clerkauth.Scope("reports"), false, false, false},
		{clerkauth.Scope("REPORTS:READ"), false, false, false},
		{clerkauth.Scope(""), false, false, false},
		{clerkauth.Accepts(clerkauth.APIKey), true, false, false},
		{clerkauth.Accepts(clerkauth.SessionToken, clerkauth.APIKey), true, true, false},
		{clerkauth.Accepts(clerkauth.M2MToken, clerkauth.OAuthToken), false, false, false},
		{clerkauth.Accepts(""), false, false, false},
		{clerkauth.Accepts(), false, false, false},
	} {
		for _, one := range []struct {
			caller clerkauth.Caller
			want   bool
		}{{machine, test.machine}, {person, test.person}, {unknown, test.unkown}, {clerkauth.Caller{}, false}} {
			if got := one.caller.Has(test.requirement); got != one.want {
				t.Errorf("%s of %q: %v", test.requirement, one.caller.TokenType, got)
			}
		}
	}
	empty := machine
	empty.Scopes = []string{""}
	if empty.Has(clerkauth.Scope("")) {
		t.Error("an empty scope is a scope")
	}
	err := machine.Require(clerkauth.Accepts(clerkauth.SessionToken, clerkauth.OAuthToken))
	if err == nil || err.Error() != "clerkauth: requires token type session_token or oauth_token" {
		t.Error(err)
	}
}
