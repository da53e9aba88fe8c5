// Package page serves the built frontend of web/ and the config that names the
// Clerk instance it signs in with. The development command and the browser
// tests run it; a deployed frontend is static files on any host.
package page

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"encore.app/fakeclerk"
)

// Build is the command that builds the folder that [Handler] serves.
const Build = "npm --prefix web ci && npm --prefix web run build"

// Config is what the page reads from /config.json: web/src/config.ts.
type Config struct {
	// PublishableKey is Clerk's, pk_test_… or pk_live_….
	PublishableKey string `json:"publishableKey"`
	// APIURL is the backend's address, as the browser reaches it.
	APIURL string `json:"apiUrl"`
	// FakeClerk is nil with real Clerk.
	FakeClerk *FakeClerk `json:"fakeClerk,omitempty"`
}

// FakeClerk is what the page has to know of the fake Clerk.
type FakeClerk struct {
	URL      string    `json:"url"`
	Accounts []Account `json:"accounts"`
}

// Account is a user of the fake Clerk, who signs in with one click.
type Account struct {
	UserID string `json:"userId"`
	Name   string `json:"name"`
	Note   string `json:"note"`
}

// ForFakeClerk returns the config of a page that signs in to the fake Clerk.
func ForFakeClerk(clerk *fakeclerk.Server, apiURL string) Config {
	fakeClerk := &FakeClerk{URL: clerk.URL()}
	for _, user := range clerk.Users() {
		email := user.PrimaryEmailAddress()
		account := Account{
			UserID: user.ID,
			Name:   cmp.Or(strings.TrimSpace(user.FirstName+" "+user.LastName), user.Username, email, user.ID),
			Note:   cmp.Or(email, "without an email address"),
		}
		if user.Banned {
			account.Note = "banned: Clerk refuses the sign-in"
		}
		fakeClerk.Accounts = append(fakeClerk.Accounts, account)
	}
	return Config{PublishableKey: clerk.PublishableKey(), APIURL: apiURL, FakeClerk: fakeClerk}
}

// Built reports whether dir holds a built page.
func Built(dir string) bool {
	info, err := os.Stat(filepath.Join(dir, "index.html"))
	return err == nil && info.Mode().IsRegular()
}

// Outdated reports whether a file of dir/../src, the sources, is newer than the
// page in dir. It tolerates a minute, because copying both takes a while.
func Outdated(dir string) bool {
	page, err := os.Stat(filepath.Join(dir, "index.html"))
	if err != nil {
		return false
	}
	outdated := false
	_ = filepath.WalkDir(filepath.Join(dir, "..", "src"), func(_ string, source fs.DirEntry, err error) error {
		if err != nil {
			return nil // without sources, nothing is newer
		}
		if info, err := source.Info(); err == nil && !source.IsDir() && info.ModTime().After(page.ModTime().Add(time.Minute)) {
			outdated = true
		}
		return nil
	})
	return outdated
}

// Handler serves the page from dir, usually web/dist, and config as
// /config.json. While the page is not built, it answers with the command that
// builds it.
func Handler(dir string, config func() Config) http.Handler {
	files := http.FileServer(http.Dir(dir))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /config.json", func(w http.ResponseWriter, _ *http.Request) {
		body, err := json.Marshal(config())
		if err != nil { // unreachable: strings always encode
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(body)
	})
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		if !Built(dir) {
			notBuilt(w)
			return
		}
		w.Header().Set("Cache-Control", "no-cache")
		if strings.HasPrefix(r.URL.Path, "/assets/") {
			w.Header().Set("Cache-Control", "max-age=31536000, immutable") // the name changes with the content
		}
		if c := config(); c.FakeClerk != nil {
			w.Header().Set("Content-Security-Policy", loopbackOnly(c))
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		files.ServeHTTP(w, r)
	})
	return mux
}

// loopbackOnly returns the policy of a page that connects to the fake Clerk and
// the backend only. With real Clerk there is no policy: its scripts come from
// Clerk.
func loopbackOnly(c Config) string {
	return "default-src 'self'; img-src 'self' data:; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; " +
		"frame-ancestors 'none'; connect-src 'self' " + c.FakeClerk.URL + " " + c.APIURL + " " + strings.Replace(c.APIURL, "http", "ws", 1)
}

func notBuilt(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = io.WriteString(w, fmt.Sprintf(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>The page is not built yet</title>
<body style="font: 1.1rem/1.6 system-ui, sans-serif; max-width: 40rem; margin: 4rem auto; padding: 0 1.25rem">
<h1>The page is not built yet</h1>
<p>The backend runs without it. With Node 20.19 or newer, run this where the repository is, and load the page again:</p>
<pre style="white-space: pre-wrap">%s</pre>
</html>
`, strings.ReplaceAll(Build, "&", "&amp;")))
}
