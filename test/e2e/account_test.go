package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"encore.app/account/store"
	"encore.app/internal/postgres"
	"encore.app/internal/standalone"
)

// databaseFolder is of the PostgreSQL server under the backend, where it may be
// stopped.
var databaseFolder = os.Getenv("POSTGRES_FOLDER")

func init() { extend = startDatabase }

// startDatabase opens a temporary database for the standalone server, or none
// where there is no PostgreSQL.
func startDatabase(log *slog.Logger) (added []standalone.Extension, stop func(), err error) {
	server, err := postgres.Start(context.Background())
	if errors.Is(err, postgres.ErrUnavailable) {
		return []standalone.Extension{standalone.Account(nil)}, func() {}, nil
	}
	if err != nil {
		return nil, nil, err
	}
	databaseFolder = server.Folder()
	users, err := store.Open(server.URL(), log)
	if err != nil {
		server.Stop()
		return nil, nil, err
	}
	return []standalone.Extension{standalone.Account(users)}, func() {
		users.Close()
		server.Stop()
	}, nil
}

// skipWithoutDatabase also has the fake Clerk send its webhooks to the backend.
func skipWithoutDatabase(t *testing.T) {
	t.Helper()
	skipWithoutWebhooks(t)
	if got := call(t, http.MethodGet, "/account", token(t, url.Values{"user_id": {"user_ada"}})); got.status != http.StatusOK {
		if strings.Contains(os.Getenv("REQUIRED"), "postgres") {
			t.Fatal(got)
		}
		t.Skipf("the server has no database (it needs PostgreSQL): %v", got)
	}
	control(t, http.MethodPut, "/fakeclerk/webhooks", map[string]string{"url": w.api + "/webhooks/clerk"})
	t.Cleanup(func() { control(t, http.MethodPut, "/fakeclerk/webhooks", map[string]string{"url": ""}) })
}

// put sends a body with a session token.
func put(t *testing.T, path, token, body string) answer {
	t.Helper()
	request, err := http.NewRequest(http.MethodPut, w.api+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var content bytes.Buffer
	if _, err := content.ReadFrom(response.Body); err != nil {
		t.Fatal(err)
	}
	return answer{status: response.StatusCode, header: response.Header, body: content.Bytes()}
}

func TestAccount(t *testing.T) {
	skipWithoutDatabase(t)
	control(t, http.MethodPut, "/fakeclerk/webhooks", map[string]string{"url": ""})
	user := newUser(t) // whose event is lost
	signed := token(t, url.Values{"user_id": {user}})
	account := func(firstName, settings string) string {
		return fmt.Sprintf(`{"userId":%q,"email":%q,"emailVerified":true,"username":"","firstName":%q,"lastName":"","publicMetadata":{},"settings":%s}`,
			user, user+"@example.com", firstName, settings)
	}
	const unsaved = `{"version":0,"displayName":"","locale":"","timeZone":"","theme":"system"}`
	const saved = `{"version":1,"displayName":"Ada","locale":"en-GB","timeZone":"Europe/London","theme":"dark"}`
	if got := call(t, http.MethodGet, "/account", signed); compact(got.body) != account("", unsaved) {
		t.Errorf("before any event: %v", got)
	}
	if got := call(t, http.MethodGet, "/account", ""); compact(got.body) != noAuthorization {
		t.Errorf("signed out: %v", got)
	}
	const settings = `{"version":0,"displayName":" Ada ","locale":"en-gb","timeZone":"Europe/London","theme":"dark"}`
	for _, test := range []struct{ name, body, want string }{
		{"the first", settings, saved},
		{"an old version", settings, `{"code":"aborted","message":"the settings have changed since that version: read them again","details":null}`},
		{"a theme and a language that are none", `{"version":1,"locale":"none at all","theme":"loud"}`, `{"code":"invalid_argument","message":"locale must be a BCP 47 language tag such as de-CH; theme must be system, light or dark",` +
			`"details":{"fields":{"locale":"must be a BCP 47 language tag such as de-CH","theme":"must be system, light or dark"}}}`},
	} {
		if got := put(t, "/account/settings", signed, test.body); compact(got.body) != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}

	control(t, http.MethodPut, "/fakeclerk/webhooks", map[string]string{"url": w.api + "/webhooks/clerk"})
	control(t, http.MethodPatch, "/v1/users/"+user, map[string]string{"first_name": "Augusta"})
	eventually(t, "the event is stored", func() bool {
		signed = token(t, url.Values{"user_id": {user}}) // time passes
		return compact(call(t, http.MethodGet, "/account", signed).body) == account("Augusta", saved)
	})
}

// TestUnreadableSettings sends bodies that are no settings. Nothing of a body that
// is JSON is logged. Encore logs some bytes of one that is not.
func TestUnreadableSettings(t *testing.T) {
	skipWithoutDatabase(t)
	const secret = "Quetzalcoatl"
	const theme = "theme must be system, light or dark"
	organization, _ := newOrganization(t)
	admin := token(t, url.Values{"user_id": {"user_ada"}, "org": {organization}})
	for _, query := range []string{"?q=" + secret, "?after=" + secret, "?limit=" + secret} {
		call(t, http.MethodGet, "/organization/members"+query, admin)
	}
	signed := token(t, url.Values{"user_id": {newUser(t)}})
	tests := []struct{ name, body, message string }{ // "": any message
		{"nothing", "", ""},
		{"no object", "Tlaloc", ""},
		{"a text", `"Tlaloc"`, ""},
		{"a list", `["Tlaloc"]`, ""},
		{"cut in a field", `{"theme":"dark","displayName":"Tlaloc`, ""},
		{"no comma", `{"displayName":"Tlaloc" "theme":"dark"}`, ""},
		{"no quotes", `{"displayName":Tlaloc,"theme":"dark"}`, ""},
		{"an object instead of a text", `{"displayName":{"Tlaloc":"Tlaloc"},"theme":"dark"}`, ""},
		{"a text instead of a number", `{"version":"Tlaloc","theme":"dark"}`, ""},
		{"a fraction", `{"version":1.5,"theme":"dark"}`, ""},
		{"a number that is too large", `{"version":99999999999999999999}`, ""},
		{"null", "null", theme},
		{"no fields", "{}", theme},
		{"only other fields", `{"name":"` + secret + `"}`, theme},
		{"a language that is none", `{"locale":"` + secret + ` ` + secret + `","theme":"dark"}`, "locale must be a BCP 47 language tag such as de-CH"},
		{"a time zone that is none", `{"timeZone":"` + secret + `","theme":"dark"}`, "timeZone must be a name of the IANA time zone database such as Europe/Zurich"},
		{"a theme that is none", `{"theme":"` + secret + `"}`, theme},
		{"a display name that is too long", `{"displayName":"` + strings.Repeat(secret, 9) + `","theme":"dark"}`, "displayName must be at most 100 characters, without control characters"},
	}
	for _, test := range tests {
		got := put(t, "/account/settings", signed, test.body)
		if got.status != http.StatusBadRequest || !strings.Contains(compact(got.body), `"code":"invalid_argument"`) {
			t.Errorf("%s: %v, want 400 invalid_argument", test.name, got)
		}
		if test.message == "" {
			continue
		}
		field, problem, _ := strings.Cut(test.message, " must ")
		want := fmt.Sprintf(`{"code":"invalid_argument","message":%q,"details":{"fields":{%q:"must %s"}}}`, test.message, field, problem)
		if compact(got.body) != want {
			t.Errorf("%s: %v, want %s", test.name, got, want)
		}
	}
	got := put(t, "/account/settings", signed, `{"version":0,"displayName":"`+secret+`","theme":"dark"}`)
	if want := `{"version":1,"displayName":"` + secret + `","locale":"","timeZone":"","theme":"dark"}`; compact(got.body) != want {
		t.Errorf("settings: %v, want %s", got, want)
	}
	if w.log == nil {
		t.Skip("the answers are right; the log of a server that was not started here is not known")
	}
	var log string
	eventually(t, "the requests are logged", func() bool {
		log = w.log()
		return strings.Count(log, "ettings") > len(tests) // SaveSettings, /account/settings
	})
	for line := range strings.Lines(log) {
		if strings.Contains(strings.ToLower(line), strings.ToLower(secret[:6])) {
			t.Errorf("logged: %s", line)
		}
	}
}

// TestWithoutPostgres stops PostgreSQL. The service account says so, and all
// else goes on. Once PostgreSQL is back, the backend finds it by itself.
func TestWithoutPostgres(t *testing.T) {
	skipWithoutDatabase(t)
	if databaseFolder == "" {
		t.Skip("PostgreSQL was not started for this test")
	}
	const unavailable = `{"code":"unavailable","message":"the database is unavailable, try again shortly","details":null}`
	id, _ := newOrganization(t)
	var admin string
	expect := func(when string, status int) {
		t.Helper()
		for _, user := range []string{"user_ada", newUser(t)} {
			if got := profile(t, user); got.status != http.StatusOK {
				t.Errorf("%s: profile: %v", when, got)
			}
		}
		for what, got := range map[string]answer{
			"account":  call(t, http.MethodGet, "/account", admin),
			"settings": put(t, "/account/settings", token(t, url.Values{"user_id": {newUser(t)}}), `{"version":0,"theme":"dark"}`),
			"members":  call(t, http.MethodGet, "/organization/members", admin),
		} {
			if got.status != status || status != http.StatusOK && compact(got.body) != unavailable {
				t.Errorf("%s: %s: %v, want %d", when, what, got, status)
			}
		}
	}
	signIn := func() { admin = token(t, url.Values{"user_id": {"user_ada"}, "org": {id}}) }
	eventually(t, "the organization has come", func() bool {
		signIn() // time passes
		return call(t, http.MethodGet, "/organization/members", admin).status == http.StatusOK
	})
	expect("before", http.StatusOK)
	if err := postgres.Pause(databaseFolder); err != nil {
		t.Fatal(err)
	}
	stopped := true
	t.Cleanup(func() {
		if stopped {
			_ = postgres.Resume(databaseFolder)
		}
	})
	expect("stopped", http.StatusServiceUnavailable)
	expect("still stopped", http.StatusServiceUnavailable)
	if err := postgres.Resume(databaseFolder); err != nil {
		t.Fatal(err)
	}
	stopped = false
	eventually(t, "the account is back", func() bool {
		signIn()
		return call(t, http.MethodGet, "/account", admin).status == http.StatusOK
	})
	expect("started again", http.StatusOK)
}

func TestMembers(t *testing.T) {
	skipWithoutDatabase(t)
	id, member := newOrganization(t)
	in := func(user string) string { return token(t, url.Values{"user_id": {user}, "org": {id}}) }
	admin, plain := in("user_ada"), in(member)
	outside := token(t, url.Values{"user_id": {"user_noemail"}})
	list := func(query string) (ids []string, total int, next string) {
		t.Helper()
		var page store.Members
		got := call(t, http.MethodGet, "/organization/members"+query, in("user_ada")) // time passes
		if err := json.Unmarshal(got.body, &page); err != nil || got.status != http.StatusOK && got.status != http.StatusServiceUnavailable {
			t.Fatal(got)
		}
		for _, m := range page.Members {
			ids = append(ids, m.UserID)
		}
		return ids, page.Total, page.Next
	}
	eventually(t, "the members have come", func() bool {
		_, total, _ := list("")
		return total == 2
	})
	both, _, _ := list("") // which of them comes first is open: they joined within a millisecond
	_, _, next := list("?limit=1")
	for query, want := range map[string][]string{
		"": both, "?limit=1": both[:1], "?limit=1&offset=1": both[1:], "?limit=1&after=" + next: both[1:],
		"?offset=2": nil, "?q=m": {member}, "?q=zzz": nil,
	} {
		if ids, total, _ := list(query); !slices.Equal(ids, want) || total != 2 {
			t.Errorf("%q: %v of %d, want %v", query, ids, total, want)
		}
	}
	const path = "/organization/members"
	for _, test := range []struct{ name, path, token, want string }{
		{"a member", path, plain, requiresAdmin},
		{"somebody without an organization", path, outside, requiresAdmin},
		{"a page that is too large", path + "?limit=101", admin, invalidPage},
		{"a page before the first", path + "?offset=-1", admin, invalidPage},
		{"a limit that is no number", path + "?limit=many", admin, invalidPage},
		{"a page that is too large, to a member", path + "?limit=101", plain, requiresAdmin},
		{"a limit that is no number, to a member", path + "?limit=many", plain, requiresAdmin},
	} {
		if got := call(t, http.MethodGet, test.path, test.token); compact(got.body) != test.want {
			t.Errorf("%s: %v, want %s", test.name, got, test.want)
		}
	}
	if got := call(t, http.MethodDelete, path+"/"+member, admin); got.status != http.StatusOK {
		t.Fatal(got)
	}
	eventually(t, "the member has left", func() bool {
		_, total, _ := list("")
		return total == 1
	})
}
