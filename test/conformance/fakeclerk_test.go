package conformance

import (
	"encoding/json"
	"strings"
	"testing"

	"encore.app/fakeclerk"
)

// TestFakeClerk: @clerk/backend works against the fake Clerk unchanged.
func TestFakeClerk(t *testing.T) {
	clerk, err := fakeclerk.Start(fakeclerk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer clerk.Close()
	reference := startNode(t, "reference.mjs")
	call := func(name string, arguments ...any) answered {
		t.Helper()
		var a answered
		reference.ask(t, map[string]any{"call": name, "arguments": append([]any{}, arguments...)}, &a)
		return a
	}
	decode := func(a answered, into any) {
		t.Helper()
		if a.Error.Name != "" {
			t.Fatalf("%+v", a.Error)
		}
		if err := json.Unmarshal(a.Value, into); err != nil {
			t.Fatal(err)
		}
	}
	set := configuration{SecretKey: clerk.SecretKey(), APIURL: clerk.URL(), AuthorizedParties: []string{fakeclerk.DefaultAuthorizedParty}}
	reference.configure(t, set)

	var user struct {
		ID                    string
		PrimaryEmailAddressID string
		EmailAddresses        []struct{ ID, EmailAddress string }
		Banned                bool
	}
	decode(call("users.getUser", "user_ada"), &user)
	primary := ""
	for _, address := range user.EmailAddresses {
		if address.ID == user.PrimaryEmailAddressID {
			primary = address.EmailAddress
		}
	}
	if user.ID != "user_ada" || primary != "ada@example.com" || len(user.EmailAddresses) != 2 {
		t.Errorf("users.getUser: %+v", user)
	}

	var list struct {
		Data       []struct{ ID string }
		TotalCount int
	}
	decode(call("users.getUserList", map[string]any{"emailAddress": []string{"grace@example.com"}}), &list)
	if len(list.Data) != 1 || list.Data[0].ID != "user_grace" || list.TotalCount != 1 {
		t.Errorf("users.getUserList: %+v", list)
	}

	var session struct{ ID, UserID, Status string }
	decode(call("sessions.createSession", map[string]any{"userId": "user_ada"}), &session)
	if session.UserID != "user_ada" || session.Status != "active" {
		t.Errorf("sessions.createSession: %+v", session)
	}
	var token struct{ JWT string }
	decode(call("sessions.getToken", session.ID, ""), &token)
	var claims struct{ Sub, Sid string }
	// Such a token has no azp, as Clerk's have none.
	if a := call("verifyToken", token.JWT); !strings.Contains(a.Error.Text, "azp") {
		t.Errorf("verifyToken with authorized parties: %+v", a)
	}
	set.AuthorizedParties = nil
	reference.configure(t, set)
	decode(call("verifyToken", token.JWT), &claims) // with keys from the JWKS
	if claims.Sub != "user_ada" || claims.Sid != session.ID {
		t.Errorf("verifyToken: %+v", claims)
	}
	if n := clerk.Requests("GET /v1/jwks"); n != 1 {
		t.Errorf("the JWKS was fetched %d times", n)
	}

	decode(call("sessions.revokeSession", session.ID), &session)
	if session.Status != "revoked" {
		t.Errorf("sessions.revokeSession: %+v", session)
	}
	if a := call("sessions.getToken", session.ID, ""); a.Error.Name != "ClerkAPIResponseError" || a.Error.Status != 404 {
		t.Errorf("a token of a revoked session: %+v", a.Error)
	}
	if a := call("users.getUser", "user_nobody"); a.Error.Name != "ClerkAPIResponseError" || a.Error.Status != 404 || a.Error.Code != "resource_not_found" {
		t.Errorf("an unknown user: %+v", a.Error)
	}
	set.SecretKey = "sk_test_wrong"
	reference.configure(t, set)
	if a := call("users.getUser", "user_ada"); a.Error.Name != "ClerkAPIResponseError" || a.Error.Status != 401 || a.Error.Code != "clerk_key_invalid" {
		t.Errorf("a wrong secret key: %+v", a.Error)
	}
}

// answered is what a call of the SDK gave.
type answered struct {
	Value json.RawMessage
	Error struct {
		Name   string
		Status int
		Code   string
		Text   string
	}
}
