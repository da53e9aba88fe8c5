package fakeclerk_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"

	"encore.app/fakeclerk"
)

// testKey is made once: a fresh key for every test would cost more than the tests.
var testKey = sync.OnceValue(func() *rsa.PrivateKey { return newKey() })

func newKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

func start(t testing.TB, options fakeclerk.Options) *fakeclerk.Server {
	t.Helper()
	if options.SigningKey == nil {
		options.SigningKey = testKey()
	}
	s, err := fakeclerk.Start(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// answer is what came back, with its JSON body where it is an object.
type answer struct {
	status int
	header http.Header
	body   string
	json   map[string]any
}

// errorCode is Clerk's code in an error body.
func (a answer) errorCode() string {
	list, _ := a.json["errors"].([]any)
	if len(list) == 0 {
		return ""
	}
	first, _ := list[0].(map[string]any)
	code, _ := first["code"].(string)
	return code
}

// request builds a request with the secret key. route is "GET /v1/jwks", content "" or a body: JSON, or
// a form where it does not begin with "{".
func request(t testing.TB, s *fakeclerk.Server, route, content string) *http.Request {
	t.Helper()
	method, path, _ := strings.Cut(route, " ")
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL()+path, strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.SecretKey())
	if content != "" && !strings.HasPrefix(content, "{") {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r
}

func send(r *http.Request) (answer, error) {
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	a := answer{status: response.StatusCode, header: response.Header, body: string(body)}
	_ = json.Unmarshal(body, &a.json) // not every body is an object
	return a, err
}

func call(t testing.TB, s *fakeclerk.Server, route, content string) answer {
	t.Helper()
	a, err := send(request(t, s, route, content))
	if err != nil {
		t.Fatalf("%s: %v", route, err)
	}
	return a
}

// decode reads the header and the claims of a token without verifying it.
func decode(t testing.TB, token string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("token has %d parts", len(parts))
	}
	for i, target := range []*map[string]any{&header, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, target); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}

// without returns fields but for the names.
func without(fields map[string]any, names ...string) map[string]any {
	rest := maps.Clone(fields)
	for _, name := range names {
		delete(rest, name)
	}
	return rest
}
