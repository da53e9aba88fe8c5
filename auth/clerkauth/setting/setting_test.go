package setting_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"encore.app/auth/clerkauth/setting"
)

func TestSecret(t *testing.T) {
	for name, value := range map[string]string{
		"as Clerk shows it": "sk_test_4eC39HqLyjWDarjtT1zdp7dc",
		"production":        "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
		"a line feed":       "sk_test_4eC39HqLyjWDarjtT1zdp7dc\n",
		"Windows' line end": "sk_test_4eC39HqLyjWDarjtT1zdp7dc\r\n",
		"white space":       " \t\u00a0sk_test_4eC39HqLyjWDarjtT1zdp7dc \n\n",
	} {
		got, err := setting.Secret(value, "sk_test_", "sk_live_")
		if err != nil || got != strings.TrimSpace(value) {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
	const body = "4eC39HqLyjWDarjtT1zdp7dc"
	for value, says := range map[string]string{
		"":                                 "is empty",
		" \n":                              "is empty",
		"pk_test_" + body:                  "publishable key",
		"whsec_" + body:                    "webhook",
		"ak_" + body:                       "API key",
		"eyJ" + body:                       "token",
		body:                               "does not begin",
		"SK_TEST_" + body:                  "does not begin",
		"test_" + body:                     "does not begin",
		"https://" + body:                  "is a URL",
		"CLERK_SECRET_KEY=sk_test_" + body: "NAME=value",
		"export CLERK_SECRET_KEY=sk_test_" + body: "NAME=value",
		"ClerkSecretKey: sk_test_" + body:         "NAME=value",
		`"sk_test_` + body + `"`:                  "quotes",
		"'sk_test_" + body + "'":                  "quotes",
		"“sk_test_" + body + "”":                  "quotes",
		`sk_test_` + body + `"`:                   "quotes",
		"\ufeffsk_test_" + body:                   "byte order mark",
		"sk_test_" + body + "\u0000":              "control character",
		"sk_test_" + body + "\x1b[0m":             "control character",
		"sk_test_" + body + " # staging":          "white space",
		"sk_test_4eC39\nHqLyj":                    "white space",
		"Bearer sk_test_" + body:                  "white space",
		"sk_test_…":                               "ASCII",
		"sk_test_" + body + "\u200b":              "ASCII",
		"sk_test_":                                "incomplete",
		"sk_test_...":                             "incomplete",
		"sk_test_<your key>":                      "white space",
		"sk_live_$CLERK_KEY":                      "incomplete",
		"sk_test_" + body + "sk_test_" + body:     "twice",
	} {
		_, err := setting.Secret(value, "sk_test_", "sk_live_")
		if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "sk_test_… or sk_live_…") {
			t.Errorf("%q: got %v, want %q", value, err, says)
		} else if strings.Contains(err.Error(), "4eC39") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: the error is %q", value, err)
		}
	}
}

func TestOrigin(t *testing.T) {
	for _, origin := range []string{
		"https://app.example.com", "http://localhost:3001", "https://localhost", "http://127.0.0.1:3000", "http://[::1]:3000", "https://app.example.com:8443",
		"https://xn--bcher-kva.example", "https://app", "https://a_b.example.com", "https://*.preview.example.com", "https://*.preview.example.com:8443",
		"capacitor://localhost", "ionic://localhost", "tauri://localhost", "https://tauri.localhost", "app://-", "app://.", "myapp://bundle", "com.example.app://host",
		"chrome-extension://abcdefghijklmnopabcdefghijklmnop", "moz-extension://5b0c1d5e-0b1a-4e3b-9c9f-2f1c3a4b5d6e",
		"safari-web-extension://5B0C1D5E-0B1A-4E3B-9C9F-2F1C3A4B5D6E",
	} {
		if err := setting.Origin(origin); err != nil {
			t.Errorf("%q: %v", origin, err)
		}
	}
	for origin, says := range map[string]string{
		"":                                    "is empty",
		" ":                                   "is empty",
		"null":                                "no origin of its own",
		"file:///android_asset/www":           "no origin of its own",
		"app.example.com":                     `write "https://app.example.com"`,
		"//app.example.com":                   `write "https://app.example.com"`,
		"https:app.example.com":               `write "https://app.example.com"`,
		"localhost:3001":                      `write "http://localhost:3001"`,
		"127.0.0.1:3001":                      `write "http://127.0.0.1:3001"`,
		"https://app.example.com/":            `write "https://app.example.com"`,
		"https://app.example.com/sign-in?a":   `write "https://app.example.com"`,
		"https://app.example.com#top":         `write "https://app.example.com"`,
		"https://app.example.com:443":         `write "https://app.example.com"`,
		"http://localhost:80":                 `write "http://localhost"`,
		"https://app.example.com:08443":       `write "https://app.example.com:8443"`,
		"https://App.Example.com":             `write "https://app.example.com"`,
		"HTTPS://app.example.com":             `write "https://app.example.com"`,
		"https://app.example.com.":            `write "https://app.example.com"`,
		"https://ada@app.example.com":         `write "https://app.example.com"`,
		"https://bücher.example":              `write "https://xn--bcher-kva.example"`,
		"https://ex%41mple.com":               `write "https://example.com"`,
		"http://127.1:3000":                   `write "http://127.0.0.1:3000"`,
		"http://0x7f000001":                   `write "http://127.0.0.1"`,
		"http://[0:0:0:0:0:0:0:1]":            `write "http://[::1]"`,
		"http://[::FFFF:127.0.0.1]":           `write "http://[::ffff:7f00:1]"`,
		" https://app.example.com":            `write "https://app.example.com"`,
		"https://app.example.com\n":           `write "https://app.example.com"`,
		`"https://app.example.com"`:           `write "https://app.example.com"`,
		"\ufeffhttps://app.example.com":       `write "https://app.example.com"`,
		"https://*.Preview.example.com/":      `write "https://*.preview.example.com"`,
		"Capacitor://localhost":               `write "capacitor://localhost"`,
		"capacitor://LOCALHOST/":              `write "capacitor://localhost"`,
		"https://a.example,https://b.example": "is not an origin",
		"https://exa mple.com":                "is not an origin",
		"https://a..b":                        "is not an origin",
		"https://xn--a.example":               "is not an origin",
		"https://app.example.com:99999":       "is not an origin",
		"https://app.example.com:0":           "is not an origin",
		"https://app.example.com:*":           "is not an origin",
		"https://":                            "is not an origin",
		"*":                                   "is not an origin",
		"https://pr-*.example.com":            "is not an origin",
		"chrome-extension://*":                "is not an origin",
		"chrome-extension://*.example":        "wildcard",
		"htps://app.example.com":              "misspelt scheme",
		"ttps://app.example.com":              "misspelt scheme",
		"wss://app.example.com":               "no origin",
	} {
		err := setting.Origin(origin)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: got %v, want %q", origin, err, says)
		}
	}
}

func TestIssuer(t *testing.T) {
	for _, issuer := range []string{
		"", "https://clerk.example.com", "https://happy-cat-1.clerk.accounts.dev", "https://app.example.com/__clerk", "https://app.example.com/api/auth",
		"http://localhost:3000/__clerk", "http://127.0.0.1:4100", "https://clerk.example.com:8443",
	} {
		if err := setting.Issuer(issuer); err != nil {
			t.Errorf("%q: %v", issuer, err)
		}
	}
	const clerk = `write "https://clerk.example.com"`
	for issuer, says := range map[string]string{
		"https://clerk.example.com/.well-known/jwks.json":            clerk,
		"https://clerk.example.com/.well-known/openid-configuration": clerk,
		"https://clerk.example.com/v1":                               clerk,
		"https://clerk.example.com/v1/client":                        clerk,
		"https://clerk.example.com/":                                 clerk,
		"https://clerk.example.com?a=b":                              clerk,
		"https://clerk.example.com#a":                                clerk,
		"https://clerk.example.com:443":                              clerk,
		"https://clerk.example.com.":                                 clerk,
		"https://Clerk.Example.com":                                  clerk,
		"HTTPS://clerk.example.com":                                  clerk,
		"http://clerk.example.com":                                   clerk,
		"https://ada@clerk.example.com":                              clerk,
		"clerk.example.com":                                          clerk,
		"//clerk.example.com":                                        clerk,
		`"https://clerk.example.com"`:                                clerk,
		"'https://clerk.example.com'":                                clerk,
		" https://clerk.example.com\n":                               clerk,
		"\ufeffhttps://clerk.example.com":                            clerk,
		"pk_live_Y2xlcmsuZXhhbXBsZS5jb20k":                           clerk,
		"https://app.example.com/__clerk/":                           `write "https://app.example.com/__clerk"`,
		"https://app.example.com/__clerk/.well-known/jwks.json":      `write "https://app.example.com/__clerk"`,
		"https://happy-cat-1.accounts.dev":                           `write "https://happy-cat-1.clerk.accounts.dev"`,
		"https://api.clerk.com/v1/jwks":                              "Frontend API URL",
		"https://dashboard.clerk.com/apps/app_1":                     "Frontend API URL",
		"sk_test_x y":                                                "Frontend API URL",
		"capacitor://localhost":                                      "Frontend API URL",
		"https://*.clerk.accounts.dev":                               "Frontend API URL",
		"pk_test_?":                                                  "Frontend API URL",
	} {
		err := setting.Issuer(issuer)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: got %v, want %q", issuer, err, says)
		}
	}
}

func TestAPIURL(t *testing.T) {
	for value, want := range map[string]string{
		"https://api.clerk.com":          "https://api.clerk.com",
		"https://api.clerk.com/":         "https://api.clerk.com",
		"https://api.clerk.com/v1":       "https://api.clerk.com",
		"https://api.clerk.com/v1/":      "https://api.clerk.com",
		" https://api.clerk.com/v1\n":    "https://api.clerk.com",
		"HTTPS://API.clerk.com:443/v1":   "https://api.clerk.com",
		"http://127.0.0.1:4100":          "http://127.0.0.1:4100",
		"https://proxy.example/clerk":    "https://proxy.example/clerk",
		"https://proxy.example/clerk/v1": "https://proxy.example/clerk",
	} {
		if got, err := setting.APIURL(value); err != nil || got != want {
			t.Errorf("%q: got %q, %v", value, got, err)
		}
	}
	for _, value := range []string{
		"", "api.clerk.com", "//api.clerk.com", "https:api.clerk.com", "ftp://api.clerk.com", "https://", `"https://api.clerk.com"`, "https://api.clerk.com?a=b",
		"https://api.clerk.com#v1", "https://sk_test_secret@api.clerk.com", "https://api.clerk.com/v1/users", "https://api clerk.com", "sk_test_secret", "localhost:4100",
	} {
		if got, err := setting.APIURL(value); err == nil {
			t.Errorf("%q: got %q", value, got)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", value, err)
		}
	}
}

func TestPublicKey(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(label string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
	}
	want := encode("PUBLIC KEY", der)
	lines := func(by string) string { return strings.ReplaceAll(strings.TrimSpace(want), "\n", by) }
	for name, value := range map[string]string{
		"as the dashboard shows it": want,
		"carriage returns":          lines("\r\n"),
		`\n`:                        lines(`\n`),
		`\r\n`:                      lines(`\r\n`),
		"one line":                  lines(" "),
		"without line breaks":       lines(""),
		"in quotes":                 `"` + want + `"`,
		`\n in quotes`:              `"` + lines(`\n`) + `\n"`,
		"in single quotes":          "'" + lines(`\n`) + "'",
		"indented":                  "\n  " + lines("\n  ") + "\n",
		"a byte order mark":         "\ufeff" + want,
		"its base64 alone":          base64.StdEncoding.EncodeToString(der),
		"all of it in base64":       base64.StdEncoding.EncodeToString([]byte(want)),
		"PKCS#1":                    encode("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&key.PublicKey)),
	} {
		if got, err := setting.PublicKey(value); err != nil || got != want {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
	for name, refused := range wrongKeys(t, key, encode, want) {
		_, err := setting.PublicKey(refused.value)
		if err == nil || !strings.Contains(err.Error(), refused.says) || !strings.Contains(err.Error(), "-----BEGIN PUBLIC KEY-----") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want %q", name, err, refused.says)
		}
	}
}

type refusedKey struct{ value, says string }

func wrongKeys(t *testing.T, key *rsa.PrivateKey, encode func(string, []byte) string, good string) map[string]refusedKey {
	t.Helper()
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	elliptic, err := x509.MarshalPKIXPublicKey(&other.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]refusedKey{
		"a private key":             {encode("PRIVATE KEY", pkcs8), "is a private key"},
		"a private key of PKCS#1":   {encode("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)), "is a private key"},
		"a private key's base64":    {base64.StdEncoding.EncodeToString(pkcs8), "is a private key"},
		"a private key, mislabeled": {encode("PUBLIC KEY", pkcs8), "is a private key"},
		"a certificate":             {encode("CERTIFICATE", []byte("x")), "is a certificate"},
		"another algorithm":         {encode("PUBLIC KEY", elliptic), "is no RSA key"},
		"cut off":                   {good[:len(good)/2], "is not PEM"},
		"damaged":                   {strings.Replace(good, "M", "N", 1), "is damaged"},
		"twice":                     {good + good, "is not PEM"},
		"a JWKS":                    {`{"keys":[]}`, "is JSON"},
		"a URL":                     {"https://clerk.example.com/.well-known/jwks.json", "is a URL"},
		"a publishable key":         {"pk_test_x", "is a publishable key"},
		"a placeholder":             {"-----BEGIN PUBLIC KEY-----\n…\n-----END PUBLIC KEY-----", "is not PEM"},
		"empty":                     {"-----BEGIN PUBLIC KEY----------END PUBLIC KEY-----", "is damaged"},
		"words":                     {"your key", "is damaged"},
	}
}

func TestEnv(t *testing.T) {
	for value, want := range map[string]string{"": "", " \n": "", "x\n": "x"} {
		t.Setenv("SETTING", value)
		if got, ok := setting.Env("SETTING"); got != want || ok != (want != "") {
			t.Errorf("%q: got %q, %t", value, got, ok)
		}
	}
}

func TestShownHidesSecrets(t *testing.T) {
	for _, value := range []string{"sk_live_secret", "https://sk_test_secret", "whsec_secret", "https://ada:secret@example.com", "https://example.com?token=secret", "eyJsecret"} {
		if got := setting.Shown(value); strings.Contains(got, "secret") {
			t.Errorf("%q is shown as %s", value, got)
		}
	}
	if got := setting.Shown("https://App.example.com"); got != `"https://App.example.com"` {
		t.Error(got)
	}
}

func TestDuration(t *testing.T) {
	for value, want := range map[string]time.Duration{"90s": 90 * time.Second, "0s": 0, "0": 0, "24h": 24 * time.Hour, "1h30m": 90 * time.Minute} {
		if got, err := setting.Duration(value); err != nil || got != want {
			t.Errorf("%q: %v, %v", value, got, err)
		}
	}
	for _, value := range []string{"", "5", "5 m", "1d", "-1m", "five", `"5m"`, "5m\n", " 5m", "PT5M", "9999999999h", "24", "daily"} {
		if _, err := setting.Duration(value); err == nil || !strings.Contains(err.Error(), `such as "90s"`) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", value, err)
		}
	}
}
