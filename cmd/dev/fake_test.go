package main

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"encore.app/fakeclerk"
)

func TestWarnsWhenOtherMachinesCanReachTheBackend(t *testing.T) {
	for address, warns := range map[string]bool{
		"127.0.0.1:4000": false,
		"127.9.9.9:4000": false,
		"[::1]:4000":     false,
		"localhost:4000": false,

		":4000":               true,
		"0.0.0.0:4000":        true,
		"[::]:4000":           true,
		"192.0.2.7:4000":      true,
		"dev.example.com:400": true,
	} {
		var out bytes.Buffer
		describe(&out, settings{api: address}, &backend{name: "standalone"}, &frontend{}, nil)
		if got := strings.Contains(out.String(), "Warning"); got != warns {
			t.Errorf("%s: warns %v, want %v:\n%s", address, got, warns, &out)
		}
	}
}

func TestPrintsAnAddressThatCanBeCalled(t *testing.T) {
	for address, want := range map[string]string{
		":4501":            "127.0.0.1:4501",
		"0.0.0.0:4501":     "127.0.0.1:4501",
		"[::]:4501":        "127.0.0.1:4501",
		"[::1]:4501":       "[::1]:4501",
		"192.0.2.7:4501":   "192.0.2.7:4501",
		"localhost:4501":   "localhost:4501",
		"dev.example:4501": "dev.example:4501",
	} {
		var out bytes.Buffer
		describe(&out, settings{api: address}, &backend{name: "standalone"}, &frontend{}, nil)
		if !strings.Contains(out.String(), "http://"+want+"/user/profile") || !strings.Contains(out.String(), " "+want+"/user/profile") {
			t.Errorf("%s: want %s:\n%s", address, want, &out)
		}
	}
}

func TestWarnsOfAProductionInstance(t *testing.T) {
	for key, warns := range map[string]bool{"sk_live_x": true, "sk_test_x": false} {
		var out bytes.Buffer
		describe(&out, settings{api: "127.0.0.1:4501", secretKey: key}, &backend{name: "standalone"}, &frontend{}, nil)
		if got := strings.Contains(out.String(), "Warning"); got != warns || strings.Contains(out.String(), key) {
			t.Errorf("%s:\n%s", key, &out)
		}
	}
}

func TestEachRunHasItsOwnWebhookSecret(t *testing.T) {
	secret := func(environment string) string {
		t.Helper()
		clerk, err := startFakeClerk(settings{clerk: "127.0.0.1:0", webhookSecret: environment}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer clerk.Close()
		return clerk.WebhookSigningSecret()
	}
	known, err := fakeclerk.Start(fakeclerk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer known.Close()

	first, second := secret(""), secret("")
	if first == second || first == known.WebhookSigningSecret() || len(first) < len("whsec_")+32 {
		t.Errorf("two runs sign with %q and %q", first, second)
	}
	const chosen = "whsec_Y2hvc2VuIGJ5IHRoZSBkZXZlbG9wZXIgYnkgaGFuZA=="
	for _, environment := range []string{chosen, chosen + ", whsec_YW5vdGhlciBzZWNyZXQgb2YgdGhlIGRldmVsb3Blcg=="} {
		if got := secret(environment); got != chosen {
			t.Errorf("signs with %q, want the first of CLERK_WEBHOOK_SIGNING_SECRET", got)
		}
	}
	if first, second := secret("none"), secret("None"); first == second || !strings.HasPrefix(first, "whsec_") {
		t.Errorf("none: two runs sign with %q and %q", first, second)
	}
}

func TestThePageAndItsAuthorizedPartiesReadTokens(t *testing.T) {
	s := settings{clerk: "127.0.0.1:0", page: "localhost:3009", parties: []string{"http://localhost:5173"}}
	clerk, err := startFakeClerk(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer clerk.Close()
	for origin, want := range map[string]string{
		"http://localhost:3009": "http://localhost:3009",
		"http://localhost:5173": "http://localhost:5173",
		"http://evil.example":   "",
	} {
		request, err := http.NewRequest(http.MethodGet, clerk.URL()+"/ticket?user_id=user_ada", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Origin", origin)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if got := response.Header.Get("Access-Control-Allow-Origin"); got != want {
			t.Errorf("%s: allows %q (%s), want %q", origin, got, response.Status, want)
		}
	}
}
