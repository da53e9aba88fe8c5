package page_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"encore.app/fakeclerk"
	"encore.app/internal/page"
)

func get(t *testing.T, handler http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return recorder
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	name = filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func realClerk() page.Config {
	return page.Config{PublishableKey: "pk_live_x", APIURL: "https://api.example.com"}
}

func TestSaysHowToBuildThePageAndServesItOnceBuilt(t *testing.T) {
	dir := t.TempDir()
	handler := page.Handler(dir, realClerk)

	answer := get(t, handler, "/")
	if answer.Code != http.StatusServiceUnavailable || !strings.Contains(answer.Body.String(), "npm --prefix web run build") {
		t.Errorf("not built: %d %s", answer.Code, answer.Body)
	}
	write(t, dir, "index.html", "<p>page</p>")
	write(t, dir, "assets/index-1.js", "1")
	for path, cache := range map[string]string{"/": "no-cache", "/assets/index-1.js": "max-age=31536000, immutable"} {
		answer = get(t, handler, path)
		if answer.Code != http.StatusOK || answer.Header().Get("Cache-Control") != cache {
			t.Errorf("%s: %d %v", path, answer.Code, answer.Header())
		}
	}
	if answer = get(t, handler, "/missing"); answer.Code != http.StatusNotFound {
		t.Errorf("missing file: %d", answer.Code)
	}
}

func TestOutdated(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dist")
	write(t, dir, "../src/panel/panel.tsx", "")
	if page.Outdated(dir) {
		t.Error("without a page")
	}
	write(t, dir, "index.html", "<p>page</p>")
	hour := func(n int) {
		t.Helper()
		at := time.Now().Add(time.Duration(n) * time.Hour)
		if err := os.Chtimes(filepath.Join(dir, "../src/panel/panel.tsx"), at, at); err != nil {
			t.Fatal(err)
		}
	}
	if hour(-1); page.Outdated(dir) {
		t.Error("an older source")
	}
	if hour(1); !page.Outdated(dir) {
		t.Error("a newer source")
	}
}

func TestConfigWinsOverABuiltOne(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "config.json", `{"publishableKey":"pk_test_built"}`)

	answer := get(t, page.Handler(dir, realClerk), "/config.json")
	const want = `{"publishableKey":"pk_live_x","apiUrl":"https://api.example.com"}`
	if answer.Body.String() != want || answer.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("config %s, want %s; header %v", answer.Body, want, answer.Header())
	}
}

func TestOnlyThePageOfTheFakeClerkIsConfinedToThisMachine(t *testing.T) {
	clerk, err := fakeclerk.Start(fakeclerk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer clerk.Close()
	dir := t.TempDir()
	write(t, dir, "index.html", "<p>page</p>")
	fakeClerk := func() page.Config { return page.ForFakeClerk(clerk, "http://localhost:4000") }

	policy := get(t, page.Handler(dir, fakeClerk), "/").Header().Get("Content-Security-Policy")
	if !strings.HasSuffix(policy, "connect-src 'self' "+clerk.URL()+" http://localhost:4000 ws://localhost:4000") {
		t.Errorf("policy %q", policy)
	}
	if policy := get(t, page.Handler(dir, realClerk), "/").Header().Get("Content-Security-Policy"); policy != "" {
		t.Errorf("policy with real Clerk %q", policy)
	}
}

func TestEveryAccountOfTheFakeClerkCanBeChosen(t *testing.T) {
	clerk, err := fakeclerk.Start(fakeclerk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer clerk.Close()

	config := page.ForFakeClerk(clerk, "http://localhost:4000")
	want := map[string]page.Account{
		"user_ada":     {UserID: "user_ada", Name: "Ada Lovelace", Note: "ada@example.com"},
		"user_noemail": {UserID: "user_noemail", Name: "noemail", Note: "without an email address"},
		"user_banned":  {UserID: "user_banned", Name: "banned@example.com", Note: "banned: Clerk refuses the sign-in"},
	}
	for _, account := range config.FakeClerk.Accounts {
		if expected, ok := want[account.UserID]; ok && account != expected {
			t.Errorf("account %+v, want %+v", account, expected)
		}
		delete(want, account.UserID)
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
	body, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(body), `{"publishableKey":"pk_test_`) || strings.Contains(string(body), clerk.SecretKey()) {
		t.Errorf("config %s", body)
	}
}
