package conformance

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"encore.app/auth/clerkauth"
	"encore.app/internal/fakeclerk"
)

// How many tokens are drawn with several differences, and how many with single
// characters changed.
const (
	combinations = 800
	changed      = 300
)

// TestDecision gives the same tokens to @clerk/backend and to this project.
// What the reference refuses we refuse; what only we refuse has a name in the
// list of stricter cases.
func TestDecision(t *testing.T) {
	seed := uint64(20261123)
	if given := os.Getenv("CONFORMANCE_SEED"); given != "" {
		var err error
		if seed, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("CONFORMANCE_SEED=%d", seed)
	reference := startNode(t, "reference.mjs")
	now := time.Now().Truncate(time.Second)
	k := keys{clerk: newKey(t), other: newKey(t)}
	clerk, err := fakeclerk.Start(fakeclerk.Options{SigningKey: k.clerk, KeyID: keyID, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer clerk.Close()
	k.pem = clerk.PublicKeyPEM()
	// Whoever may be the subject exists: this is about tokens, not users.
	for _, id := range []string{"user_2abcDEF"} {
		if _, err := clerk.AddUser(fakeclerk.User{ID: id}); err != nil {
			t.Fatal(err)
		}
	}

	tokens := mint(k, now.Unix(), seed)
	if len(tokens) < 1000 {
		t.Errorf("%d tokens, want at least 1,000", len(tokens))
	}
	occurred := map[string]bool{}
	for _, setup := range []struct {
		name    string
		jwtKey  string
		parties []string
	}{
		{"keys from the JWKS, authorized parties", "", []string{fakeclerk.DefaultAuthorizedParty, "https://second.example"}},
		{"keys from the JWKS, no authorized parties", "", nil},
		{"networkless, authorized parties", k.pem, []string{fakeclerk.DefaultAuthorizedParty, "https://second.example"}},
		{"networkless, no authorized parties", k.pem, nil},
	} {
		t.Run(setup.name, func(t *testing.T) {
			reference.configure(t, configuration{
				SecretKey: clerk.SecretKey(), APIURL: clerk.URL(), JWTKey: setup.jwtKey, AuthorizedParties: setup.parties, Now: now.UnixMilli(),
			})
			authenticator, err := clerkauth.New(clerkauth.Options{
				SecretKey: clerk.SecretKey(), APIURL: clerk.URL(), JWTKey: setup.jwtKey, AuthorizedParties: setup.parties,
				Now: func() time.Time { return now },
			})
			if err != nil {
				t.Fatal(err)
			}
			count := map[string]int{"accepted by us alone": 0}
			for _, token := range tokens {
				var theirs struct {
					Accepted bool
					Why      string
				}
				reference.ask(t, map[string]string{"token": token.token}, &theirs)
				caller, ours := authenticator.Authenticate(t.Context(), token.token)
				switch {
				case theirs.Accepted && ours == nil:
					count["accepted by both"]++
				case !theirs.Accepted && ours != nil:
					count["refused by both"]++
				case ours == nil:
					count["accepted by us alone"]++
					t.Errorf("LAXER: %s: we accept it as %s, the reference says %s\n%.300s", token.name, caller.UserID, theirs.Why, token.token)
				default:
					reason := clerkauth.AsError(ours).Reason
					name := stricterName(reason, token.name)
					if name == "" {
						t.Errorf("stricter without a name: %s: %s\n%.300s", token.name, reason, token.token)
					}
					occurred[name] = true
					count["stricter: "+name]++
				}
			}
			report(t, len(tokens), count)
		})
	}
	for _, s := range stricter {
		if !occurred[s.name] {
			t.Errorf("the stricter case %q did not occur: is it still one?", s.name)
		}
	}
}

type minted struct{ name, token string }

// mint makes a token of each variation, and of combinations drawn from the seed.
func mint(k keys, now int64, seed uint64) []minted {
	all := variations(k, now)
	// Maps give no order; the seed needs one.
	sort.Slice(all, func(i, j int) bool { return all[i].name < all[j].name })
	seen := map[string]bool{}
	var tokens []minted
	add := func(chosen ...variation) {
		d := newDraft(k, now)
		var names []string
		for _, v := range chosen {
			v.apply(d)
			names = append(names, v.name)
		}
		if token := d.token(); !seen[token] {
			seen[token] = true
			tokens = append(tokens, minted{strings.Join(names, " + "), token})
		}
	}
	for _, v := range all {
		add(v)
	}
	r := mathrand.New(mathrand.NewPCG(seed, 0))
	for range combinations {
		chosen := make([]variation, 2+r.IntN(2))
		for i := range chosen {
			chosen[i] = all[r.IntN(len(all))]
		}
		add(chosen...)
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

func report(t *testing.T, tokens int, count map[string]int) {
	t.Helper()
	var lines []string
	for what, n := range count {
		lines = append(lines, fmt.Sprintf("%6d %s", n, what))
	}
	sort.Strings(lines)
	t.Logf("%d tokens:\n%s", tokens, strings.Join(lines, "\n"))
}

func newKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
