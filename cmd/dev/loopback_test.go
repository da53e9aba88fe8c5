package main

import (
	"bytes"
	"strings"
	"testing"

	"encore.app/internal/fakeclerk"
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
	if got := secret(chosen); got != chosen {
		t.Errorf("signs with %q, want CLERK_WEBHOOK_SIGNING_SECRET", got)
	}
}
