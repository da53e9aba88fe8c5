package store

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"encore.app/webhooks/clerkevent"
)

func TestStorableMetadata(t *testing.T) {
	long := strings.Repeat("x", maxMetadataBytes)
	deep := strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100)
	for given, want := range map[string]string{
		``: `{}`, `null`: `{}`, `[]`: `{}`, `"x"`: `{}`, `{`: `{}`,
		`{"role":"admin","list":[1,true,null]}`:      `{"list":[1,true,null],"role":"admin"}`,
		`{"a\u0000b":"c\u0000d","e":"\\u0000"}`:      `{"ab":"cd","e":"\\u0000"}`,
		`{"lone":"\ud800"}`:                          `{"lone":"�"}`,
		`{"id":12345678901234567890}`:                `{"id":12345678901234567890}`,
		`{"number":1e400}`:                           `{}`,
		`{"number":` + strings.Repeat("9", 50) + `}`: `{}`,
		`{"a":"` + long + `"}`:                       `{}`,
		deep:                                         `{}`,
	} {
		if got := storableMetadata(json.RawMessage(given)); string(got) != want {
			t.Errorf("%.60s: got %s, want %s", given, got, want)
		}
	}
}

// Whatever metadata an event has, PostgreSQL stores the user.
func TestMetadataAreStored(t *testing.T) {
	s, _ := newStore(t, nil)
	for i, metadata := range []string{
		`{"role":"admin"}`, `{"nul":"\u0000"}`, `{"surrogate":"\udc00\ud800"}`, `{"tiny":1e-320}`, `[]`, `{"role":"owner"}`,
		`{"nested":` + strings.Repeat("[", 60) + strings.Repeat("]", 60) + `}`,
	} {
		e := userEvent(fmt.Sprint("Ada ", i), clerkevent.UserUpdated, i+1, func(u *clerkevent.User) { u.PublicMetadata = json.RawMessage(metadata) })
		if err := s.Apply(t.Context(), e); err != nil {
			t.Fatalf("%s: %v", metadata, codeOf(err))
		}
		account, err := s.Account(t.Context(), ada())
		if err != nil {
			t.Fatal(codeOf(err))
		}
		var stored, want any
		if json.Unmarshal(account.PublicMetadata, &stored) != nil || json.Unmarshal(storableMetadata(json.RawMessage(metadata)), &want) != nil {
			t.Fatalf("%s is stored as %s", metadata, account.PublicMetadata)
		}
		if got, _ := json.Marshal(stored); string(got) != string(must[[]byte](t)(json.Marshal(want))) {
			t.Errorf("%s is stored as %s", metadata, account.PublicMetadata)
		}
	}
}

// A user whose first event has not come has no metadata.
func TestNoMetadata(t *testing.T) {
	s, _ := newStore(t, nil)
	if account, err := s.Account(t.Context(), ada()); err != nil || string(account.PublicMetadata) != "{}" {
		t.Errorf("got %+v, %v", account, codeOf(err))
	}
}

// An event that the database has nothing of changes nothing, and opens no
// connection.
func TestOtherEventsAreNotStored(t *testing.T) {
	s := must[*Store](t)(Open("postgres://127.0.0.1:1/nowhere", nil))
	defer s.Close()
	for _, e := range []*clerkevent.Event{
		{ID: "msg_1", Type: "email.created", At: at(1)},
		{ID: "msg_2", Type: clerkevent.SessionCreated, At: at(1), Session: &clerkevent.Session{ID: "sess_1", UserID: "user_ada"}},
		{ID: "msg_3", Type: clerkevent.SubscriptionActive, At: at(1), Subscription: &clerkevent.Subscription{ID: "csub_1"}},
	} {
		if err := s.Apply(t.Context(), e); err != nil {
			t.Errorf("%s: %v", e.Type, err)
		}
	}
}
