package e2e

import (
	"encoding/json"
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
		code                      string
	}{
		{"the active organization, to a member", "GET", "/organization", plain, 200, ""},
		{"no organization is active", "GET", "/organization", outside, 403, "permission_denied"},
		{"signed out", "GET", "/organization", "", 401, "unauthenticated"},
		{"the members, to an admin", "GET", members, admin, 200, ""},
		{"the members, to a member", "GET", members, plain, 403, "permission_denied"},
		{"the members, to somebody without an organization", "GET", members, outside, 403, "permission_denied"},
		{"a page that is too large", "GET", members + "?limit=101", admin, 400, "invalid_argument"},
		{"a page before the first", "GET", members + "?offset=-1", admin, 400, "invalid_argument"},
		{"removing, by a member", "DELETE", members + "/user_ada", plain, 403, "permission_denied"},
		{"removing, verified twenty minutes ago", "DELETE", members + "/" + member, stale, 403, "permission_denied"},
		{"removing, verified nobody knows when", "DELETE", members + "/" + member, silent, 403, "permission_denied"},
		{"removing the last admin", "DELETE", members + "/user_ada", admin, 400, "failed_precondition"},
		{"removing somebody else", "DELETE", members + "/user_noemail", admin, 404, "not_found"},
		{"removing", "DELETE", members + "/" + member, admin, 200, ""},
		{"removing again", "DELETE", members + "/" + member, admin, 404, "not_found"},
	} {
		got := call(t, test.method, test.path, test.token)
		var body struct{ Code string }
		_ = json.Unmarshal(got.body, &body) // there may be none
		if got.status != test.status || body.Code != test.code {
			t.Errorf("%s: %v, want %d %s", test.name, got, test.status, test.code)
		}
	}
}

func TestOrganizationMembersByPage(t *testing.T) {
	id, member := newOrganization(t)
	admin := token(t, url.Values{"user_id": {"user_ada"}, "org": {id}})
	for query, want := range map[string][]string{
		"": {"user_ada", member}, "?limit=1": {"user_ada"}, "?limit=1&offset=1": {member}, "?offset=2": {},
	} {
		got := call(t, http.MethodGet, "/organization/members"+query, admin)
		var page struct {
			Members []struct{ UserID, Role, Identifier string }
			Total   int
		}
		if err := json.Unmarshal(got.body, &page); err != nil || page.Total != 2 || len(page.Members) != len(want) {
			t.Errorf("%q: %v", query, got)
			continue
		}
		for i, m := range page.Members {
			if m.UserID != want[i] || m.Role == "" || m.Identifier == "" {
				t.Errorf("%q: %v", query, got)
			}
		}
	}
}

// A frontend gives the details to Clerk's useReverification, which looks for clerk_error.
func TestReverificationIsAskedFor(t *testing.T) {
	id, member := newOrganization(t)
	stale := token(t, url.Values{"user_id": {"user_ada"}, "org": {id}, "claims": {`{"fva":[20,-1]}`}})
	got := call(t, http.MethodDelete, "/organization/members/"+member, stale)
	var body struct {
		Details struct {
			ClerkError struct {
				Type, Reason string
				Metadata     struct{ Reverification string }
			} `json:"clerk_error"`
		}
	}
	if err := json.Unmarshal(got.body, &body); err != nil {
		t.Fatal(err)
	}
	if e := body.Details.ClerkError; got.status != 403 || e.Type != "forbidden" || e.Reason != "reverification-error" || e.Metadata.Reverification != "strict" {
		t.Errorf("%v", got)
	}
}
