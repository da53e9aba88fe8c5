package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"testing"
)

// call sends a request with a session token, "" for none.
func call(t *testing.T, method, path, token string) answer {
	t.Helper()
	if token != "" {
		token = "Bearer " + token
	}
	return send(t, method, path, token)
}

// newOrganization gives the id of an organization of two: user_ada is its admin,
// and member a member.
func newOrganization(t *testing.T) (id, member string) {
	t.Helper()
	create := func(path string, body any) string {
		t.Helper()
		var created struct{ ID string }
		status, answered := clerk(t, http.MethodPost, path, body)
		if err := json.Unmarshal(answered, &created); err != nil || status != http.StatusOK {
			t.Fatalf("%s: %d %s", path, status, answered)
		}
		return created.ID
	}
	member = create("/v1/users", map[string]any{"username": "m"})
	id = create("/v1/organizations", map[string]any{"name": t.Name(), "created_by": "user_ada"})
	create("/v1/organizations/"+id+"/memberships", map[string]any{"user_id": member, "role": "org:member"})
	return id, member
}

func TestOrganization(t *testing.T) {
	id, member := newOrganization(t)
	in := func(user, claims string) string {
		t.Helper()
		return token(t, url.Values{"user_id": {user}, "org": {id}, "claims": {claims}})
	}
	admin, plain := in("user_ada", "{}"), in(member, "{}")
	outside := token(t, url.Values{"user_id": {"user_noemail"}})
	stale := in("user_ada", `{"fva":[20,-1]}`)
	silent := in("user_ada", `{"fva":null}`)

	const members = "/organization/members"
	for _, test := range []struct {
		name, method, path, token string
		status                    int
		body                      string
	}{
		{"the active organization, to a member", "GET", "/organization", plain, 200, fmt.Sprintf(`{"id":%q,"slug":"testorganization","role":"org:member","permissions":["org:dashboard:read","org:teams:read"]}`, id)},
		{"no organization is active", "GET", "/organization", outside, 403, noOrganization},
		{"signed out", "GET", "/organization", "", 401, noAuthorization},
		{"removing, by a member", "DELETE", members + "/user_ada", plain, 403, requiresAdmin},
		{"removing, verified twenty minutes ago", "DELETE", members + "/" + member, stale, 403, verifyAgain},
		{"removing, verified nobody knows when", "DELETE", members + "/" + member, silent, 403, verifyAgain},
		{"removing the last admin", "DELETE", members + "/user_ada", admin, 400, lastAdministrator},
		{"removing somebody else", "DELETE", members + "/user_noemail", admin, 404, noSuchMember},
		{"removing what is no user", "DELETE", members + "/x", admin, 404, noSuchMember},
		{"removing", "DELETE", members + "/" + member, admin, 200, ""},
		{"removing again", "DELETE", members + "/" + member, admin, 404, noSuchMember},
	} {
		got := call(t, test.method, test.path, test.token)
		if got.status != test.status || compact(got.body) != test.body {
			t.Errorf("%s: %v, want %d %s", test.name, got, test.status, test.body)
		}
	}
}

func TestRemovingWhileClerkIsFailing(t *testing.T) {
	id, _ := newOrganization(t)
	admin := token(t, url.Values{"user_id": {"user_ada"}, "org": {id}})
	if got := call(t, http.MethodGet, "/organization", admin); got.status != http.StatusOK { // the user is known
		t.Fatalf("got %v", got)
	}
	const nobody = "/organization/members/user_nobody"
	// A failure is remembered for what was asked for: each time it is another user.
	for _, test := range []struct {
		status int
		body   string
	}{{500, unavailable}, {401, internal}, {429, unavailable}} {
		recovered(t)
		control(t, http.MethodPut, "/fakeclerk/faults", map[string]any{"kind": "status", "status": test.status})
		got := call(t, http.MethodDelete, fmt.Sprint(nobody, test.status), admin)
		control(t, http.MethodDelete, "/fakeclerk/faults", nil)
		if compact(got.body) != test.body {
			t.Errorf("Clerk answers %d: got %v, want %s", test.status, got, test.body)
		}
	}
	eventually(t, "members are removed again", func() bool {
		return call(t, http.MethodDelete, nobody, token(t, url.Values{"user_id": {"user_ada"}, "org": {id}})).status == http.StatusNotFound
	})
}
