package fakeclerk_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"encore.app/fakeclerk"
)

// ids are those of a list, in an array or under "data".
func ids(t testing.TB, s *fakeclerk.Server, path string) []string {
	t.Helper()
	a := call(t, s, "GET "+path, "")
	list, isObject := a.json["data"].([]any)
	if !isObject {
		if err := json.Unmarshal([]byte(a.body), &list); err != nil {
			t.Fatalf("%s: %d %s", path, a.status, a.body)
		}
	}
	got := []string{}
	for _, item := range list {
		resource := item.(map[string]any)
		id := resource["id"].(string)
		if user := object(resource, "public_user_data"); user != nil {
			id = object(resource, "organization")["id"].(string) + " " + user["user_id"].(string)
		}
		got = append(got, id)
	}
	return got
}

func TestListsArePaged(t *testing.T) {
	var passed atomic.Int64
	begin := time.Now()
	s := start(t, fakeclerk.Options{Now: func() time.Time { return begin.Add(time.Duration(passed.Add(1)) * time.Second) }})
	for _, name := range []string{"Bravo", "Alfa"} {
		if _, err := s.AddOrganization(fakeclerk.Organization{ID: "org_" + strings.ToLower(name), Name: name, CreatedBy: "user_ada"}); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		"/v1/organizations":                                           "org_alfa org_bravo org_analytical",
		"/v1/organizations?order_by=name":                             "org_alfa org_analytical org_bravo",
		"/v1/organizations?order_by=-members_count&limit=1":           "org_analytical",
		"/v1/organizations?order_by=created_at&limit=1&offset=1":      "org_bravo",
		"/v1/organizations?query=ALF":                                 "org_alfa",
		"/v1/organizations?user_id=user_grace":                        "org_analytical",
		"/v1/users/user_ada/organization_memberships?limit=2":         "org_alfa user_ada,org_bravo user_ada",
		"/v1/users/user_noemail/organization_memberships":             "",
		"/v1/organization_memberships?order_by=%2Bcreated_at&limit=3": "org_analytical user_ada,org_analytical user_grace,org_bravo user_ada",
		"/v1/organizations/analytical/memberships":                    "org_analytical user_grace,org_analytical user_ada",
		"/v1/organizations/org_analytical/memberships?role=org:admin": "org_analytical user_ada",
		"/v1/users?order_by=created_at&limit=2":                       "user_ada user_grace",
	} {
		separator := " "
		if strings.Contains(path, "memberships") {
			separator = ","
		}
		if got := strings.Join(ids(t, s, path), separator); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	if total := call(t, s, "GET /v1/organizations?limit=1", "").json["total_count"]; total != 3.0 {
		t.Errorf("total_count %v", total)
	}
	for _, path := range []string{
		"/v1/users?limit=501", "/v1/users?starting_after=user_ada", "/v1/organizations?nonsense=1",
	} {
		if a := call(t, s, "GET "+path, ""); a.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d", path, a.status)
		}
	}
}
