package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// standInSecret is the one with which the fake Clerk signs webhooks by default.
const standInSecret = "whsec_ZmFrZWNsZXJrIHdlYmhvb2sgc2VjcmV0"

// signed gives the headers that Svix would send with the body.
func signed(t *testing.T, secret string, at time.Time, body []byte) http.Header {
	t.Helper()
	signer, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := signer.Sign("msg_e2e", at, body)
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{}
	header.Set("svix-id", "msg_e2e")
	header.Set("svix-timestamp", fmt.Sprint(at.Unix()))
	header.Set("svix-signature", signature)
	return header
}

func post(t *testing.T, body []byte, header http.Header) answer {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, w.api+"/webhooks/clerk", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = header
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var said bytes.Buffer
	if _, err := said.ReadFrom(response.Body); err != nil {
		t.Fatal(err)
	}
	return answer{status: response.StatusCode, header: response.Header, body: said.Bytes()}
}

func skipWithoutWebhooks(t *testing.T) {
	t.Helper()
	body := []byte(`{"type":"email.created"}`)
	if got := post(t, body, signed(t, standInSecret, time.Now(), body)); got.status != http.StatusNoContent {
		if w.advance != nil {
			t.Fatalf("the server that was started here does not take webhooks: %v", got)
		}
		t.Skipf("this server does not take the fake Clerk's webhooks: %v", got)
	}
}

func TestOnlyClerksWebhooksAreTaken(t *testing.T) {
	skipWithoutWebhooks(t)
	now := time.Now()
	good := []byte(`{"object":"event","type":"user.deleted","timestamp":` + fmt.Sprint(now.UnixMilli()) + `,"data":{"id":"user_nobody","deleted":true}}`)
	long := bytes.Repeat([]byte(" "), 2<<20)
	for _, test := range []struct {
		name   string
		body   []byte
		header http.Header
		status int
	}{
		{"good", good, signed(t, standInSecret, now, good), 204},
		{"the same again", good, signed(t, standInSecret, now, good), 204},
		{"forged", good, signed(t, "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", now, good), 400},
		{"unsigned", good, http.Header{}, 400},
		{"ten minutes old", good, signed(t, standInSecret, now.Add(-10*time.Minute), good), 400},
		{"truncated", good[:len(good)-9], signed(t, standInSecret, now, good), 400},
		{"two megabytes", long, signed(t, standInSecret, now, long), 413},
	} {
		if got := post(t, test.body, test.header); got.status != test.status || len(got.body) > 0 {
			t.Errorf("%s: %v, want %d and no body", test.name, got, test.status)
		}
	}
}

// The whole loop: something changes in Clerk, Svix tells the backend, and the
// next request with a token that is still good is refused.
func TestUserIsTurnedAway(t *testing.T) {
	skipWithoutWebhooks(t)
	if status, body := clerk(t, http.MethodPut, "/fakeclerk/webhooks", map[string]string{"url": w.api + "/webhooks/clerk"}); status != http.StatusNoContent {
		t.Fatalf("%d %s", status, body)
	}
	defer clerk(t, http.MethodPut, "/fakeclerk/webhooks", map[string]string{"url": ""})
	for _, test := range []struct {
		name   string
		change func(user, session string) (method, path string)
		back   string // POST path that takes the change back
	}{
		{"deleted", func(user, _ string) (string, string) { return http.MethodDelete, "/v1/users/" + user }, ""},
		{"banned, and admitted again", func(user, _ string) (string, string) { return http.MethodPost, "/v1/users/" + user + "/ban" }, "/unban"},
		{"signed out", func(_, session string) (string, string) {
			return http.MethodPost, "/fakeclerk/sessions/" + session + "/end"
		}, ""},
		{"session revoked", func(_, session string) (string, string) {
			return http.MethodPost, "/v1/sessions/" + session + "/revoke"
		}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var user, session struct{ ID string }
			if _, body := clerk(t, http.MethodPost, "/v1/users", map[string]any{"username": "turned"}); json.Unmarshal(body, &user) != nil {
				t.Fatalf("%s", body)
			}
			if _, body := clerk(t, http.MethodPost, "/v1/sessions", map[string]any{"user_id": user.ID}); json.Unmarshal(body, &session) != nil {
				t.Fatalf("%s", body)
			}
			tokens := make(map[string]string)
			for kind, claims := range map[string]string{"plain": `{"sid":%q}`, "with email claim": `{"sid":%q,"email":"turned@example.com"}`} {
				tokens[kind] = token(t, url.Values{"user_id": {user.ID}, "claims": {fmt.Sprintf(claims, session.ID)}})
			}
			want := func(status int) {
				t.Helper()
				for kind, token := range tokens {
					var got answer
					for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
						if got = call(t, http.MethodGet, "/user/profile", token); got.status == status {
							break
						}
					}
					if got.status != status {
						t.Errorf("a token %s: %v, want %d", kind, got, status)
					}
				}
			}
			want(http.StatusOK)
			method, path := test.change(user.ID, session.ID)
			if status, body := clerk(t, method, path, nil); status >= 300 {
				t.Fatalf("%d %s", status, body)
			}
			want(http.StatusUnauthorized)
			if test.back != "" {
				clerk(t, http.MethodPost, "/v1/users/"+user.ID+test.back, nil)
				want(http.StatusOK)
			}
		})
	}
}
