package clerkauth_test

import (
	"strings"
	"testing"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
)

func TestWildcardParty(t *testing.T) {
	f := newFixture(t, func(o *clerkauth.Options) {
		o.AuthorizedParties = []string{
			"https://app.example.com", "https://*.preview.example.com", "https://*.ports.example.com:8443", "http://*.localhost:3000",
		}
	})
	for azp, want := range map[string]bool{
		"https://app.example.com":                   true,
		"https://a.preview.example.com":             true,
		"https://a-b1.preview.example.com":          true,
		"https://xn--bcher-kva.preview.example.com": true,
		"https://a.ports.example.com:8443":          true,
		"http://a.localhost:3000":                   true,

		"https://b.app.example.com":                                   false,
		"https://preview.example.com":                                 false,
		"https://.preview.example.com":                                false,
		"https://a.b.preview.example.com":                             false,
		"http://a.preview.example.com":                                false,
		"https://a.preview.example.com.evil.example":                  false,
		"https://a.preview.example.com/":                              false,
		"https://a.preview.example.com:443":                           false,
		"https://a.preview.example.com:8443":                          false,
		"https://a.ports.example.com":                                 false,
		"https://a.ports.example.com:84433":                           false,
		"https://evil.example:8443@a.preview.example.com":             false,
		"https://evil.example/.preview.example.com":                   false,
		"https://evil.example#.preview.example.com":                   false,
		"https://evil.example?.preview.example.com":                   false,
		`https://evil.example\.preview.example.com`:                   false,
		"https://*.preview.example.com":                               false,
		"https://A.preview.example.com":                               false,
		"https://a.PREVIEW.example.com":                               false,
		"HTTPS://a.preview.example.com":                               false,
		"https://a_b.preview.example.com":                             false,
		"https://ä.preview.example.com":                               false,
		"https://-a.preview.example.com":                              false,
		"https://a-.preview.example.com":                              false,
		"https://a.preview.example.com.":                              false,
		"https://a.preview.example.com\n":                             false,
		"https://" + strings.Repeat("a", 64) + ".preview.example.com": false,
		"a.preview.example.com":                                       false,
		"https://a.localhost:3000":                                    false,
		"http://a.localhost:3001":                                     false,
	} {
		_, err := f.authenticate(t, "user_ada", fakeclerk.Claim("azp", azp))
		if want && err != nil {
			t.Errorf("%q: %v", azp, err)
		}
		if !want {
			wantError(t, err, clerkauth.Unauthenticated, clerkauth.ReasonInvalidAuthorized)
		}
	}
}

func TestPartiesThatAreRefused(t *testing.T) {
	for _, party := range []string{
		"app.example.com", "https://", "https://app.example.com/", "https://app.example.com/path", "https://app.example.com?", "https://user@app.example.com",
		"*", "https://*", "https://*.", "https://*.com", "https://*.co.uk", "https://*.vercel.app", "https://*.github.io", "https://*.internal",
		"http://*.preview.example.com", "https://*.*.example.com", "https://a.*.example.com", "https://pr-*.example.com", "https://*pr.example.com",
		"https://*.preview.example.com/", "https://*.preview.example.com/*", "https://*.example.com:*", "*.preview.example.com", "http://*.127.0.0.1",
	} {
		_, err := clerkauth.New(clerkauth.Options{SecretKey: "sk_test_x", AuthorizedParties: []string{party}})
		if err == nil || !strings.Contains(err.Error(), "AuthorizedParties") {
			t.Errorf("%q: got %v, want an error about AuthorizedParties", party, err)
		}
	}
}

func TestMissingParty(t *testing.T) {
	noParty := fakeclerk.Claim("azp", nil)
	f := newFixture(t)
	_, err := f.authenticate(t, "user_ada", noParty)
	wantError(t, err, clerkauth.Unauthenticated, clerkauth.ReasonMissingAuthorized)

	f = newFixture(t, func(o *clerkauth.Options) { o.AllowMissingAuthorizedParty = true })
	caller, err := f.authenticate(t, "user_ada", noParty)
	if err != nil || caller.AuthorizedParty != "" {
		t.Errorf("%+v, %v", caller, err)
	}
	_, err = f.authenticate(t, "user_ada", fakeclerk.Claim("azp", "https://evil.example"))
	wantError(t, err, clerkauth.Unauthenticated, clerkauth.ReasonInvalidAuthorized)
}
