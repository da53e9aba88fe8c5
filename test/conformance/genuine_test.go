package conformance

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
)

// genuine begins the names of tokens that must be accepted: whoever refuses
// everything is never laxer.
const genuine = "genuine "

// ordinary is the name of the token that the variations start from.
const ordinary = genuine + "session token, version 2"

// genuineTokens are session tokens as Clerk makes them, or may come to.
func genuineTokens(t *testing.T, clerk *fakeclerk.Server, now int64) []variation {
	t.Helper()
	var all []variation
	add := func(name string, change func(d *draft)) { all = append(all, variation{genuine + name, change}) }
	claims := func(name string, pairs ...string) {
		add(name, func(d *draft) {
			for i := 0; i < len(pairs); i += 2 {
				d.payload = set(d.payload, pairs[i], pairs[i+1])
			}
		})
	}
	made := func(name string, userID string, options ...fakeclerk.TokenOption) {
		token, err := clerk.SessionToken(userID, options...)
		if err != nil {
			t.Fatal(err)
		}
		add(name, func(d *draft) { d.rewrite = append(d.rewrite, func(string) string { return token }) })
	}

	made("token of the fake Clerk", "user_ada")
	made("token of the fake Clerk, with an organization", "user_ada", fakeclerk.ActiveOrganization("org_analytical"))
	made("token of the fake Clerk, of a user without an address", "user_noemail")

	claims("organization", "o", usual["o"], "fea", usual["fea"], "pla", usual["pla"])
	claims("organization without features", "o", `{"id":"org_1","slg":"one","rol":"member"}`)
	claims("features and plans of nobody", "fea", `""`, "pla", `""`)
	claims("impersonation", "act", usual["act"])
	claims("agent", "act", `{"sub":"agent_1","type":"agent"}`)
	claims("factors long ago", "fva", "[99999,99999]")
	claims("factors never", "fva", "[-1,-1]")
	claims("audience", "aud", `"https://api.example.com"`)
	claims("audiences", "aud", `["https://api.example.com","https://two.example.com"]`)
	claims("another authorized party", "azp", `"https://second.example"`)
	claims("production issuer", "iss", `"https://clerk.example.com"`)
	claims("custom claims", "email", `{"primary":"ada@example.com"}`, "metadata", `{"sub":"user_boss","roles":["a"],"n":1.5e3,"ok":null}`)
	claims("as old as can be", "exp", fmt.Sprint(now-4))
	claims("as early as can be", "iat", fmt.Sprint(now+5), "nbf", fmt.Sprint(now+5))
	for _, name := range []string{"fva", "jti", "nbf", "sts", "email"} {
		add("token without "+name, func(d *draft) { d.payload = remove(d.payload, name) })
	}
	for _, name := range []string{"cat", "typ"} {
		add("token without "+name, func(d *draft) { d.header = remove(d.header, name) })
	}
	add("token of an instance that does not tell kinds apart", func(d *draft) { d.header = set(d.header, "cat", `"cl_I7d4PD111III"`) })
	add("token with a header field to come", func(d *draft) { d.header = set(d.header, "new", `{"a":[1,null]}`) })
	version1 := func(more ...member) func(*draft) {
		return func(d *draft) { d.payload = append(remove(remove(remove(d.payload, "v"), "fva"), "sts"), more...) }
	}
	add("session token, version 1", version1())
	add("session token, version 1, with an organization", version1(member{"org_id", `"org_1"`}, member{"org_role", `"org:admin"`},
		member{"org_slug", `"one"`}, member{"org_permissions", `["org:teams:read"]`}))
	for _, size := range []int{4 << 10, 8 << 10, clerkauth.MaxTokenBytes} {
		add(fmt.Sprintf("token of %d bytes", size), ofSize(size))
	}
	return all
}

// ofSize pads a token to the byte.
func ofSize(size int) func(*draft) {
	return func(d *draft) {
		const signature = 342 // 256 bytes in base64url
		payload := func() int {
			return size - base64.RawURLEncoding.EncodedLen(len(object(d.header))) - signature - len("..")
		}
		// No base64url has a length of 4n+1, so the header gives way.
		for pad := ""; payload()%4 == 1; pad += "x" {
			d.header = set(d.header, "pad", quote(pad))
		}
		bytes := base64.RawURLEncoding.DecodedLen(payload())
		d.payload = set(d.payload, "pad", `""`)
		d.payload = set(d.payload, "pad", `"`+strings.Repeat("x", max(bytes-len(object(d.payload)), 0))+`"`)
	}
}
