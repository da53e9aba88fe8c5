package fakeclerk_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"testing"
	"time"

	"encore.app/fakeclerk"
)

func TestSeededAccounts(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	for id, want := range map[string]struct {
		primary string
		all     []string
		banned  bool
	}{
		"user_ada":     {"ada@example.com", []string{"ada.lovelace@example.org", "ada@example.com"}, false},
		"user_grace":   {"grace@example.com", []string{"grace@example.com"}, false},
		"user_noemail": {"", nil, false},
		"user_banned":  {"banned@example.com", []string{"banned@example.com"}, true},
	} {
		var got struct {
			ID             string  `json:"id"`
			Primary        *string `json:"primary_email_address_id"`
			Banned         bool    `json:"banned"`
			CreatedAt      int64   `json:"created_at"`
			EmailAddresses []struct {
				ID           string `json:"id"`
				EmailAddress string `json:"email_address"`
				LinkedTo     []any  `json:"linked_to"`
			} `json:"email_addresses"`
		}
		if err := json.Unmarshal([]byte(call(t, s, "GET /v1/users/"+id, "").body), &got); err != nil {
			t.Fatal(err)
		}
		var all []string
		primary := ""
		for _, address := range got.EmailAddresses {
			all = append(all, address.EmailAddress)
			if got.Primary != nil && address.ID == *got.Primary {
				primary = address.EmailAddress
			}
			if address.LinkedTo == nil {
				t.Errorf("%s: linked_to is not a list", address.EmailAddress)
			}
		}
		if got.ID != id || got.Banned != want.banned || primary != want.primary || !reflect.DeepEqual(all, want.all) {
			t.Errorf("%s: got %+v", id, got)
		}
		if age := time.Since(time.UnixMilli(got.CreatedAt)); age < 0 || age > time.Minute {
			t.Errorf("%s: created_at %d is not in milliseconds", id, got.CreatedAt)
		}
	}
}

func TestListUsers(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	tests := []struct {
		name, query string
		want        []string
		count       float64 // ignores limit and offset
	}{
		{"newest first", "", []string{"user_banned", "user_noemail", "user_grace", "user_ada"}, 4},
		{"oldest first", "order_by=%2Bcreated_at", []string{"user_ada", "user_grace", "user_noemail", "user_banned"}, 4},
		{"oldest first, with an unescaped +", "order_by=+created_at&limit=1", []string{"user_ada"}, 4},
		{"a page", "limit=2&offset=1", []string{"user_noemail", "user_grace"}, 4},
		{"past the end", "offset=9", nil, 4},
		{"by ids", "user_id=user_ada&user_id=user_grace&user_id=user_none", []string{"user_grace", "user_ada"}, 2},
		{"by ids as a list", "user_id[]=user_ada", []string{"user_ada"}, 1},
		{"by addresses in any case", "email_address=ADA.lovelace@example.org&email_address=grace@example.com", []string{"user_grace", "user_ada"}, 2},
		{"by both", "email_address=ada@example.com&user_id=user_grace", nil, 0},
		{"by query", "query=HOPPER", []string{"user_grace"}, 1},
		{"banned", "banned=true", []string{"user_banned"}, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var list []struct {
				ID string `json:"id"`
			}
			if err := json.Unmarshal([]byte(call(t, s, "GET /v1/users?"+test.query, "").body), &list); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, user := range list {
				got = append(got, user.ID)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
			if count := call(t, s, "GET /v1/users/count?"+test.query, "").json["total_count"]; count != test.count {
				t.Errorf("count %v, want %v", count, test.count)
			}
		})
	}
	for _, query := range []string{"organization_id=org_1", "limit=0", "offset=-1", "order_by=shoe_size"} {
		if got := call(t, s, "GET /v1/users?"+query, ""); got.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d", query, got.status)
		}
	}
}

func TestUserEndpoints(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	tests := []struct {
		name, route, content string
		status               int
		want                 map[string]any // fields of the answer, or "code" of the error
	}{
		{"unknown user", "GET /v1/users/user_none", "", 404, map[string]any{"code": "resource_not_found"}},
		{"creates from JSON", "POST /v1/users", `{"email_address":["b@example.com"],"first_name":"B","public_metadata":{"a":1}}`, 200,
			map[string]any{"first_name": "B", "public_metadata": map[string]any{"a": 1.0}}},
		{"creates from a form", "POST /v1/users", "email_address[]=c@example.com&first_name=C", 200, map[string]any{"first_name": "C", "last_name": nil}},
		{"refuses a taken address", "POST /v1/users", `{"email_address":["ADA@example.com"]}`, 422, map[string]any{"code": "form_identifier_exists"}},
		{"refuses a wrong type", "POST /v1/users", `{"first_name":1}`, 422, map[string]any{"code": "form_param_format_invalid"}},
		{"refuses broken JSON", "POST /v1/users", `{"first_name":`, 400, map[string]any{"code": "request_body_invalid"}},
		{"changes names", "PATCH /v1/users/user_grace", `{"first_name":"G","username":"grace"}`, 200, map[string]any{"first_name": "G", "last_name": "Hopper", "username": "grace"}},
		{"changes the primary address", "PATCH /v1/users/user_ada", `{"primary_email_address_id":"idn_ada_work"}`, 200, map[string]any{"primary_email_address_id": "idn_ada_work"}},
		{"refuses another user's address", "PATCH /v1/users/user_ada", `{"primary_email_address_id":"idn_grace"}`, 404, map[string]any{"code": "resource_not_found"}},
		{"cannot change an unknown user", "PATCH /v1/users/user_none", `{}`, 404, map[string]any{"code": "resource_not_found"}},
		{"bans", "POST /v1/users/user_grace/ban", "", 200, map[string]any{"banned": true}},
		{"unbans", "POST /v1/users/user_grace/unban", "", 200, map[string]any{"banned": false}},
		{"cannot ban an unknown user", "POST /v1/users/user_none/ban", "", 404, map[string]any{"code": "resource_not_found"}},
		{"deletes", "DELETE /v1/users/user_grace", "", 200, map[string]any{"object": "user", "id": "user_grace", "deleted": true}},
		{"cannot delete twice", "DELETE /v1/users/user_grace", "", 404, map[string]any{"code": "resource_not_found"}},
		{"frees a deleted user's address", "POST /v1/users", `{"email_address":["grace@example.com"]}`, 200, nil},
	}
	for _, test := range tests { // in this order: one changes what the next sees
		t.Run(test.name, func(t *testing.T) {
			got := call(t, s, test.route, test.content)
			if got.status != test.status {
				t.Fatalf("status %d, want %d: %s", got.status, test.status, got.body)
			}
			for field, want := range test.want {
				value := got.json[field]
				if field == "code" {
					value = got.errorCode()
				}
				if !reflect.DeepEqual(value, want) {
					t.Errorf("%s is %v, want %v", field, value, want)
				}
			}
		})
	}
}

func TestUsersInGo(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	added, err := s.AddUser(fakeclerk.User{EmailAddresses: []fakeclerk.EmailAddress{{EmailAddress: "new@example.com"}}})
	if err != nil {
		t.Fatal(err)
	}
	if added.PrimaryEmailAddress() != "new@example.com" || added.ID == "" {
		t.Errorf("added %+v", added)
	}
	if _, err := s.AddUser(fakeclerk.User{ID: "user_ada"}); !errors.Is(err, fakeclerk.ErrUserExists) {
		t.Errorf("taken id: %v", err)
	}
	err = s.UpdateUser(added.ID, func(user *fakeclerk.User) {
		user.PrimaryEmailAddressID = ""
		user.EmailAddresses[0] = fakeclerk.EmailAddress{EmailAddress: "newer@example.com", Unverified: true}
	})
	if err != nil {
		t.Fatal(err)
	}
	user, ok := s.User(added.ID)
	if !ok || user.PrimaryEmailAddress() != "" || user.EmailAddresses[0].EmailAddress != "newer@example.com" {
		t.Errorf("updated %+v", user)
	}
	if added.EmailAddresses[0].EmailAddress != "new@example.com" {
		t.Error("a change reaches users given out before")
	}
	if got := call(t, s, "GET /token?email=new@example.com", ""); got.status != http.StatusNotFound {
		t.Error("a replaced address still finds its user")
	}
	err = s.UpdateUser(added.ID, func(user *fakeclerk.User) { user.EmailAddresses[0].EmailAddress = "ada@example.com" })
	if !errors.Is(err, fakeclerk.ErrUserExists) {
		t.Errorf("taken address: %v", err)
	}
	if got := call(t, s, "GET /token?email=newer@example.com", ""); got.status != http.StatusOK {
		t.Error("a refused update changed the user")
	}
	for name, err := range map[string]error{
		"update": s.UpdateUser("user_none", func(*fakeclerk.User) {}), "delete": s.DeleteUser("user_none"),
		"ban": s.BanUser("user_none"), "unban": s.UnbanUser("user_none"),
	} {
		if !errors.Is(err, fakeclerk.ErrUnknownUser) {
			t.Errorf("%s of an unknown user: %v", name, err)
		}
	}
}

func TestSessions(t *testing.T) {
	ends := []struct {
		name         string
		end          func(t *testing.T, s *fakeclerk.Server, session string)
		status       any // of the session after the end, nil: it is gone
		signInStatus int // of a further sign-in
	}{
		{"a revoked session", func(t *testing.T, s *fakeclerk.Server, session string) {
			if got := call(t, s, "POST /v1/sessions/"+session+"/revoke", "").json["status"]; got != "revoked" {
				t.Errorf("revoke answers status %v", got)
			}
		}, "revoked", 200},
		{"a banned user", func(_ *testing.T, s *fakeclerk.Server, _ string) { _ = s.BanUser("user_ada") }, "revoked", 403},
		{"a user once banned", func(_ *testing.T, s *fakeclerk.Server, _ string) {
			_ = s.BanUser("user_ada")
			_ = s.UnbanUser("user_ada")
		}, "revoked", 200},
		{"a deleted user", func(_ *testing.T, s *fakeclerk.Server, _ string) { _ = s.DeleteUser("user_ada") }, nil, 404},
	}
	for _, test := range ends {
		t.Run(test.name+" gets no tokens", func(t *testing.T) {
			s := start(t, fakeclerk.Options{})
			created := call(t, s, "POST /v1/sessions", "user_id=user_ada").json
			id, _ := created["id"].(string)
			if created["status"] != "active" || created["user_id"] != "user_ada" {
				t.Fatalf("created %v", created)
			}
			if got := call(t, s, "POST /v1/sessions/"+id+"/tokens", "null"); got.json["object"] != "token" {
				t.Fatalf("an active session: %s", got.body)
			}

			test.end(t, s, id)

			if got := call(t, s, "POST /v1/sessions/"+id+"/tokens", ""); got.status != 404 || got.errorCode() != "resource_not_found" {
				t.Errorf("%d %s", got.status, got.errorCode())
			}
			if got := call(t, s, "GET /v1/sessions/"+id, "").json["status"]; got != test.status {
				t.Errorf("status %v, want %v", got, test.status)
			}
			if got := call(t, s, "POST /v1/sessions", `{"user_id":"user_ada"}`); got.status != test.signInStatus {
				t.Errorf("a further sign-in: %d, want %d", got.status, test.signInStatus)
			}
		})
	}
}

func TestSessionEndpoints(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	for route, want := range map[string]int{
		"POST /v1/sessions": 422, "GET /v1/sessions/sess_none": 404, "POST /v1/sessions/sess_none/revoke": 404,
		"POST /v1/sessions/sess_none/tokens": 404,
	} {
		if got := call(t, s, route, ""); got.status != want {
			t.Errorf("%s: %d, want %d", route, got.status, want)
		}
	}
	id, _ := call(t, s, "POST /v1/sessions", `{"user_id":"user_ada"}`).json["id"].(string)
	for content, lifetime := range map[string]float64{"": 60, `{"expires_in_seconds":600}`: 600} {
		jwt, _ := call(t, s, "POST /v1/sessions/"+id+"/tokens", content).json["jwt"].(string)
		header, claims := decode(t, jwt)
		if header["cat"] != fakeclerk.CategorySessionToken || claims["exp"].(float64)-claims["iat"].(float64) != lifetime {
			t.Errorf("%s: cat %v, iat %v, exp %v", content, header["cat"], claims["iat"], claims["exp"])
		}
		if _, named := claims["azp"]; named || claims["sid"] != id || claims["sub"] != "user_ada" {
			t.Errorf("claims %v, want no authorized party", claims)
		}
	}
}
