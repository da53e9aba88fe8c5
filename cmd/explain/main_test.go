package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
)

// newClerk starts a fake Clerk and points the settings at it.
func newClerk(t *testing.T) *fakeclerk.Server {
	t.Helper()
	clerk, err := fakeclerk.Start(fakeclerk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = clerk.Close() })
	t.Setenv("CLERK_SECRET_KEY", clerk.SecretKey())
	t.Setenv("CLERK_API_URL", clerk.URL())
	for _, name := range []string{"CLERK_JWT_KEY", "CLERK_ISSUER", "CLERK_AUTHORIZED_PARTIES"} {
		unset(t, name)
	}
	return clerk
}

func unset(t *testing.T, name string) {
	t.Setenv(name, "")
	os.Unsetenv(name)
}

// explained returns what is printed of a token, which must not be in it.
func explained(t *testing.T, token string, arguments ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := run(t.Context(), arguments, strings.NewReader(token), &out)
	printed := out.String()
	if err != nil {
		printed += err.Error()
	}
	for part := range strings.SplitSeq(token, ".") {
		if len(part) > 30 && strings.Contains(printed, part) {
			t.Errorf("the token is printed:\n%s", printed)
		}
	}
	if strings.Contains(printed, "ada@") || strings.Contains(printed, "fakeclerk_") {
		t.Errorf("an address or a secret is printed:\n%s", printed)
	}
	return printed, err
}

func TestAcceptedToken(t *testing.T) {
	clerk := newClerk(t)
	token, err := clerk.SessionToken("user_ada")
	if err != nil {
		t.Fatal(err)
	}
	for _, input := range []string{token, token + "\r\n", " Bearer " + token, "Authorization: bearer " + token, `"` + token + `"`, "'Bearer " + token + "'\n", token[:50] + "\n" + token[50:]} {
		printed, err := explained(t, input)
		if err != nil || strings.Count(printed, "  ok ") != len(sessionChecks) || !strings.Contains(printed, "Accepted: session_token of user_ada.") {
			t.Errorf("%v, printed:\n%s", err, printed)
		}
	}
	if printed, err := explained(t, " \n"); err == nil || errors.Is(err, errRefused) || !strings.Contains(printed, "no token") {
		t.Errorf("nothing: %v, printed:\n%s", err, printed)
	}
	var out bytes.Buffer
	if err := run(t.Context(), []string{token}, strings.NewReader(""), &out); err != nil {
		t.Error(err)
	}
}

// TestRefusals has a line for each reason that points at the operator: it names the
// check and the setting.
func TestRefusals(t *testing.T) {
	clerk := newClerk(t)
	elsewhere, err := fakeclerk.Start(fakeclerk.Options{KeyID: "ins_elsewhere", SecretKey: "sk_test_elsewhere"})
	if err != nil {
		t.Fatal(err)
	}
	defer elsewhere.Close()
	broken := httptest.NewServer(http.NotFoundHandler())
	defer broken.Close()
	claim, head, now := fakeclerk.Claim, fakeclerk.Header, time.Now().Unix()
	signed := func(options ...fakeclerk.TokenOption) string {
		token, err := clerk.SessionToken("user_ada", options...)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	machine := func(kind string) string {
		issued, err := clerk.AddMachineToken(fakeclerk.MachineToken{Type: kind, Subject: "user_ada"})
		if err != nil {
			t.Fatal(err)
		}
		return issued.Token
	}
	foreign, err := elsewhere.SessionToken("user_ada")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, token string
		variables   []string // names and values in turn
		arguments   []string
		fault       int // the status of every answer of Clerk's
		refused     string
		setting     string
	}{
		{name: "undefined", token: "undefined", refused: "form malformed", setting: "getToken()"},
		{name: "a promise", token: "[object Promise]", refused: "form malformed", setting: "getToken()"},
		{name: "the secret key", token: "sk_live_0123456789", refused: "form malformed", setting: "secret is in your frontend"},
		{name: "a JWT template", token: signed(head("cat", fakeclerk.CategoryJWTTemplate)), refused: "kind of token not_session_token", setting: "template"},
		{name: "a template with a key of its own", token: signed(head("alg", "HS256")), refused: "kind of token invalid_algorithm", setting: "template"},
		{name: "another instance", token: foreign, refused: "key unknown_key", setting: "ClerkSecretKey"},
		{name: "another instance, and JWTKey", token: foreign, variables: []string{"CLERK_JWT_KEY", clerk.PublicKeyPEM()}, refused: "signature invalid_signature", setting: "JWTKey"},
		{name: "keys of two instances", token: foreign, variables: []string{"CLERK_JWT_KEY", elsewhere.PublicKeyPEM()}, refused: "", setting: ""},
		{name: "a user of another instance", token: signed(claim("sub", "user_elsewhere")), variables: []string{"CLERK_JWT_KEY", clerk.PublicKeyPEM()}, refused: "user unknown_user", setting: "JWTKey and the secret ClerkSecretKey"},
		{name: "a claim of the wrong type", token: signed(claim("sid", 7)), refused: "claims malformed_claims, claim: sid", setting: "Customize session token"},
		{name: "no session", token: signed(claim("sid", nil)), refused: "claims missing_session", setting: "template"},
		{name: "another subject", token: signed(claim("sub", "42")), refused: "claims invalid_subject", setting: "template"},
		{name: "another issuer", token: signed(), variables: []string{"CLERK_ISSUER", "https://clerk.example.com"}, refused: "issuer invalid_issuer", setting: "Issuer"},
		{name: "an issuer of nobody's", token: signed(claim("iss", "https://example.com")), refused: "issuer invalid_issuer", setting: "set Issuer"},
		{name: "another frontend", token: signed(), arguments: []string{"-parties", "https://app.example.com"}, refused: "authorized party invalid_authorized_party, azp: http://localhost:3001", setting: "AuthorizedParties"},
		{name: "a native app", token: signed(claim("azp", nil)), refused: "authorized party missing_authorized_party", setting: "AllowMissingAuthorizedParty"},
		{name: "a pending session", token: signed(claim("sts", "pending")), refused: "session session_pending", setting: "tasks"},
		{name: "an expired token", token: signed(claim("exp", now-90)), refused: "time expired, seconds_ago: 9", setting: "a fresh token"},
		{name: "a token of the future", token: signed(claim("iat", now+90)), refused: "time issued_in_future", setting: "clock"},
		{name: "a token that counts later", token: signed(claim("nbf", now+90)), refused: "time not_active_yet", setting: "clock"},
		{name: "a banned user", token: signed(claim("sub", "user_banned")), refused: "user user_banned", setting: "banned"},
		{name: "another secret key", token: signed(), variables: []string{"CLERK_SECRET_KEY", "sk_test_another"}, refused: "key secret_key_refused", setting: "ClerkSecretKey"},
		{name: "another secret key, and JWTKey", token: signed(), variables: []string{"CLERK_SECRET_KEY", "sk_test_another", "CLERK_JWT_KEY", clerk.PublicKeyPEM()}, refused: "user secret_key_refused", setting: "ClerkSecretKey"},
		{name: "a wrong API URL", token: signed(), variables: []string{"CLERK_API_URL", broken.URL}, refused: "key clerk_invalid_response", setting: "CLERK_API_URL"},
		{name: "API keys that are switched off", token: machine(fakeclerk.TypeAPIKey), fault: http.StatusForbidden, refused: "verified by Clerk verification_refused", setting: "AcceptsToken"},
		{name: "an API key of nobody's", token: "ak_0123456789abcdefghijkl", refused: "verified by Clerk unknown_secret", setting: "ClerkSecretKey"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for i := 0; i < len(test.variables); i += 2 {
				t.Setenv(test.variables[i], test.variables[i+1])
			}
			if test.fault != 0 {
				clerk.SetFault("", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: test.fault})
				defer clerk.ClearFaults()
			}
			printed, err := explained(t, test.token, test.arguments...)
			if test.refused == "" { // both instances have a user_ada
				if err != nil {
					t.Errorf("%v:\n%s", err, printed)
				}
				return
			}
			_, refusal, _ := strings.Cut(strings.Join(strings.Fields(printed), " "), "REFUSED ")
			if !errors.Is(err, errRefused) || !strings.HasPrefix(refusal, test.refused) || !strings.Contains(refusal, test.setting) {
				t.Errorf("%v, want REFUSED %s and %s, printed:\n%s", err, test.refused, test.setting, printed)
			}
		})
	}
}

// The checks are printed in the order in which Authenticate makes them: of two
// faults the first is told.
func TestOrder(t *testing.T) {
	clerk := newClerk(t)
	now := time.Now().Unix()
	faults := []struct {
		check string
		fault fakeclerk.TokenOption
	}{
		{"kind of token", fakeclerk.Header("cat", fakeclerk.CategoryJWTTemplate)},
		{"key", fakeclerk.Header("kid", "ins_other")},
		{"claims", fakeclerk.Claim("sid", nil)},
		{"issuer", fakeclerk.Claim("iss", "https://example.com")},
		{"authorized party", fakeclerk.Claim("azp", nil)},
		{"session", fakeclerk.Claim("sts", "pending")},
		{"time", fakeclerk.Claim("exp", now-90)},
		{"user", fakeclerk.Claim("sub", "user_gone")},
	}
	options := []fakeclerk.TokenOption{fakeclerk.Claim("iat", nil), fakeclerk.Claim("nbf", nil)}
	for i := len(faults) - 1; i >= 0; i-- {
		options = append(options, faults[i].fault)
		token, err := clerk.SessionToken("user_ada", options...)
		if err != nil {
			t.Fatal(err)
		}
		printed, _ := explained(t, token)
		if _, after, _ := strings.Cut(printed, "REFUSED "); !strings.HasPrefix(after, faults[i].check) {
			t.Errorf("want REFUSED %s:\n%s", faults[i].check, printed)
		}
		if faults[i].check == "time" && !strings.Contains(printed, "REFUSED user") {
			t.Errorf("the checks after the time are not told:\n%s", printed)
		}
	}
}

func TestConfig(t *testing.T) {
	const text = `
// a comment: https://example.com
if _local {
	AuthorizedParties: [...string] | *["http://localhost:3001"] // yours
}
if _production {
	AuthorizedParties: [
		// "https://old.example.com",
		"https://app.example.com",
		"https://*.preview.example.com",
	]
	Issuer: "https://clerk.example.com"
	JWTKey: """
		-----BEGIN PUBLIC KEY-----
		AAAA
		-----END PUBLIC KEY-----
		"""
}
Issuer: string | *""
JWTKey: string | *""
AcceptsToken: [...string] | *["session_token"]
AllowMissingAuthorizedParty: true
BuiltFor: "\(#Meta.Environment.Cloud)"
_local: #Meta.Environment.Cloud == "local"
_production: !_local && #Meta.Environment.Type == "production"
`
	newClerk(t)
	inRepository(t, text)
	for environment, want := range map[string]string{
		"local":      `[http://localhost:3001] "" "" [session_token] true`,
		"production": `[https://app.example.com https://*.preview.example.com] "https://clerk.example.com" "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----" [session_token] true`,
	} {
		s, err := parse([]string{"-env", environment})
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprintf("%v %q %q %v %v", s.AuthorizedParties, s.Issuer, s.JWTKey, s.AcceptsToken, s.AllowMissingAuthorizedParty)
		if got != want {
			t.Errorf("%s: got %s, want %s", environment, got, want)
		}
		if from := s.sources["Issuer"]; from != "auth/config.cue, "+environment {
			t.Errorf("%s: the issuer comes from %q", environment, from)
		}
	}
	if _, err := parse([]string{"-env", "test"}); err == nil {
		t.Error("an environment that is none was read")
	}
}

func TestConfigConditions(t *testing.T) {
	newClerk(t)
	const hidden = `
_local: #Meta.Environment.Cloud == "local"
_preview: !_local && #Meta.Environment.Type == "ephemeral"
_production: !_local && #Meta.Environment.Type == "production"
`
	for condition, want := range map[string]bool{
		`_production`: true, `!_production`: false, `_local`: false, `!_local && !_preview`: true,
		`_local || _production`: true,
		`#Meta.Environment.Cloud != "local" && #Meta.Environment.Type == "production"`: true,
		`#Meta.Environment.Cloud == "local"`:                                           false,
	} {
		inRepository(t, hidden+"if "+condition+" {\n\tIssuer: \"https://clerk.example.com\"\n}\n")
		if s, err := parse([]string{"-env", "production"}); err != nil || (s.Issuer != "") != want {
			t.Errorf("%s: %v, %v", condition, !want, err)
		}
	}
	inRepository(t, "\nif #Meta.Environment.Name == \"x\" {\n}")
	if _, err := parse(nil); err == nil || !strings.Contains(err.Error(), "config.cue:2:") {
		t.Errorf("the name of an environment is not known here: %v", err)
	}
	inRepository(t, "JWTKey: sk_live_abc")
	if _, err := parse(nil); err == nil || strings.Contains(err.Error(), "abc") {
		t.Errorf("a secret without quotes: %v", err)
	}
}

// inRepository makes a repository with a config.cue the working directory.
func inRepository(t *testing.T, config string) {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{"encore.app": "{}", "auth/config.cue": config} {
		path := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(root)
}

// The file of the repository is read in every environment.
func TestShippedConfig(t *testing.T) {
	newClerk(t)
	for _, environment := range []string{"local", "staging", "preview", "production"} {
		if s, err := parse([]string{"-env", environment}); err != nil || s.AcceptsToken == nil {
			t.Errorf("%s: %v", environment, err)
		}
	}
}

// Settings with which the app would not start are told instead of a token's checks.
func TestWouldNotStart(t *testing.T) {
	shipped, err := os.ReadFile("../../auth/config.cue")
	if err != nil {
		t.Fatal(err)
	}
	clerk := newClerk(t)
	token, err := clerk.SessionToken("user_ada")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name      string
		config    string // at the end of the shipped one
		variable  string // the value of CLERK_ISSUER
		arguments []string
		says      string // "" if the app starts
	}{
		{name: "as shipped"},
		{name: "no origin in production", arguments: []string{"-env", "production"}, says: "no AuthorizedParties"},
		{name: "a development instance's key in production", arguments: []string{"-env", "production", "-parties", "https://app.example.com"}, says: "sk_test_…"},
		{name: "no origin in staging", arguments: []string{"-env", "staging", "-parties", ""}, says: "in the block _staging"},
		{name: "no origin on a developer's machine", arguments: []string{"-parties", ""}},
		{name: "a duration", config: `UserMaxAge: "1d"`, says: "auth/config.cue: UserMaxAge"},
		{name: "an issuer by flag", arguments: []string{"-issuer", "clerk.example.com"}, says: "Issuer (-issuer) "},
		{name: "an issuer by variable", variable: "clerk.example.com", says: "Issuer (CLERK_ISSUER) "},
		{name: "an issuer in the file", config: `Issuer: "clerk.example.com"`, says: "Issuer (auth/config.cue, local) "},
		{name: "an origin by flag", arguments: []string{"-parties", "app.example.com"}, says: "AuthorizedParties (-parties) "},
		{name: "a long duration", config: `OpaqueTokenMaxAge: "2h"`, says: "OpaqueTokenMaxAge"},
	} {
		inRepository(t, string(shipped)+"\n"+test.config)
		t.Setenv("CLERK_ISSUER", test.variable)
		printed, err := explained(t, token, test.arguments...)
		if test.says == "" {
			if err != nil {
				t.Errorf("%s: %v", test.name, err)
			}
		} else if err == nil || !strings.HasPrefix(err.Error(), "the app would not start: ") || !strings.Contains(err.Error(), test.says) || strings.Contains(printed, "  ok ") {
			t.Errorf("%s: %v, want %q, printed:\n%s", test.name, err, test.says, printed)
		}
	}
}

// A variable of white space alone counts as unset.
func TestEmptyVariables(t *testing.T) {
	newClerk(t)
	t.Setenv("CLERK_AUTHORIZED_PARTIES", " ")
	if s, err := parse(nil); err != nil || s.sources["AuthorizedParties"] != "auth/config.cue, local" {
		t.Errorf("%v, %v", s.sources, err)
	}
}

func TestSecretFile(t *testing.T) {
	shipped, err := os.ReadFile("../../auth/config.cue")
	if err != nil {
		t.Fatal(err)
	}
	newClerk(t)
	unset(t, "CLERK_SECRET_KEY")
	inRepository(t, string(shipped))
	for text, want := range map[string]string{
		``:                                              fakeClerkKey,
		`ClerkWebhookSigningSecret: "none"`:             fakeClerkKey,
		`ClerkSecretKey: "sk_test_plain"`:               "sk_test_plain",
		`"ClerkSecretKey": "sk_test_quoted"`:            "sk_test_quoted",
		`ClerkSecretKey: #"sk_test_raw"#`:               "sk_test_raw",
		"// ClerkSecretKey: \"sk_test_old\"\n":          fakeClerkKey,
		"key: \"sk_test_named\"\nClerkSecretKey: key":   "sk_test_named",
		"\nClerkSecretKey: \"sk_test_open":              "error .secrets.local.cue:2: ",
		`ClerkSecretKey: sk_test_bare`:                  "error .secrets.local.cue:1: ",
		"ClerkSecretKey: \"sk_test_a\" & \"sk_test_b\"": "error .secrets.local.cue",
		`ClerkSecretKey: 7`:                             "error .secrets.local.cue: ClerkSecretKey is not a string",
		`ClerkSecretKey: string`:                        "error .secrets.local.cue: ClerkSecretKey is not a string",
	} {
		if err := os.WriteFile(".secrets.local.cue", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := parse(nil)
		got := fmt.Sprint("error ", err)
		if err == nil {
			got = s.SecretKey
		}
		if !strings.HasPrefix(got, want) || err != nil && strings.Contains(strings.ReplaceAll(got, "sk_test_…", ""), "sk_test_") {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

func TestNoFakeClerk(t *testing.T) {
	for url, want := range map[string]bool{fakeClerkURL: true, "http://127.0.0.1:4101": false} {
		var out bytes.Buffer
		refused(&out, "key", &clerkauth.Error{Kind: clerkauth.Unavailable, Reason: clerkauth.ReasonUnreachable}, clerkauth.Options{APIURL: url})
		if printed := out.String(); strings.Contains(printed, "go run ./cmd/dev") != want || strings.Contains(printed, "CLERK_SECRET_KEY") != want {
			t.Errorf("%s:\n%s", url, printed)
		}
	}
}
