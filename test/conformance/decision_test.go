package conformance

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/cryptotest"
	"text/tabwriter"
	"time"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
)

// How many tokens are drawn with several differences, and how many with single
// characters changed.
const (
	combinations = 800
	changed      = 300
)

// instant is when the clocks of both sides stand still.
var instant = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

// setups are how both sides are configured alike.
var setups = []struct {
	name        string
	networkless bool
	parties     []string
	now         time.Time
}{
	{"JWKS, azp", false, parties, instant},
	{"JWKS", false, nil, instant},
	{"PEM, azp", true, parties, instant},
	{"PEM", true, nil, instant},
	{"PEM, azp, +0.5 s", true, parties, instant.Add(500 * time.Millisecond)},
}

var parties = []string{fakeclerk.DefaultAuthorizedParty, "https://second.example"}

// Rows of the summary.
const (
	acceptedByBoth  = "accepted by both"
	refusedByBoth   = "refused by both"
	laxer           = "laxer: accepted by us alone"
	anotherCaller   = "accepted by both, as different callers"
	unnamedStricter = "stricter, without a name"
)

// TestDecision gives the same tokens to @clerk/backend and to this project.
// What the reference refuses we refuse; what only we refuse has a name in the
// list of stricter cases; what both accept belongs to the same caller; and
// tokens as Clerk makes them are accepted.
func TestDecision(t *testing.T) {
	needsWhole(t)
	seed := uint64(20261123)
	if given := os.Getenv("SEED"); given != "" {
		var err error
		if seed, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("SEED=%d", seed)
	reference := startNode(t, "reference.mjs")

	cryptotest.SetGlobalRandom(t, seed) // the same keys, and so the same tokens
	k := keys{clerk: newKey(t), other: newKey(t)}
	clerk, err := fakeclerk.Start(fakeclerk.Options{SigningKey: k.clerk, KeyID: keyID, Now: func() time.Time { return instant }})
	if err != nil {
		t.Fatal(err)
	}
	defer clerk.Close()
	k.pem = clerk.PublicKeyPEM()
	// Whoever may be the subject exists: this is about tokens, not users.
	if _, err := clerk.AddUser(fakeclerk.User{ID: "user_2abcDEF"}); err != nil {
		t.Fatal(err)
	}
	tokens := mint(t, clerk, k, seed)
	if least := 1000; len(tokens) < least {
		t.Errorf("%d tokens, want at least %d", len(tokens), least)
	}

	counts := make([]map[string]int, len(setups))
	for i, setup := range setups {
		counts[i] = map[string]int{}
		t.Run(setup.name, func(t *testing.T) {
			jwtKey := ""
			if setup.networkless {
				jwtKey = k.pem
			}
			reference.configure(t, configuration{
				SecretKey: clerk.SecretKey(), APIURL: clerk.URL(), JWTKey: jwtKey, AuthorizedParties: setup.parties, Now: setup.now.UnixMilli(),
			})
			authenticator, err := clerkauth.New(clerkauth.Options{
				SecretKey: clerk.SecretKey(), APIURL: clerk.URL(), JWTKey: jwtKey, AuthorizedParties: setup.parties,
				Now: func() time.Time { return setup.now },
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, token := range tokens {
				counts[i][compare(t, reference, authenticator, token)]++
			}
		})
	}
	report(t, seed, tokens, counts)
	for _, s := range stricter {
		if !slices.ContainsFunc(counts, func(count map[string]int) bool { return count["stricter: "+s.name] > 0 }) {
			t.Errorf("the stricter case %q did not occur: is it still one?", s.name)
		}
	}
}

// compare has both sides decide, and gives the row of the summary.
func compare(t *testing.T, reference *node, authenticator *clerkauth.Authenticator, token minted) string {
	t.Helper()
	var theirs struct {
		Accepted               bool
		UserID, SessionID, Why string
	}
	reference.ask(t, map[string]string{"token": token.token}, &theirs)
	caller, err := authenticator.Authenticate(t.Context(), token.token)
	refusal := clerkauth.AsError(err)
	if err != nil && refusal.Kind != clerkauth.Unauthenticated {
		t.Errorf("%s: %v: an answer other than 401, because of a token\n%.300s", token.name, err, token.token)
	}
	if strings.HasPrefix(token.name, genuine) && !(theirs.Accepted && err == nil) {
		t.Errorf("%s: not accepted: by us %v, by the reference %v %s\n%.300s", token.name, err, theirs.Accepted, theirs.Why, token.token)
	}
	switch {
	case theirs.Accepted && err == nil:
		if caller.UserID != theirs.UserID || caller.SessionID != theirs.SessionID {
			t.Errorf("%s: %s in %s to us, %s in %s to the reference\n%.300s",
				token.name, caller.UserID, caller.SessionID, theirs.UserID, theirs.SessionID, token.token)
			return anotherCaller
		}
		return acceptedByBoth
	case !theirs.Accepted && err != nil:
		return refusedByBoth
	case err == nil:
		t.Errorf("LAXER: %s: we accept it as %s, the reference says %s\n%.300s", token.name, caller.UserID, theirs.Why, token.token)
		return laxer
	}
	name := sessionStricter.find(refusal.Reason, token.name)
	if name == "" {
		t.Errorf("stricter without a name: %s: %s\n%.300s", token.name, refusal.Reason, token.token)
		return unnamedStricter
	}
	return "stricter: " + name
}

type minted struct{ name, token string }

// mint makes a token of each variation, and of combinations drawn from the seed.
func mint(t *testing.T, clerk *fakeclerk.Server, k keys, seed uint64) []minted {
	t.Helper()
	now := instant.Unix()
	all := variations(k, now)
	// Maps give no order; the seed needs one.
	slices.SortFunc(all, func(a, b variation) int { return strings.Compare(a.name, b.name) })
	byToken := map[string]string{}
	var tokens []minted
	add := func(chosen ...variation) {
		d := newDraft(k, now)
		var names []string
		for _, v := range chosen {
			v.apply(d)
			names = append(names, v.name)
		}
		name, token := strings.Join(names, " + "), d.token()
		same, ok := byToken[token]
		if ok && same == ordinary && len(chosen) == 1 && strings.HasPrefix(name, "token ") {
			t.Errorf("%q changes nothing", name)
		}
		if !ok {
			byToken[token] = name
			tokens = append(tokens, minted{name, token})
		}
	}
	for i, v := range all {
		if i > 0 && v.name == all[i-1].name {
			t.Errorf("two variations are named %q", v.name)
		}
	}
	add(variation{ordinary, func(*draft) {}})
	for _, v := range genuineTokens(t, clerk, now) {
		add(v)
	}
	for _, v := range all {
		add(v)
	}
	r := mathrand.New(mathrand.NewPCG(seed, 0))
	for range combinations {
		want := 2 + r.IntN(2)
		chosen := map[string]variation{} // two changes of one member would be a third
		for len(chosen) < want {
			v := all[r.IntN(len(all))]
			chosen[v.subject()] = v
		}
		var inOrder []variation
		for _, subject := range slices.Sorted(maps.Keys(chosen)) {
			inOrder = append(inOrder, chosen[subject])
		}
		add(inOrder...)
	}
	const characters = "ABCXYZabcxyz0189-_.=+/ "
	for i := range changed {
		token := []byte(newDraft(k, now).token())
		for range 1 + r.IntN(3) {
			token[r.IntN(len(token))] = characters[r.IntN(len(characters))]
		}
		tokens = append(tokens, minted{fmt.Sprintf("token with characters changed, %d", i), string(token)})
	}
	return tokens
}

// report prints the closing summary: a column for each setup.
func report(t *testing.T, seed uint64, tokens []minted, counts []map[string]int) {
	t.Helper()
	digest := sha256.New()
	for _, token := range tokens {
		fmt.Fprintln(digest, token.token)
	}
	names := make([]string, len(setups))
	for i, setup := range setups {
		names[i] = setup.name
	}
	t.Logf("%d tokens of seed %d (SHA-256 %.8x), each by %d setups:\n%s", len(tokens), seed, digest.Sum(nil), len(setups), summary(names, counts))
}

// summary is a table of how often each row occurred, with a column for each
// setup.
func summary(setups []string, counts []map[string]int) string {
	rows := map[string]bool{}
	for _, count := range counts {
		for row := range count {
			rows[row] = true
		}
	}
	for _, row := range []string{acceptedByBoth, refusedByBoth, anotherCaller, laxer, unnamedStricter} {
		delete(rows, row)
	}
	order := []string{acceptedByBoth, refusedByBoth}
	order = append(order, slices.Sorted(maps.Keys(rows))...) // the stricter ones
	order = append(order, unnamedStricter, anotherCaller, laxer)

	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', tabwriter.AlignRight|tabwriter.TabIndent)
	for _, setup := range setups {
		fmt.Fprintf(w, "%s\t", setup)
	}
	fmt.Fprintln(w)
	for _, row := range order {
		for _, count := range counts {
			fmt.Fprintf(w, "%d\t", count[row])
		}
		fmt.Fprintf(w, "  %s\n", row)
	}
	_ = w.Flush() // into memory
	return table.String()
}

func newKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
