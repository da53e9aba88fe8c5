package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"encore.app/account/directory"
	"encore.app/internal/postgres"
)

// startDatabase returns the database of the standalone server, or nil where
// neither DATABASE_URL nor PostgreSQL is there.
func startDatabase() (store *directory.Store, stop func(), err error) {
	databaseURL, stopServer := os.Getenv("DATABASE_URL"), func() {}
	if databaseURL == "" {
		server, err := postgres.Start(context.Background())
		if errors.Is(err, postgres.ErrNotInstalled) {
			return nil, stopServer, nil
		}
		if err != nil {
			return nil, nil, err
		}
		databaseURL, stopServer = server.URL(), server.Stop
	}
	if store, err = directory.Open(databaseURL, nil); err != nil {
		stopServer()
		return nil, nil, err
	}
	return store, func() {
		store.Close()
		stopServer()
	}, nil
}

// skipWithoutDatabase also has the fake Clerk send its webhooks to the backend.
func skipWithoutDatabase(t *testing.T) {
	t.Helper()
	skipWithoutWebhooks(t)
	if got := call(t, http.MethodGet, "/account", token(t, url.Values{"user_id": {"user_ada"}})); got.status != http.StatusOK {
		if os.Getenv("ACCOUNT_TESTS") == "required" {
			t.Fatal(got)
		}
		t.Skipf("set DATABASE_URL or install PostgreSQL: %v", got)
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
		return fmt.Sprintf(`{"userId":%q,"email":%q,"emailVerified":true,"username":"","firstName":%q,"lastName":"","settings":%s}`,
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
		{"a theme that is none", `{"version":1,"theme":"loud"}`, `{"code":"invalid_argument","message":"theme must be system, light or dark","details":null}`},
	} {
		if got := put(t, "/account/settings", signed, test.body); compact(got.body) != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
	if got := put(t, "/account/settings", signed, `{"version":`); got.status != http.StatusBadRequest {
		t.Errorf("no JSON: %v", got)
	}

	control(t, http.MethodPut, "/fakeclerk/webhooks", map[string]string{"url": w.api + "/webhooks/clerk"})
	control(t, http.MethodPatch, "/v1/users/"+user, map[string]string{"first_name": "Augusta"})
	eventually(t, "the event is stored", func() bool {
		return compact(call(t, http.MethodGet, "/account", signed).body) == account("Augusta", saved)
	})
}

func TestMembers(t *testing.T) {
	skipWithoutDatabase(t)
	id, member := newOrganization(t)
	in := func(user string) string { return token(t, url.Values{"user_id": {user}, "org": {id}}) }
	admin, plain := in("user_ada"), in(member)
	outside := token(t, url.Values{"user_id": {"user_noemail"}})
	list := func(query string) (ids []string, total int, next string) {
		t.Helper()
		var page directory.Members
		got := call(t, http.MethodGet, "/organization/members"+query, admin)
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
