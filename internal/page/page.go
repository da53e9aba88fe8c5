// Package page serves the built frontend of web/ and tells it, at run time, which Clerk it signs in with. The
// development command runs it; a deployed frontend is static files on any host.
package page

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"encore.app/internal/fakeclerk"
)

// Build is the command that makes the folder which [Handler] serves.
const Build = "npm --prefix web ci && npm --prefix web run build"

// Config is what the page reads from /config.json: web/src/config.ts.
type Config struct {
	// PublishableKey is Clerk's, pk_test_… or pk_live_….
	PublishableKey string `json:"publishableKey"`
	// APIURL is where the browser finds the backend.
	APIURL string `json:"apiUrl"`
	// StandIn is nil with real Clerk.
	StandIn *StandIn `json:"standIn,omitempty"`
}

// StandIn is the stand-in for Clerk.
type StandIn struct {
	URL      string    `json:"url"`
	Accounts []Account `json:"accounts"`
}

// Account is somebody who can sign in to the stand-in with one click.
type Account struct {
	UserID string `json:"userId"`
	Name   string `json:"name"`
	Note   string `json:"note"`
}

// ForStandIn is the config of a page that signs in to the stand-in's accounts.
func ForStandIn(clerk *fakeclerk.Server, apiURL string) Config {
	standIn := &StandIn{URL: clerk.URL()}
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
		standIn.Accounts = append(standIn.Accounts, account)
	}
	return Config{PublishableKey: clerk.PublishableKey(), APIURL: apiURL, StandIn: standIn}
}

// Built reports whether dir holds a built page.
func Built(dir string) bool {
	info, err := os.Stat(filepath.Join(dir, "index.html"))
	return err == nil && info.Mode().IsRegular()
}

// Handler serves the page from dir, web/dist as a rule, and config as /config.json. Where the page is not built
// it says how to build it, and serves it as soon as it is.
func Handler(dir string, config func() Config) http.Handler {
	files := http.FileServer(http.Dir(dir))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /config.json", func(w http.ResponseWriter, _ *http.Request) {
		body, err := json.Marshal(config())
		if err != nil { // it is strings only
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
		if c := config(); c.StandIn != nil {
			w.Header().Set("Content-Security-Policy", loopbackOnly(c))
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		files.ServeHTTP(w, r)
	})
	return mux
}

// loopbackOnly is the policy of a page that asks nobody but the stand-in and the backend. With real Clerk there
// is none: its scripts are loaded from Clerk.
func loopbackOnly(c Config) string {
	return "default-src 'self'; img-src 'self' data:; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; " +
		"frame-ancestors 'none'; connect-src 'self' " + c.StandIn.URL + " " + c.APIURL
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
