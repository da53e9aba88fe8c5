package fakeclerk_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"encore.app/fakeclerk"
)

// asMachine sends a request with a machine's secret key.
func asMachine(t testing.TB, s *fakeclerk.Server, key, route, content string) answer {
	t.Helper()
	r := request(t, s, route, content)
	r.Header.Set("Authorization", "Bearer "+key)
	a, err := send(r)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func text(a answer, name string) string {
	value, _ := a.json[name].(string)
	return value
}

func TestAPIKeys(t *testing.T) {
	var passed atomic.Int64
	begin := time.Now()
	s := start(t, fakeclerk.Options{Now: func() time.Time { return begin.Add(time.Duration(passed.Load())) }})

	a := call(t, s, "POST /v1/api_keys", `{"name":"CI key","subject":"user_ada","scopes":["read"],"claims":{"a":1},"seconds_until_expiration":60}`)
	secret, id := text(a, "secret"), text(a, "id")
	if a.status != http.StatusOK || secret == "" || a.json["type"] != "api_key" || a.json["object"] != "api_key" || a.json["expired"] != false {
		t.Fatalf("create: %d %s", a.status, a.body)
	}
	verify := func(status int, revoked, expired any) {
		t.Helper()
		a := call(t, s, "POST /v1/api_keys/verify", `{"secret":"`+secret+`"}`)
		if a.status != status || a.json["revoked"] != revoked || a.json["expired"] != expired || a.json["secret"] != nil {
			t.Errorf("verify: %d %s", a.status, a.body)
		}
	}
	verify(200, false, false)
	if a := call(t, s, "GET /v1/api_keys/"+id, ""); a.json["name"] != "CI key" || a.json["scopes"].([]any)[0] != "read" || object(a.json, "claims")["a"] != 1.0 {
		t.Errorf("get: %s", a.body)
	}
	passed.Store(int64(time.Minute))
	verify(200, false, true) // expired is in the body, not in the status
	if a := call(t, s, "POST /v1/api_keys/"+id+"/revoke", `{"revocation_reason":"lost"}`); a.json["revoked"] != true || a.json["revocation_reason"] != "lost" {
		t.Errorf("revoke: %s", a.body)
	}
	verify(200, true, true)

	count := func(query string) any { return call(t, s, "GET /v1/api_keys?"+query, "").json["total_count"] }
	if n := count("subject=user_ada"); n != 0.0 {
		t.Errorf("%v valid keys", n)
	}
	if n := count("subject=user_ada&include_invalid=true"); n != 1.0 {
		t.Errorf("%v keys", n)
	}
	secret = "ak_unknown"
	verify(404, nil, nil)
	if a := call(t, s, "POST /v1/api_keys", `{"name":"of nobody"}`); a.status != http.StatusUnprocessableEntity {
		t.Errorf("without a subject: %d", a.status)
	}
}

func TestTokensAreRevokedInGo(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	added, err := s.AddMachineToken(fakeclerk.MachineToken{Type: fakeclerk.TypeOAuthToken, Subject: "user_ada"})
	if err != nil || s.RevokeMachineToken(added.ID, "lost") != nil || s.RevokeMachineToken("oat_none", "") != fakeclerk.ErrUnknownToken {
		t.Errorf("revoke: %v", err)
	}
	a := call(t, s, "POST /v1/oauth_applications/access_tokens/verify", `{"access_token":"`+added.Token+`"}`)
	if a.status != 200 || a.json["revoked"] != true || a.json["revocation_reason"] != "lost" {
		t.Errorf("revoked in Go: %d %s", a.status, a.body)
	}
}

func TestM2MTokens(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	const reports, inventory = "ak_fakeclerk_reports", "ak_fakeclerk_inventory"
	if a := call(t, s, "POST /v1/m2m_tokens", `{}`); a.status != http.StatusForbidden {
		t.Errorf("created with the instance's key: %d %s", a.status, a.body)
	}
	a := asMachine(t, s, reports, "POST /v1/m2m_tokens", `{"claims":{"a":1}}`)
	token, id := text(a, "token"), text(a, "id")
	if a.status != http.StatusCreated || a.json["subject"] != "mch_reports" || a.json["object"] != "machine_to_machine_token" {
		t.Fatalf("create: %d %s", a.status, a.body)
	}
	body := `{"token":"` + token + `"}`
	for key, want := range map[string]int{s.SecretKey(): 200, inventory: 200, reports: 404, "ak_unknown": 401} {
		if a := asMachine(t, s, key, "POST /v1/m2m_tokens/verify", body); a.status != want {
			t.Errorf("verified with %s: %d %s, want %d", key, a.status, a.body, want)
		}
	}
	if a := asMachine(t, s, reports, "GET /v1/users", ""); a.status != http.StatusUnauthorized {
		t.Errorf("a machine's key lists users: %d", a.status)
	}
	if a := asMachine(t, s, inventory, "GET /v1/m2m_tokens?subject=mch_reports", ""); a.status != http.StatusForbidden {
		t.Errorf("list of another machine: %d", a.status)
	}
	if a := call(t, s, "GET /v1/m2m_tokens?subject=mch_reports", ""); a.json["total_count"] != 1.0 || object(a.json, "m2m_tokens")["id"] != id {
		t.Errorf("list: %s", a.body)
	}
	if a := asMachine(t, s, inventory, "POST /v1/m2m_tokens/"+id+"/revoke", `{}`); a.status != http.StatusNotFound {
		t.Errorf("revoked by another machine: %d", a.status)
	}
	if a := call(t, s, "POST /v1/m2m_tokens/"+id+"/revoke", `{}`); a.json["revoked"] != true {
		t.Errorf("revoke: %d %s", a.status, a.body)
	}
	if a := call(t, s, "POST /v1/m2m_tokens/verify", body); a.status != 200 || a.json["revoked"] != true {
		t.Errorf("verify a revoked one: %d %s", a.status, a.body)
	}

	a = asMachine(t, s, reports, "POST /v1/m2m_tokens", `{"token_format":"jwt","claims":{"tier":"gold"},"seconds_until_expiration":30}`)
	header, claims := decode(t, text(a, "token"))
	if header["cat"] != fakeclerk.CategoryM2MToken || claims["sub"] != "mch_reports" || claims["tier"] != "gold" || claims["jti"] != a.json["id"] || claims["exp"].(float64)-claims["iat"].(float64) != 30 {
		t.Errorf("JWT: %v %v", header, claims)
	}
	if a := call(t, s, "GET /v1/m2m_tokens?subject=mch_reports", ""); a.json["total_count"] != 0.0 {
		t.Errorf("a JWT is listed: %s", a.body)
	}
}

func TestOAuthTokens(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	verify := func(token string) answer {
		t.Helper()
		return call(t, s, "POST /v1/oauth_applications/access_tokens/verify", `{"access_token":"`+token+`"}`)
	}
	token := call(t, s, "GET /token?type=oauth_token&email=ada@example.com&scopes=profile,email", "").body
	if a := verify(token); a.status != 200 || a.json["subject"] != "user_ada" || a.json["client_id"] != "client_fakeclerk" || len(a.json["scopes"].([]any)) != 2 {
		t.Errorf("verify: %d %s", a.status, a.body)
	}
	if a := call(t, s, "POST /v1/oauth_applications/client_other/revoke_token", `{"token":"`+token+`"}`); a.status != http.StatusNotFound {
		t.Errorf("revoked by another client: %d", a.status)
	}
	if a := call(t, s, "POST /v1/oauth_applications/client_fakeclerk/revoke_token", `{"token":"`+token+`"}`); a.status != http.StatusNoContent {
		t.Errorf("revoke: %d %s", a.status, a.body)
	}
	if a := verify(token); a.status != 200 || a.json["revoked"] != true {
		t.Errorf("verify a revoked one: %d %s", a.status, a.body)
	}
	if a := verify("oat_unknown"); a.status != http.StatusNotFound {
		t.Errorf("verify an unknown one: %d", a.status)
	}

	jwt := call(t, s, "GET /token?type=oauth_token&format=jwt&email=ada@example.com&scopes=profile,email", "").body
	header, claims := decode(t, jwt)
	if header["typ"] != "at+jwt" || claims["scope"] != "profile email" || claims["client_id"] != "client_fakeclerk" || claims["iss"] != s.Issuer() {
		t.Errorf("JWT: %v %v", header, claims)
	}
	if a := verify(jwt); a.status != 200 || a.json["subject"] != "user_ada" {
		t.Errorf("verify a JWT: %d %s", a.status, a.body)
	}
	expired := call(t, s, "GET /token?type=oauth_token&format=jwt&email=ada@example.com&expires_in=-1", "").body
	if a := verify(expired); a.status != 200 || a.json["active"] != false || a.json["subject"] != nil {
		t.Errorf("verify an expired JWT: %d %s", a.status, a.body)
	}
}

func TestMachineTokensForACommandLine(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	for _, test := range []struct {
		query, verify, parameter, subject string
	}{
		{"type=api_key&email=ada@example.com", "/api_keys/verify", "secret", "user_ada"},
		{"type=api_key&user_id=user_noemail", "/v1/api_keys/verify", "secret", "user_noemail"},
		{"type=api_key&org=analytical", "/v1/api_keys/verify", "secret", "org_analytical"},
		{"type=m2m_token", "/m2m_tokens/verify", "token", "mch_reports"},
		{"type=m2m_token&machine=mch_inventory", "/v1/m2m_tokens/verify", "token", "mch_inventory"},
		{"type=oauth_token&user_id=user_ada", "/oauth_applications/access_tokens/verify", "access_token", "user_ada"},
	} {
		token := call(t, s, "GET /token?"+test.query, "")
		a := call(t, s, "POST "+test.verify, `{"`+test.parameter+`":"`+token.body+`"}`)
		if token.status != 200 || a.status != 200 || a.json["subject"] != test.subject {
			t.Errorf("%s: %d %s, verified %d %s", test.query, token.status, token.body, a.status, a.body)
		}
	}
	for query, want := range map[string]int{"type=api_key&email=x": 404, "type=api_key&format=jwt&email=ada@example.com": 400, "type=x&email=ada@example.com": 400} {
		if a := call(t, s, "GET /token?"+query, ""); a.status != want {
			t.Errorf("%s: %d %s, want %d", query, a.status, a.body, want)
		}
	}
	a := call(t, s, "POST /fakeclerk/machine_tokens", `{"type":"api_key","subject":"user_ada","token":"ak_known","revoked":true}`)
	if a.status != 200 || text(a, "secret") != "ak_known" || a.json["revoked"] != true {
		t.Errorf("with a secret of one's own: %d %s", a.status, a.body)
	}
}
