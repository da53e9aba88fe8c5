package fakeclerk_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"runtime"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"encore.app/fakeclerk"
	"encore.app/fakeclerk/fakesvix"
)

// webhook is what arrived.
type webhook struct {
	id    string
	event struct {
		Type      string         `json:"type"`
		Object    string         `json:"object"`
		Timestamp int64          `json:"timestamp"`
		Data      map[string]any `json:"data"`
	}
}

// receive starts a receiver that verifies webhooks and answers status(n) to the n-th, from 0.
func receive(t *testing.T, secret func() string, status func(n int) int) (string, <-chan webhook) {
	t.Helper()
	arrived := make(chan webhook, 100)
	n := 0
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		verifier, err := standardwebhooks.NewWebhook(secret())
		if err != nil {
			t.Error(err)
		}
		header := http.Header{}
		for _, name := range []string{"id", "timestamp", "signature"} {
			header.Set("webhook-"+name, r.Header.Get("svix-"+name))
		}
		if err := verifier.Verify(body, header); err != nil {
			t.Error(err)
		}
		hook := webhook{id: r.Header.Get("svix-id")}
		if err := json.Unmarshal(body, &hook.event); err != nil {
			t.Error(err)
		}
		w.WriteHeader(status(n))
		n++
		arrived <- hook
	}))
	t.Cleanup(receiver.Close)
	return receiver.URL, arrived
}

func next(t *testing.T, arrived <-chan webhook) webhook {
	t.Helper()
	select {
	case hook := <-arrived:
		return hook
	case <-time.After(10 * time.Second):
		t.Fatal("no webhook")
		return webhook{}
	}
}

func TestChangesAreSentAsWebhooks(t *testing.T) {
	var s *fakeclerk.Server
	url, arrived := receive(t, func() string { return s.WebhookSigningSecret() }, func(int) int { return http.StatusNoContent })
	s = start(t, fakeclerk.Options{WebhookURL: url})

	var created string
	for _, test := range []struct {
		eventType, id string
		change        func()
	}{
		{"user.created", "user_new", func() {
			_, _ = s.AddUser(fakeclerk.User{ID: "user_new", EmailAddresses: []fakeclerk.EmailAddress{{EmailAddress: "new@example.com"}}})
		}},
		{"user.updated", "user_new", func() { call(t, s, "PATCH /v1/users/user_new", `{"first_name":"New"}`) }},
		{"user.updated", "user_new", func() { call(t, s, "POST /v1/users/user_new/ban", "") }},
		{"user.updated", "user_new", func() { _ = s.UnbanUser("user_new") }},
		{"user.deleted", "user_new", func() { call(t, s, "DELETE /v1/users/user_new", "") }},
		{"session.revoked", "", func() {
			created, _ = call(t, s, "POST /v1/sessions", `{"user_id":"user_ada"}`).json["id"].(string)
			call(t, s, "POST /v1/sessions/"+created+"/revoke", "")
		}},
		{"session.ended", "", func() {
			created, _ = call(t, s, "POST /v1/sessions", `{"user_id":"user_ada"}`).json["id"].(string)
			call(t, s, "POST /fakeclerk/sessions/"+created+"/end", "")
		}},
		{"organization.created", "org_new", func() { _, _ = s.AddOrganization(fakeclerk.Organization{ID: "org_new", Name: "New"}) }},
		{"organization.updated", "org_new", func() { _, _ = s.UpdateOrganization("org_new", func(o *fakeclerk.Organization) { o.Name = "Newer" }) }},
		{"organizationMembership.created", "", func() { _, _ = s.AddMembership("org_new", "user_ada", "") }},
		{"organizationMembership.updated", "", func() { _, _ = s.UpdateMembership("org_new", "user_ada", "org:reader") }},
		{"organizationMembership.deleted", "", func() { _, _ = s.RemoveMembership("org_new", "user_ada") }},
		{"organization.deleted", "org_new", func() { _ = s.DeleteOrganization("org_new") }},
		{"email.created", "", func() { call(t, s, "POST /fakeclerk/webhooks", `{"type":"email.created","data":{}}`) }},
	} {
		test.change()
		hook := next(t, arrived)
		if hook.event.Type != test.eventType || hook.event.Object != "event" || hook.event.Timestamp == 0 {
			t.Errorf("%+v, want %s", hook.event, test.eventType)
		}
		if id := hook.event.Data["id"]; test.id != "" && id != test.id {
			t.Errorf("%s of %v, want %s", test.eventType, id, test.id)
		}
	}
}

func TestWebhookIsRepeatedUntilItArrives(t *testing.T) {
	statuses := []int{http.StatusInternalServerError, http.StatusFound, http.StatusNoContent, http.StatusNoContent}
	var s *fakeclerk.Server
	url, arrived := receive(t, func() string { return s.WebhookSigningSecret() }, func(n int) int { return statuses[n] })
	s = start(t, fakeclerk.Options{WebhookURL: url, WebhookRetries: []time.Duration{time.Millisecond, time.Millisecond, time.Hour}})

	id, err := s.SendWebhook("user.created", map[string]string{"id": "user_new"})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if hook := next(t, arrived); hook.id != id {
			t.Errorf("id %s, want %s", hook.id, id)
		}
	}
	if a := call(t, s, "POST /fakeclerk/webhooks/"+id+"/resend", ""); a.status != http.StatusNoContent {
		t.Errorf("resend: %d", a.status)
	}
	if hook := next(t, arrived); hook.id != id {
		t.Errorf("id %s, want %s", hook.id, id)
	}
	if a := call(t, s, "POST /fakeclerk/webhooks/msg_other/resend", ""); a.status != http.StatusNotFound {
		t.Errorf("resend of an unknown message: %d", a.status)
	}
	want := []fakesvix.Attempt{{Status: 500}, {Status: 302}, {Status: 204}, {Status: 204}}
	deadline := time.Now().Add(10 * time.Second)
	for messages := s.Webhooks(); ; messages = s.Webhooks() { // the last answer may not have arrived yet
		if len(messages) == 1 && messages[0].Delivered && reflect.DeepEqual(messages[0].Attempts, want) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v", messages)
		}
		runtime.Gosched()
	}
}

func TestCloseGivesUpWebhooks(t *testing.T) {
	s := start(t, fakeclerk.Options{WebhookURL: "http://127.0.0.1:1"}) // there is no receiver
	for range 3 {
		if _, err := s.SendWebhook("user.created", nil); err != nil {
			t.Fatal(err)
		}
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = s.Close()
	}()
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Fatal("close waits for retries")
	}
}

func TestWebhookSigningSecretIsChecked(t *testing.T) {
	if s, err := fakeclerk.Start(fakeclerk.Options{WebhookSigningSecret: "whsec_?", SigningKey: testKey()}); err == nil {
		_ = s.Close()
		t.Error("a secret that is not base64 is taken")
	}
}

func TestWebhooksThatATestDelivers(t *testing.T) {
	var s *fakeclerk.Server
	url, arrived := receive(t, func() string { return s.WebhookSigningSecret() }, func(int) int { return http.StatusNoContent })
	s = start(t, fakeclerk.Options{WebhookURL: url})
	if a := call(t, s, "PUT /fakeclerk/webhooks", `{"hold":true}`); a.status != http.StatusNoContent {
		t.Fatalf("hold: %d %s", a.status, a.body)
	}
	for _, id := range []string{"user_1", "user_2", "user_3"} {
		if _, err := s.AddUser(fakeclerk.User{ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	held := s.Webhooks()
	if len(held) != 3 || held[0].Delivered || len(held[0].Body) == 0 {
		t.Fatalf("held %+v", held)
	}
	control := func(route, content string, status int) {
		t.Helper()
		if a := call(t, s, route, content); a.status != status {
			t.Errorf("%s: %d %s, want %d", route, a.status, a.body, status)
		}
	}
	for _, message := range []fakesvix.Message{held[1], held[0], held[0]} { // out of order, and one twice
		control("POST /fakeclerk/webhooks/"+message.ID+"/resend", "", http.StatusNoContent)
		if hook := next(t, arrived); hook.id != message.ID {
			t.Errorf("delivered %s, want %s", hook.id, message.ID)
		}
	}
	control("DELETE /fakeclerk/webhooks/"+held[1].ID, "", http.StatusNoContent)
	control("DELETE /fakeclerk/webhooks/"+held[1].ID, "", http.StatusNotFound)
	control("POST /fakeclerk/webhooks/"+held[1].ID+"/resend", "", http.StatusNotFound)
	delivered := func() bool { return s.Webhooks()[0].Delivered } // the answer may still be on its way
	for deadline := time.Now().Add(10 * time.Second); !delivered(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%+v", s.Webhooks())
		}
	}
	control("PUT /fakeclerk/webhooks", `{"hold":false}`, http.StatusNoContent)
	if hook := next(t, arrived); hook.id != held[2].ID { // the event that was not delivered
		t.Errorf("released %s, want %s", hook.id, held[2].ID)
	}
}
