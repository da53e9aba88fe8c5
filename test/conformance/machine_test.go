package conformance

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"
	"time"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
)

// machineSetups are what both sides are told to accept.
var machineSetups = []struct {
	name        string
	accepts     []clerkauth.TokenType
	networkless bool
}{
	{"session", []clerkauth.TokenType{clerkauth.SessionToken}, true},
	{"API key", []clerkauth.TokenType{clerkauth.APIKey}, true},
	{"M2M", []clerkauth.TokenType{clerkauth.M2MToken}, true},
	{"OAuth", []clerkauth.TokenType{clerkauth.OAuthToken}, true},
	{"session or API key", []clerkauth.TokenType{clerkauth.SessionToken, clerkauth.APIKey}, true},
	{"machines, JWKS", []clerkauth.TokenType{clerkauth.APIKey, clerkauth.M2MToken, clerkauth.OAuthToken}, false},
	{"any", []clerkauth.TokenType{clerkauth.SessionToken, clerkauth.APIKey, clerkauth.M2MToken, clerkauth.OAuthToken}, true},
}

// TestMachineDecision gives tokens of every kind to authenticateRequest with
// acceptsToken and to this project, told to accept the same kinds: one kind
// alone and lists of them. The rules are those of TestDecision; what both accept
// is of the same kind, has the same subject and no scope more.
func TestMachineDecision(t *testing.T) {
	needsWhole(t)
	reference := startNode(t, "reference.mjs")
	const seed = 20261124
	cryptotest.SetGlobalRandom(t, seed) // the same keys, and so the same tokens
	k := keys{clerk: newKey(t), other: newKey(t)}
	clerk, err := fakeclerk.Start(fakeclerk.Options{SigningKey: k.clerk, KeyID: keyID, Now: func() time.Time { return instant }})
	if err != nil {
		t.Fatal(err)
	}
	defer clerk.Close()
	k.pem = clerk.PublicKeyPEM()
	if _, err := clerk.AddUser(fakeclerk.User{ID: "user_2abcDEF"}); err != nil { // a subject of some tokens
		t.Fatal(err)
	}
	tokens := append(machineJWTs(t, k), opaqueTokens(t, clerk)...)
	if least := 1500; len(tokens) < least {
		t.Errorf("%d tokens, want at least %d", len(tokens), least)
	}

	counts := make([]map[string]int, len(machineSetups))
	names := make([]string, len(machineSetups))
	for i, setup := range machineSetups {
		counts[i], names[i] = map[string]int{}, setup.name
		t.Run(setup.name, func(t *testing.T) {
			jwtKey := ""
			if setup.networkless {
				jwtKey = k.pem
			}
			reference.configure(t, configuration{
				SecretKey: clerk.SecretKey(), APIURL: clerk.URL(), JWTKey: jwtKey, AuthorizedParties: parties, Now: instant.UnixMilli(),
			})
			authenticator, err := clerkauth.New(clerkauth.Options{
				SecretKey: clerk.SecretKey(), APIURL: clerk.URL(), JWTKey: jwtKey, AuthorizedParties: parties,
				AcceptsToken: setup.accepts, RateLimitShare: 1000, Now: func() time.Time { return instant },
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, token := range tokens {
				counts[i][compareKind(t, reference, authenticator, setup.accepts, token)]++
			}
		})
	}
	digest := sha256.New()
	for _, token := range tokens {
		fmt.Fprintln(digest, token.token)
	}
	t.Logf("%d tokens of seed %d (SHA-256 %.8x), each by %d setups:\n%s", len(tokens), seed, digest.Sum(nil), len(machineSetups), summary(names, counts))
	for _, s := range stricterMachine {
		if !slices.ContainsFunc(counts, func(count map[string]int) bool { return count["stricter: "+s.name] > 0 }) {
			t.Errorf("the stricter case %q did not occur: is it still one?", s.name)
		}
	}
}

// compareKind has both sides decide, and returns the row of the summary.
func compareKind(t *testing.T, reference *node, authenticator *clerkauth.Authenticator, accepts []clerkauth.TokenType, token minted) string {
	t.Helper()
	var acceptsToken any = accepts
	if len(accepts) == 1 {
		acceptsToken = accepts[0] // the reference treats one kind and a list of one in different functions
	}
	var theirs struct {
		Accepted                             bool
		TokenType                            clerkauth.TokenType
		Subject, UserID, SessionID, ClientID string
		Scopes                               []string
		Why                                  string
	}
	reference.ask(t, map[string]any{"token": token.token, "acceptsToken": acceptsToken}, &theirs)
	caller, err := authenticator.Authenticate(t.Context(), token.token)
	refusal := clerkauth.AsError(err)
	if err != nil && refusal.Kind != clerkauth.Unauthenticated {
		t.Errorf("%s: %v: an answer other than 401, because of a token\n%.300s", token.name, err, token.token)
	}
	if strings.HasPrefix(token.name, genuine) && theirs.Accepted != (err == nil) {
		t.Errorf("%s: by us %v, by the reference %v %s\n%.300s", token.name, err, theirs.Accepted, theirs.Why, token.token)
	}
	switch {
	case theirs.Accepted && err == nil:
		more := slices.DeleteFunc(slices.Clone(caller.Scopes), func(scope string) bool { return slices.Contains(theirs.Scopes, scope) })
		if caller.TokenType != theirs.TokenType || caller.Subject != theirs.Subject || caller.UserID != theirs.UserID ||
			caller.SessionID != theirs.SessionID || len(more) > 0 || caller.ClientID != "" && caller.ClientID != theirs.ClientID {
			t.Errorf("%s: %+v to us, %+v to the reference\n%.300s", token.name, caller, theirs, token.token)
			return anotherCaller
		}
		if strings.HasPrefix(token.name, genuine) && (len(caller.Scopes) != len(theirs.Scopes) || caller.ClientID != theirs.ClientID) {
			t.Errorf("%s: scopes %q of client %q to us, %q of %q to the reference", token.name, caller.Scopes, caller.ClientID, theirs.Scopes, theirs.ClientID)
		}
		if !slices.Contains(accepts, caller.TokenType) {
			t.Errorf("%s: accepted as %s", token.name, caller.TokenType)
		}
		return acceptedByBoth
	case !theirs.Accepted && err != nil:
		return refusedByBoth
	case err == nil:
		t.Errorf("LAXER: %s: we accept it as %s %s, the reference says %s\n%.300s", token.name, caller.TokenType, caller.Subject, theirs.Why, token.token)
		return laxer
	}
	_, changed, _ := strings.Cut(token.name, ": ") // the kind that was changed does not matter
	name := machineStricter.find(refusal.Reason, changed)
	if name == "" {
		t.Errorf("stricter without a name: %s: %s (accepted as %s)\n%.300s", token.name, refusal.Reason, theirs.TokenType, token.token)
		return unnamedStricter
	}
	return "stricter: " + name
}

// machineDrafts are JWTs of each kind, as Clerk makes them.
func machineDrafts(k keys, now int64) map[string]func() *draft {
	header := func(more ...member) []member {
		return append([]member{{"alg", `"RS256"`}, {"kid", quote(keyID)}}, more...)
	}
	times := func(more ...member) []member {
		return append([]member{
			{"exp", fmt.Sprint(now + 60)}, {"iat", fmt.Sprint(now)}, {"nbf", fmt.Sprint(now - 10)},
			{"iss", `"https://fakeclerk.clerk.accounts.dev"`},
		}, more...)
	}
	return map[string]func() *draft{
		"OAuth": func() *draft {
			return &draft{key: k.clerk, header: header(member{"typ", `"at+jwt"`}), payload: times(
				member{"sub", `"user_ada"`}, member{"client_id", `"client_1"`}, member{"jti", `"oat_1"`}, member{"scope", `"profile email"`},
			)}
		},
		"M2M": func() *draft {
			return &draft{key: k.clerk, header: header(member{"cat", `"cl_B7d4PD333AAA"`}, member{"typ", `"JWT"`}), payload: times(
				member{"sub", `"mch_1"`}, member{"jti", `"mt_1"`}, member{"scopes", `"mch_2 mch_3"`}, member{"aud", `["mch_2","mch_3"]`},
			)}
		},
		"session": func() *draft { return newDraft(k, now) },
	}
}

// machineVariations are what is varied about the JWTs of each kind.
func machineVariations(k keys, now int64) []variation {
	all := headerStates()
	all = append(all, claimStates("exp", "iat", "nbf", "iss", "sub", "jti", "scope", "scp", "scopes", "aud", "client_id", "act", "azp", "sid", "new")...)
	add := func(name string, change func(d *draft)) { all = append(all, variation{name, change}) }
	claim := func(name, value string) {
		add("claim "+name+" "+value, func(d *draft) { d.payload = set(d.payload, name, value) })
	}
	for _, value := range []string{
		`"user_ada"`, `"user_2abcDEF"`, `"user_"`, `"mch_1"`, `"mch_2abc"`, `"mch_"`, `"mch_/../x"`, `"MCH_1"`, `" mch_1"`, `"mch_1 "`, `"mch_1\u0000"`,
		`"org_1"`, `"client_1"`, `"ak_1"`, `["mch_1"]`, `{"mch_":1}`,
	} {
		claim("sub", value)
	}
	for _, value := range []string{`""`, `" "`, `"a"`, `"a b"`, `"a  b"`, `" a "`, `"a,b"`, `"a\tb"`, `"A"`, `["a","b"]`, `["a",1]`, `[]`} {
		for _, name := range []string{"scope", "scp", "scopes", "aud"} {
			claim(name, value)
			add("claim "+name+" "+value+" alone", func(d *draft) {
				for _, other := range []string{"scope", "scp", "scopes", "aud"} {
					d.payload = remove(d.payload, other)
				}
				d.payload = set(d.payload, name, value)
			})
		}
	}
	for _, value := range []string{
		"jwt", "JWT", "JWT ", "at+jwt", "AT+JWT", "at+jwt ", "application/at+jwt", "Application/at+jwt", "application/jwt", "at", "logout+jwt", "JOSE",
	} {
		add("header typ "+quote(value), func(d *draft) { d.header = set(d.header, "typ", quote(value)) })
		add("header typ "+quote(value)+" without a cat", func(d *draft) { d.header = remove(set(d.header, "typ", quote(value)), "cat") })
	}
	for _, value := range []string{"cl_B7d4PD111AAA", "cl_B7d4PD222AAA", "cl_B7d4PD333AAA", "cl_I7d4PD111III", "cl_b7d4pd333aaa", "cl_B7d4PD444AAA"} {
		add("header cat "+quote(value), func(d *draft) { d.header = set(d.header, "cat", quote(value)) })
		add("header cat "+quote(value)+" without a typ", func(d *draft) { d.header = remove(set(d.header, "cat", quote(value)), "typ") })
		for _, sub := range []string{"user_ada", "mch_1"} {
			add("header cat "+quote(value)+" of "+sub, func(d *draft) {
				d.header, d.payload = set(d.header, "cat", quote(value)), set(d.payload, "sub", quote(sub))
			})
		}
	}
	for _, offset := range []float64{-3600, -6, -5.5, -5, -4.5, -4, 0, 4, 5, 5.5, 6, 3600} {
		for _, name := range []string{"exp", "nbf", "iat"} {
			claim(name, fmt.Sprintf("%.10g", float64(now)+offset))
		}
	}
	for _, value := range []string{`"https://clerk.example.com"`, `"https://evil.example"`, `"http://clerk.example.com"`} {
		claim("iss", value)
	}
	all = append(all, signatures(k)...)
	return append(all, documents()...)
}

// machineJWTs are the genuine JWTs of each kind, their variations, and their
// spellings.
func machineJWTs(t *testing.T, k keys) []minted {
	t.Helper()
	now := instant.Unix()
	drafts := machineDrafts(k, now)
	seen := map[string]bool{}
	var tokens []minted
	add := func(name string, d *draft) {
		if token := d.token(); !seen[token] {
			seen[token] = true
			tokens = append(tokens, minted{name, token})
		}
	}
	byName := func(a, b variation) int { return strings.Compare(a.name, b.name) }
	for _, kind := range []string{"M2M", "OAuth", "session"} {
		add(genuine+kind+" token", drafts[kind]())
		if kind != "session" {
			d := drafts[kind]()
			d.header = remove(d.header, "cat")
			add(genuine+kind+" token without a category", d)
		}
		vary := machineVariations(k, now)
		if kind == "M2M" {
			vary = append(vary, spellings()...)
		}
		slices.SortFunc(vary, byName)
		for _, v := range vary {
			d := drafts[kind]()
			v.apply(d)
			add(kind+": "+v.name, d)
		}
	}
	d := drafts["OAuth"]()
	d.header = set(d.header, "typ", `"application/at+jwt"`)
	add(genuine+"OAuth token, long typ", d)
	return tokens
}

// opaqueTokens are secrets that the fake Clerk knows, in every state, and
// others that look like them.
func opaqueTokens(t *testing.T, clerk *fakeclerk.Server) []minted {
	t.Helper()
	var tokens []minted
	prefixes := map[string]string{fakeclerk.TypeAPIKey: "ak_", fakeclerk.TypeM2MToken: "mt_", fakeclerk.TypeOAuthToken: "oat_"}
	for _, tokenType := range []string{fakeclerk.TypeAPIKey, fakeclerk.TypeM2MToken, fakeclerk.TypeOAuthToken} {
		// The secret's text comes from the name, so that it is the same each time.
		issue := func(name string, token fakeclerk.MachineToken) string {
			token.Type = tokenType
			token.Token = prefixes[tokenType] + fmt.Sprintf("%x", sha256.Sum256([]byte(tokenType+name)))
			issued, err := clerk.AddMachineToken(token)
			if err != nil {
				t.Fatal(err)
			}
			tokens = append(tokens, minted{name + " of the type " + tokenType, issued.Token})
			return issued.Token
		}
		subject := "user_ada"
		if tokenType == fakeclerk.TypeM2MToken {
			subject = "mch_1"
		}
		good := issue(genuine+"secret", fakeclerk.MachineToken{Subject: subject, Scopes: []string{"a", "b"}})
		issue(genuine+"secret without scopes", fakeclerk.MachineToken{Subject: subject})
		issue(genuine+"secret with claims", fakeclerk.MachineToken{Subject: subject, Claims: map[string]any{"sub": "user_boss", "revoked": true}})
		issue(genuine+"secret that expires", fakeclerk.MachineToken{Subject: subject, ExpiresAt: instant.Add(time.Second)})
		issue("secret: revoked", fakeclerk.MachineToken{Subject: subject, Revoked: true})
		issue("secret: expired now", fakeclerk.MachineToken{Subject: subject, ExpiresAt: instant})
		issue("secret: expired long ago", fakeclerk.MachineToken{Subject: subject, ExpiresAt: instant.Add(-time.Hour)})
		for _, other := range []string{"user_ada", "org_analytical", "mch_1", "user_", "sess_1", "x", ""} {
			issue("secret: subject "+other, fakeclerk.MachineToken{Subject: other})
		}
		for _, l := range lookAlikes(prefixes[tokenType], good) {
			tokens = append(tokens, minted{"secret: " + l.name + " of the type " + tokenType, l.token})
		}
	}
	return tokens
}

// lookAlikes are no secrets of Clerk's, although they resemble a good one.
func lookAlikes(prefix, good string) []minted {
	rest := strings.TrimPrefix(good, prefix)
	all := []minted{
		{"in capital letters", strings.ToUpper(good)},
		{"without a prefix", rest},
		{"with a prefix alone", prefix},
		{"with its prefix twice", prefix + good},
		{"with another scheme", "Bearer " + good},
		{"without an underscore", strings.Replace(good, "_", "", 1)},
		{"with a hyphen", strings.Replace(good, "_", "-", 1)},
		{"after a letter", "x" + good},
		{"with a dot", prefix + "." + rest},
		{"as a JWT", prefix + rest + "." + rest + "." + rest},
		{"as the header of a JWT", prefix + "." + rest + "." + rest},
		{"cut", good[:len(good)-1]},
		{"with a character more", good + "0"},
		{"twice", good + " " + good},
		{"twice with a comma", good + "," + good},
		{"in quotes", `"` + good + `"`},
		{"in percent encoding", strings.Replace(good, "_", "%5F", 1)},
		{"with a NUL", good + "\x00"},
		{"with an umlaut", good + "ä"},
		{"with a full-width underscore", strings.Replace(good, "_", "\uff3f", 1)},
		{"that is long", prefix + strings.Repeat("a", 600)},
		{"that is short", prefix + "a"},
		{"that is unknown", prefix + strings.Repeat("0", 64)},
		{"with a query", good + "?x=1"},
		{"with a path", good + "/../x"},
		{"in JSON", good + `","revoked":false,"x":"`},
	}
	for _, other := range []string{"ak_", "mt_", "oat_", "sk_", "mch_", "org_a_api_key_", "user_", "Ak_", "ak"} {
		if other != prefix {
			all = append(all, minted{"with the prefix " + other, other + rest}, minted{"with the prefix " + other + " before it", other + good})
		}
	}
	return all
}
