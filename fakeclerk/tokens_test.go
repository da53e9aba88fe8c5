package fakeclerk_test

import (
	"errors"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/go-jose/go-jose/v3"
	"github.com/google/go-cmp/cmp"

	"encore.app/fakeclerk"
)

func TestSessionToken(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	s := start(t, fakeclerk.Options{
		Now: func() time.Time { return now },
	})
	standard := map[string]any{
		"azp": "http://localhost:3001", "exp": 1_800_000_060.0, "fva": []any{0.0, -1.0},
		"iat": 1_800_000_000.0, "iss": "https://fakeclerk.clerk.accounts.dev", "nbf": 1_799_999_990.0,
		"sts": "active", "sub": "user_ada", "v": 2.0,
	}
	standardHeader := map[string]any{"alg": "RS256", "cat": "cl_B7d4PD111AAA", "kid": "ins_fakeclerk", "typ": "JWT"}
	merge := func(base, more map[string]any) map[string]any {
		merged := maps.Clone(base)
		maps.Copy(merged, more)
		return merged
	}
	tests := []struct {
		name    string
		options []fakeclerk.TokenOption
		header  map[string]any
		claims  map[string]any
	}{
		{"is Clerk's version 2", nil, standardHeader, standard},
		{"takes a claim", []fakeclerk.TokenOption{fakeclerk.Claim("sts", "pending"), fakeclerk.Claim("o", map[string]any{"id": "org_1"})},
			standardHeader, merge(standard, map[string]any{"sts": "pending", "o": map[string]any{"id": "org_1"}})},
		{"loses a claim", []fakeclerk.TokenOption{fakeclerk.Claim("azp", nil), fakeclerk.Claim("fva", nil)},
			standardHeader, without(standard, "azp", "fva")},
		{"takes and loses header fields", []fakeclerk.TokenOption{fakeclerk.Header("alg", "none"), fakeclerk.Header("typ", nil)},
			without(merge(standardHeader, map[string]any{"alg": "none"}), "typ"), standard},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			token, err := s.SessionToken("user_ada", test.options...)
			if err != nil {
				t.Fatal(err)
			}
			header, claims := decode(t, token)
			if diff := cmp.Diff(test.header, header); diff != "" {
				t.Error("header: -want +got\n", diff)
			}
			if diff := cmp.Diff(test.claims, without(claims, "sid", "jti")); diff != "" {
				t.Error("claims: -want +got\n", diff)
			}
			if sid, _ := claims["sid"].(string); !strings.HasPrefix(sid, "sess_") || claims["jti"] == "" {
				t.Errorf("sid %v, jti %v", claims["sid"], claims["jti"])
			}
		})
	}
}

func TestSessionTokensOfAUserShareASession(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	sid := func(user string) any {
		token, err := s.SessionToken(user)
		if err != nil {
			t.Fatal(err)
		}
		_, claims := decode(t, token)
		return claims["sid"]
	}
	first := sid("user_ada")
	if sid("user_ada") != first || sid("user_grace") == first {
		t.Error("a session is not one user's own")
	}
	call(t, s, "POST /v1/sessions/"+first.(string)+"/revoke", "")
	if second := sid("user_ada"); second == first {
		t.Error("a token for a revoked session")
	}
	banned := sid("user_banned")
	if sid("user_banned") != banned {
		t.Error("a banned user's session changes")
	}
	if got := call(t, s, "GET /v1/sessions/"+banned.(string), ""); got.json["status"] != "revoked" {
		t.Errorf("a banned user's session is %v", got.json["status"])
	}
	if _, err := s.SessionToken("user_none"); !errors.Is(err, fakeclerk.ErrUnknownUser) {
		t.Errorf("unknown user: %v", err)
	}
}

func TestTokenTimes(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	s := start(t, fakeclerk.Options{Now: func() time.Time { return now }, TokenLifetime: 5 * time.Minute})
	for _, offset := range []time.Duration{0, 10 * time.Second, -time.Hour} {
		call(t, s, "PUT /fakeclerk/clock", `{"offset":"`+offset.String()+`"}`)
		token, err := s.SessionToken("user_ada")
		if err != nil {
			t.Fatal(err)
		}
		_, claims := decode(t, token)
		iat := float64(now.Add(offset).Unix())
		if claims["iat"] != iat || claims["nbf"] != iat-10 || claims["exp"] != iat+300 {
			t.Errorf("offset %v: iat %v, nbf %v, exp %v", offset, claims["iat"], claims["nbf"], claims["exp"])
		}
	}
}

func TestForgedSessionToken(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	other := newKey()
	token, err := s.SessionToken("user_ada", fakeclerk.SignedBy(other))
	if err != nil {
		t.Fatal(err)
	}
	if header, _ := decode(t, token); header["kid"] != "ins_fakeclerk" {
		t.Errorf("header %v", header)
	}
	signed, err := jose.ParseSigned(token)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signed.Verify(other.Public()); err != nil {
		t.Error(err)
	}
	if _, err := s.SessionToken("user_ada", fakeclerk.Claim("f", func() {})); err == nil {
		t.Error("no error for a claim that cannot be encoded")
	}
}

func TestKeys(t *testing.T) {
	s := start(t, fakeclerk.Options{KeyID: "ins_1"})
	listed := func() []string {
		var ids []string
		list, _ := call(t, s, "GET /v1/jwks", "").json["keys"].([]any)
		for _, key := range list {
			ids = append(ids, key.(map[string]any)["kid"].(string))
		}
		return ids
	}
	signedBy := func() any {
		token, err := s.SessionToken("user_ada")
		if err != nil {
			t.Fatal(err)
		}
		header, _ := decode(t, token)
		key, err := clerk.JSONWebKeyFromPEM(s.PublicKeyPEM())
		if err != nil {
			t.Fatal(err)
		}
		signed, err := jose.ParseSigned(token)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := signed.Verify(key.Key); err != nil {
			t.Errorf("PublicKeyPEM is not the signing key: %v", err)
		}
		return header["kid"]
	}
	steps := []struct {
		name   string
		do     func()
		listed []string
		signs  string
	}{
		{"at first", func() {}, []string{"ins_1"}, "ins_1"},
		{"rotated", func() { s.RotateKey("ins_2") }, []string{"ins_1", "ins_2"}, "ins_2"},
		{"old key removed", func() { s.RemoveKey("ins_1") }, []string{"ins_2"}, "ins_2"},
		{"rotated under the same id", func() { s.RotateKey("ins_2") }, []string{"ins_2"}, "ins_2"},
		{"signing key removed", func() { s.RemoveKey("ins_2") }, nil, "ins_2"},
	}
	for _, step := range steps {
		step.do()
		if got := listed(); !reflect.DeepEqual(got, step.listed) {
			t.Errorf("%s: listed %v, want %v", step.name, got, step.listed)
		}
		if got := signedBy(); got != step.signs {
			t.Errorf("%s: signed by %v, want %v", step.name, got, step.signs)
		}
	}
}
