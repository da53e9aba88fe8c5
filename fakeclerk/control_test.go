package fakeclerk_test

import (
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"encore.app/fakeclerk"
)

func TestTokenEndpoint(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	tests := []struct {
		name, query string
		want        map[string]any // claims; nil: absent
	}{
		{"by address", "email=ada@example.com", map[string]any{"sub": "user_ada", "azp": "http://localhost:3001"}},
		{"by another address of the user, in any case", "email=ADA.Lovelace@example.org", map[string]any{"sub": "user_ada"}},
		{"by id", "user_id=user_noemail", map[string]any{"sub": "user_noemail"}},
		{"of a banned user", "email=banned@example.com", map[string]any{"sub": "user_banned"}},
		{"for an origin", "email=ada@example.com&azp=https://app.example.com", map[string]any{"azp": "https://app.example.com"}},
		{"for a native app", "email=ada@example.com&azp=", map[string]any{"azp": nil}},
		{"with claims", "email=ada@example.com&claims=" + url.QueryEscape(`{"exp":1800000001,"sts":"pending","fva":null}`),
			map[string]any{"exp": 1800000001.0, "sts": "pending", "fva": nil}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := request(t, s, "GET /token?"+test.query, "")
			r.Header.Del("Authorization")
			got, err := send(r)
			if err != nil || got.status != http.StatusOK || !strings.HasPrefix(got.header.Get("Content-Type"), "text/plain") {
				t.Fatalf("%d %q, %v", got.status, got.body, err)
			}
			_, claims := decode(t, got.body)
			for name, want := range test.want {
				if !reflect.DeepEqual(claims[name], want) {
					t.Errorf("%s is %v, want %v", name, claims[name], want)
				}
			}
		})
	}
	t.Run("with headers", func(t *testing.T) {
		got := call(t, s, "GET /token?email=ada@example.com&headers="+url.QueryEscape(`{"typ":null,"kid":"ins_x"}`), "")
		if header, _ := decode(t, got.body); header["typ"] != nil || header["kid"] != "ins_x" {
			t.Errorf("header %v", header)
		}
	})
	for _, query := range []string{"email=nobody@example.com", "user_id=user_none", "email=", ""} {
		got := call(t, s, "GET /token?"+query, "")
		if got.status != http.StatusNotFound || strings.Count(got.body, "\n") != 1 || !strings.Contains(got.body, "ada@example.com") || !strings.Contains(got.body, "user_noemail") {
			t.Errorf("%q: %d %q", query, got.status, got.body)
		}
	}
	if got := call(t, s, "GET /token?email=ada@example.com&claims=1", ""); got.status != http.StatusBadRequest {
		t.Errorf("claims that are no object: %d", got.status)
	}
}

func TestControlEndpoints(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	s := start(t, fakeclerk.Options{Now: func() time.Time { return now }})
	control := func(route, content string, status int) answer {
		t.Helper()
		r := request(t, s, route, content)
		r.Header.Del("Authorization")
		got, err := send(r)
		if err != nil || got.status != status {
			t.Fatalf("%s %s: %d %s, %v, want %d", route, content, got.status, got.body, err, status)
		}
		return got
	}

	t.Run("faults", func(t *testing.T) {
		control("PUT /fakeclerk/faults", `{"route":"GET /v1/jwks","kind":"status","status":429,"retry_after":3,"latency":"1ms","count":1}`, 204)
		if got := call(t, s, "GET /v1/jwks", ""); got.status != 429 || got.header.Get("Retry-After") != "3" {
			t.Errorf("%d %v", got.status, got.header)
		}
		control("PUT /fakeclerk/faults", `{"kind":"status","status":500}`, 204)
		control("DELETE /fakeclerk/faults", "", 204)
		form := request(t, s, "PUT /fakeclerk/faults", `{"kind":"hang","count":1}`)
		form.Header.Set("Content-Type", "application/x-www-form-urlencoded") // as curl -d sends it
		if got, err := send(form); err != nil || got.status != 204 {
			t.Errorf("from a command line: %d %s, %v", got.status, got.body, err)
		}
		control("DELETE /fakeclerk/faults", "", 204)
		if got := call(t, s, "GET /v1/jwks", ""); got.status != 200 {
			t.Errorf("%d after the faults were cleared", got.status)
		}
		for _, content := range []string{`{"kind":"x"}`, `{"kind":"hang","route":"GET /v1/user"}`, `{"kind":"refused"}`} {
			control("PUT /fakeclerk/faults", content, 422)
		}
		control("PUT /fakeclerk/faults", `{"kind":"latency","latncy":"1s"}`, 422)
	})
	t.Run("requests", func(t *testing.T) {
		control("DELETE /fakeclerk/requests", "", 204)
		call(t, s, "GET /v1/users/user_ada", "")
		got := control("GET /fakeclerk/requests", "", 200)
		if got.json["total"] != 1.0 || got.json["routes"].(map[string]any)["GET /v1/users/{id}"] != 1.0 {
			t.Errorf("%s", got.body)
		}
	})
	t.Run("keys", func(t *testing.T) {
		if got := control("POST /fakeclerk/keys/rotate", `{"kid":"ins_2"}`, 200); got.json["kid"] != "ins_2" {
			t.Errorf("%s", got.body)
		}
		control("DELETE /fakeclerk/keys/ins_fakeclerk", "", 204)
		control("DELETE /fakeclerk/keys/ins_fakeclerk", "", 404)
		if body := call(t, s, "GET /v1/jwks", "").body; strings.Contains(body, "ins_fakeclerk") || !strings.Contains(body, "ins_2") {
			t.Errorf("listed: %s", body)
		}
	})
	t.Run("clock", func(t *testing.T) {
		control("PUT /fakeclerk/clock", `{"offset":"-10s"}`, 204)
		_, claims := decode(t, call(t, s, "GET /token?email=ada@example.com", "").body)
		if claims["iat"] != 1_799_999_990.0 {
			t.Errorf("iat %v", claims["iat"])
		}
		control("PUT /fakeclerk/clock", `{"offset":10}`, 422)
	})
	t.Run("users", func(t *testing.T) {
		content := `{"id":"user_eve","email_addresses":[{"email_address":"e@example.com"},{"id":"idn_eve","email_address":"eve@example.com"}],"primary_email_address_id":"idn_eve"}`
		control("POST /fakeclerk/users", content, 200)
		control("POST /fakeclerk/users", content, 422)
		if user, ok := s.User("user_eve"); !ok || user.PrimaryEmailAddress() != "eve@example.com" {
			t.Errorf("%+v", user)
		}
	})
}
