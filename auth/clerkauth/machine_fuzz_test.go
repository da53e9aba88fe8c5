package clerkauth

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// FuzzTokenType: with any header and payload, a JWT is valid as at most one
// kind, and jwtType names that kind. A token with the prefix of a secret is
// never a JWT.
func FuzzTokenType(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"alg":"RS256","typ":"JWT","cat":"cl_B7d4PD111AAA"}`, `{"sub":"user_ada","sid":"sess_1"}`},
		{`{"alg":"RS256","typ":"at+jwt"}`, `{"sub":"user_ada","scope":"a b"}`},
		{`{"alg":"RS256","typ":"application/at+jwt"}`, `{"sub":"user_ada","scp":["a"]}`},
		{`{"alg":"RS256","typ":"JWT","cat":"cl_B7d4PD333AAA"}`, `{"sub":"mch_1","scopes":"mch_2","aud":["mch_3"]}`},
		{`{"alg":"RS256","typ":"at+jwt","cat":"cl_B7d4PD333AAA"}`, `{"sub":"mch_1"}`},
		{`{"alg":"RS256"}`, `{"sub":"mch_1","\u0073ub":"user_ada"}`},
		{`{"alg":"RS256","typ":null}`, `{"sub":["mch_1"],"act":{"sub":1},"aud":[null],"scopes":7}`},
	} {
		f.Add(seed[0], seed[1])
	}
	a := &Authenticator{accepts: tokenTypes{SessionToken, APIKey, M2MToken, OAuthToken}}
	f.Fuzz(func(t *testing.T, head, body string) {
		if kind, opaque := opaqueType(head); opaque && isSecret(head) && isCompact(head) {
			t.Errorf("%q is a secret of the kind %s and a JWT", head, kind)
		}
		token := base64url.EncodeToString([]byte(head)) + "." + base64url.EncodeToString([]byte(body)) + ".AAAA"
		if kind, opaque := opaqueType(token); opaque && strings.HasPrefix(head, "{") {
			t.Errorf("a JWT is taken for a secret of the kind %s", kind)
		}
		h, reason := parseHeader(token)
		if reason != nil {
			return
		}
		var c machineClaims
		if decode(payload(token), &c) != nil {
			return
		}
		inOrder := map[TokenType]bool{
			SessionToken: h.checkSession() == nil && isUserID(c.Subject),
		}
		for _, kind := range []TokenType{M2MToken, OAuthToken} {
			var caller Caller
			inOrder[kind] = h.checkMachine(kind) == nil && caller.setSubject(kind, c.Subject) && c.authorize(&caller)
			accessToken := h.Type.value == typeAccessToken || h.Type.value == typeAccessTokenLong
			inOrder[kind] = inOrder[kind] && (kind != OAuthToken || accessToken) // by jwtType alone
			for _, r := range []Requirement{Role("admin"), Permission("a:b"), Feature("a"), Plan("a"), Reverify(Lax), Scope(""), Accepts()} {
				if inOrder[kind] && caller.Has(r) {
					t.Errorf("a machine has %s: %+v", r, caller)
				}
			}
		}
		for kind, ok := range inOrder {
			if told := a.jwtType(&h, token); ok && told != kind {
				t.Errorf("in order as %s, taken for %s", kind, told)
			}
		}
	})
}

// FuzzMachineAnswer: with any answer of the Backend API, a caller has a subject
// that its kind can have, and no revoked or expired token passes.
func FuzzMachineAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"subject":"user_ada","scopes":["a",""],"claims":{"a":1},"revoked":false,"expired":false,"expiration":1764000000000}`,
		`{"subject":"mch_1","scopes":[],"claims":null,"revoked":false,"expired":false,"expiration":null}`,
		`{"subject":"user_ada","client_id":"c","scopes":["a"],"revoked":true,"expired":false,"expiration":-1}`,
		`{"active":false}`, `{"active":true}`, `{}`, `{"subject":"user_ada","revoked":false}`,
		`{"subject":"user_ada","revoked":false,"expired":false,"active":false,"expiration":1e308}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		for _, kind := range []TokenType{APIKey, M2MToken, OAuthToken} {
			var answer machineAnswer
			if json.Unmarshal([]byte(body), &answer) != nil {
				return
			}
			caller, err := answer.caller(kind)
			if err != nil {
				if caller.Subject != "" {
					t.Errorf("%v, and %+v", err, caller)
				}
				continue
			}
			good := answer.Revoked != nil && !*answer.Revoked && answer.Expired != nil && !*answer.Expired && (answer.Active == nil || *answer.Active)
			if !good || caller.TokenType != kind || caller.Subject == "" || (caller.UserID != "") != strings.HasPrefix(caller.Subject, "user_") {
				t.Errorf("%s: %+v of %s", kind, caller, body)
			}
			if answer.Expiration != nil && caller.ExpiresAt.IsZero() || caller.ExpiresAt.After(time.Unix(maxNumericDate, 0)) {
				t.Errorf("%s: expires at %v of %s", kind, caller.ExpiresAt, body)
			}
			for _, scope := range caller.Scopes {
				if scope == "" {
					t.Errorf("an empty scope of %s", body)
				}
			}
		}
	})
}
