package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// output is what a running command has printed so far.
type output struct {
	mu    sync.Mutex
	text  bytes.Buffer
	ready chan struct{} // closed once the command says how to try it
	once  sync.Once
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.text.Write(p)
	if bytes.Contains(o.text.Bytes(), []byte("Try it")) {
		o.once.Do(func() { close(o.ready) })
	}
	return n, err
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func get(t *testing.T, url, token string) (int, string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// alsoPrinted is what the services add to the output.
var alsoPrinted []string

func TestRun(t *testing.T) {
	t.Setenv("CLERK_SECRET_KEY", "")
	t.Setenv("CLERK_API_URL", "")
	api, clerk, page := freeAddress(t), freeAddress(t), freeAddress(t)
	ctx, cancel := context.WithCancel(context.Background())
	out := output{ready: make(chan struct{})}
	ended := make(chan error, 1)
	arguments := []string{"-backend", "standalone", "-api", api, "-clerk", clerk, "-page", page}
	go func() { ended <- run(ctx, arguments, &out) }()
	select {
	case <-out.ready:
	case err := <-ended:
		t.Fatal(err)
	}
	for _, want := range append(alsoPrinted, api+"/user/profile", "ada@example.com", "analytical", "http://"+page) {
		if !strings.Contains(out.String(), want) {
			t.Errorf("does not print %q:\n%s", want, &out)
		}
	}
	_, token := get(t, "http://"+clerk+"/token?email=ada@example.com", "")
	if status, body := get(t, "http://"+api+"/user/profile", strings.TrimSpace(token)); status != http.StatusOK || !strings.Contains(body, "ada@example.com") {
		t.Errorf("%d %s", status, body)
	}
	if strings.Contains(out.String(), token) {
		t.Error("the output contains a token")
	}

	for flag, taken := range map[string]string{"-clerk": clerk, "-page": page, "-api": api} {
		free := map[string]string{"-clerk": freeAddress(t), "-page": freeAddress(t), "-api": freeAddress(t)}
		free[flag] = taken
		arguments := []string{"-backend", "standalone", "-clerk", free["-clerk"], "-page", free["-page"], "-api", free["-api"]}
		if err := run(ctx, arguments, io.Discard); err == nil || !strings.HasSuffix(err.Error(), "with "+flag) {
			t.Errorf("a second run with the same %s: %v", flag, err)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestCtrlCWhileItStartsIsNoError(t *testing.T) {
	t.Setenv("CLERK_SECRET_KEY", "")
	t.Setenv("CLERK_API_URL", "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, []string{"-backend", "standalone", "-page", "", "-api", freeAddress(t), "-clerk", freeAddress(t)}, io.Discard); err != nil {
		t.Error(err)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, test := range []struct {
		name           string
		arguments      []string
		secretKey, url string
		want           string
	}{
		{"an unknown backend", []string{"-backend", "rails"}, "", "", "-backend rails"},
		{"an argument", []string{"now"}, "", "", `"now"`},
		{"an address without a port", []string{"-page", "localhost"}, "", "", "-page localhost"},
		{"a port alone", []string{"-api", "4000"}, "", "", "-api 4000"},
		{"any free port", []string{"-clerk", "127.0.0.1:0"}, "", "", "-clerk 127.0.0.1:0"},
		{"no port", []string{"-api", "127.0.0.1:"}, "", "", "-api 127.0.0.1:"},
		{"a page at any port", []string{"-page", "localhost:0"}, "", "", "-page localhost:0"},
		{"an API URL alone", nil, "", "http://127.0.0.1:1", "CLERK_API_URL"},
		{"the fake Clerk's key for real Clerk", nil, "sk_test_fakeclerk", "", "leave it unset"},
		{"nothing to run", []string{"-backend", "none"}, "sk_test_x", "", "nothing is left to run"},
		{"a signing key for real Clerk", []string{"-signing-key", "key.pem"}, "sk_test_x", "", "-signing-key"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("CLERK_SECRET_KEY", test.secretKey)
			t.Setenv("CLERK_API_URL", test.url)
			if _, err := parse(test.arguments); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error about %s", err, test.want)
			}
		})
	}
}

func TestParseRefusesVariablesThatTheFakeClerkCannotUse(t *testing.T) {
	t.Setenv("CLERK_SECRET_KEY", "")
	t.Setenv("CLERK_API_URL", "")
	for _, variable := range []struct {
		name, value string
		refused     bool
	}{
		{"CLERK_JWT_KEY", "-----BEGIN PUBLIC KEY-----", true},
		{"CLERK_JWT_KEY", " ", false},
		{"CLERK_WEBHOOK_SIGNING_SECRET", "whsec_abc", true},
		{"CLERK_WEBHOOK_SIGNING_SECRET", "sk_test_abc", true},
		{"CLERK_WEBHOOK_SIGNING_SECRET", "whsec_a,whsec_b", true},
		{"CLERK_WEBHOOK_SIGNING_SECRET", "none", false},
	} {
		t.Run(variable.name+" "+variable.value, func(t *testing.T) {
			t.Setenv(variable.name, variable.value)
			_, err := parse(nil)
			if (err != nil) != variable.refused || err != nil && !strings.HasPrefix(err.Error(), variable.name) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestTheFirstOfSeveralWrongAddressesIsNamed(t *testing.T) {
	for range 20 {
		if _, err := parse([]string{"-page", "z", "-clerk", "y", "-api", "x"}); err == nil || !strings.HasPrefix(err.Error(), "-api x") {
			t.Fatalf("got %v", err)
		}
	}
}

func TestReadKey(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	elliptic, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	elliptic8, err := x509.MarshalPKCS8PrivateKey(elliptic)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		content []byte
		want    string
	}{
		{"PKCS#1", pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), ""},
		{"PKCS#8", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), ""},
		{"another algorithm", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: elliptic8}), "no RSA key"},
		{"a certificate", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}), "no private key"},
		{"text", []byte("hello"), "not PEM"},
	} {
		t.Run(test.name, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "key.pem")
			if err := os.WriteFile(name, test.content, 0o600); err != nil {
				t.Fatal(err)
			}
			read, err := readKey(name)
			if test.want == "" && (err != nil || !read.Equal(key)) {
				t.Errorf("got %v", err)
			}
			if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want an error about %s", err, test.want)
			}
		})
	}
}

func TestPartiesFollowPage(t *testing.T) {
	for page, want := range map[string]string{
		"localhost:3001": "http://localhost:3001",
		"localhost:3002": "http://localhost:3002",
		"LOCALHOST:80":   "http://localhost",
		"127.0.0.1:3001": "http://127.0.0.1:3001",
		"[::1]:3001":     "http://[::1]:3001",
		"0.0.0.0:3001":   "http://localhost:3001",
		":3001":          "http://localhost:3001",
		"":               "http://localhost:3001",
	} {
		if s, err := parse([]string{"-page", page}); err != nil || !slices.Equal(s.parties, []string{want}) {
			t.Errorf("-page %s: %q, %v, want %s", page, s.parties, err, want)
		}
	}
	if s, err := parse([]string{"-page", "localhost:3002", "-parties", ""}); err != nil || len(s.parties) != 1 || s.parties[0] != "http://localhost:3002" {
		t.Errorf("-parties without any: %q, %v", s.parties, err)
	}
}

func TestThePageIsAtOneOrigin(t *testing.T) {
	page := atOneOrigin("http://localhost:3001", http.NotFoundHandler())
	for url, want := range map[string]string{
		"http://localhost:3001/account?x=1": "",
		"http://127.0.0.1:3001/account?x=1": "http://localhost:3001/account?x=1",
		"http://[::1]:3001/":                "http://localhost:3001/",
		"http://127.0.0.1:3001//evil.test":  "http://localhost:3001/evil.test",
		"http://192.0.2.7:3001/":            "",
	} {
		answer := httptest.NewRecorder()
		page.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, url, nil))
		if got := answer.Header().Get("Location"); got != want {
			t.Errorf("%s: redirected to %q, want %q", url, got, want)
		}
	}
}
