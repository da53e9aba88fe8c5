package clerkevent_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
	"encore.app/webhooks/clerkevent"
)

const oldSecret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

// receiver is a Receiver behind a loopback listener, and what it did.
type receiver struct {
	url      string
	handled  chan *clerkevent.Event
	reported []clerkevent.Reason
	last     map[any]any // the last log line
}

func newReceiver(t *testing.T, secrets string) *receiver {
	t.Helper()
	r := &receiver{handled: make(chan *clerkevent.Event, 10)}
	handler, err := clerkevent.NewReceiver(secrets,
		func(_ context.Context, e *clerkevent.Event) error {
			r.handled <- e
			return nil
		},
		r)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

// Warn and Error implement [clerkevent.Logger]. They keep the reason.
func (r *receiver) Warn(_ string, keysAndValues ...any) {
	r.reported = append(r.reported, keysAndValues[1].(clerkevent.Reason))
	r.last = make(map[any]any)
	for pair := range slices.Chunk(keysAndValues, 2) {
		r.last[pair[0]] = pair[1]
	}
}
func (r *receiver) Error(message string, keysAndValues ...any) { r.Warn(message, keysAndValues...) }

func (r *receiver) send(t *testing.T, body []byte, header http.Header) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = header
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.ContentLength > 0 {
		t.Errorf("the answer has a body of %d bytes", response.ContentLength)
	}
	return response.StatusCode
}

func startClerk(t *testing.T, options fakeclerk.Options) *fakeclerk.Server {
	t.Helper()
	clerk, err := fakeclerk.Start(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = clerk.Close() })
	return clerk
}

func TestOnlySignedWebhooksArePublished(t *testing.T) {
	clerk := startClerk(t, fakeclerk.Options{})
	forger := startClerk(t, fakeclerk.Options{WebhookSigningSecret: oldSecret})
	good := []byte(`{"object":"event","type":"user.deleted","timestamp":1795400000000,"data":{"id":"user_ada","object":"user","deleted":true}}`)
	now := time.Now()
	signed := func(body []byte) http.Header { return clerk.SignWebhook("msg_1", now, body) }
	with := func(name, value string) http.Header {
		header := signed(good)
		header.Set(name, value)
		return header
	}
	padded := append([]byte(nil), good...)
	padded = append(padded, bytes.Repeat([]byte(" "), clerkevent.MaxBodyBytes-len(good))...)
	long := bytes.Repeat([]byte(" "), 2<<20)

	for _, test := range []struct {
		name   string
		body   []byte
		header http.Header
		want   int
		reason clerkevent.Reason
	}{
		{"good", good, signed(good), 204, ""},
		{"as long as may be", padded, signed(padded), 204, ""},
		{"one of several signatures is good", good, with("svix-signature", "v1,bm9uZQ== v2,x "+signed(good).Get("svix-signature")), 204, ""},
		{"forged", good, forger.SignWebhook("msg_1", now, good), 400, clerkevent.ReasonInvalidSignature},
		{"unsigned", good, http.Header{}, 400, clerkevent.ReasonUnsigned},
		{"no signature", good, with("svix-signature", ""), 400, clerkevent.ReasonUnsigned},
		{"signatures without end", good, with("svix-signature", strings.Repeat("v1,x ", 1000)), 400, clerkevent.ReasonUnsigned},
		{"no id", good, with("svix-id", ""), 400, clerkevent.ReasonUnsigned},
		{"an id without end", good, with("svix-id", strings.Repeat("m", 1000)), 400, clerkevent.ReasonUnsigned},
		{"another id", good, with("svix-id", "msg_2"), 400, clerkevent.ReasonInvalidSignature},
		{"another time", good, with("svix-timestamp", fmt.Sprint(now.Unix()+1)), 400, clerkevent.ReasonInvalidSignature},
		{"no time", good, with("svix-timestamp", ""), 400, clerkevent.ReasonUnsigned},
		{"no time at all", good, with("svix-timestamp", "now"), 400, clerkevent.ReasonUnsigned},
		{"ten minutes old", good, clerk.SignWebhook("msg_1", now.Add(-10*time.Minute), good), 400, clerkevent.ReasonInvalidTimestamp},
		{"from in ten minutes", good, clerk.SignWebhook("msg_1", now.Add(10*time.Minute), good), 400, clerkevent.ReasonInvalidTimestamp},
		{"from the end of time", good, with("svix-timestamp", "9223372036854775807"), 400, clerkevent.ReasonInvalidTimestamp},
		{"truncated", good[:len(good)/2], signed(good), 400, clerkevent.ReasonInvalidSignature},
		{"altered", bytes.Replace(good, []byte("ada"), []byte("eve"), 1), signed(good), 400, clerkevent.ReasonInvalidSignature},
		{"two megabytes", long, signed(long), 413, clerkevent.ReasonTooLarge},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newReceiver(t, clerk.WebhookSigningSecret())
			got := r.send(t, test.body, test.header)
			handled := len(r.handled) == 1
			if got != test.want || handled != (test.want == 204) {
				t.Errorf("got %d, handled: %v", got, handled)
			}
			if reported := append(r.reported, ""); reported[0] != test.reason {
				t.Errorf("reported %v", r.reported)
			}
		})
	}
}

// What Clerk signed but nobody can use would come again for a day, in vain.
func TestMalformedEventsAreSkippedAndNamed(t *testing.T) {
	clerk := startClerk(t, fakeclerk.Options{})
	const at = `"timestamp":1795400000000`
	for _, test := range []struct{ name, body, eventType, id, field, fault string }{
		{"not JSON", `user.deleted`, "", "", "", "is not JSON"},
		{"a list", `[]`, "", "", "", "is of the type array"},
		{"no type", `{` + at + `,"data":{"id":"user_ada"}}`, "", "", "type", "is missing"},
		{"a type that is a number", `{"type":1,` + at + `,"data":{"id":"user_ada"}}`, "", "", "type", "is of the type number"},
		{"no time", `{"type":"user.deleted","data":{"id":"user_ada"}}`, "user.deleted", "user_ada", "timestamp", "is missing"},
		{"a time in words", `{"type":"user.deleted","data":{"id":"user_ada"},"timestamp":"today"}`, "user.deleted", "user_ada", "timestamp", "is of the type other"},
		{"a time before all", `{"type":"user.deleted","data":{"id":"user_ada"},"timestamp":-1}`, "user.deleted", "user_ada", "timestamp", "is out of range"},
		{"no data", `{"type":"user.deleted",` + at + `}`, "user.deleted", "", "data", "is not JSON"},
		{"data that are null", `{"type":"user.deleted",` + at + `,"data":null}`, "user.deleted", "", "data.id", "is missing"},
		{"data that are a list", `{"type":"user.deleted",` + at + `,"data":[]}`, "user.deleted", "", "data", "is of the type array"},
		{"a user without an id", `{"type":"user.deleted",` + at + `,"data":{}}`, "user.deleted", "", "data.id", "is missing"},
		{"an empty id", `{"type":"user.deleted",` + at + `,"data":{"id":""}}`, "user.deleted", "", "data.id", "is missing"},
		{"an id that is a number", `{"type":"user.deleted",` + at + `,"data":{"id":15}}`, "user.deleted", "15", "data.id", "is of the type number"},
		{"an id with a NUL", `{"type":"user.deleted",` + at + `,"data":{"id":"user_\u0000"}}`, "user.deleted", "", "data.id", "is not an id"},
		{"an id without end", `{"type":"user.deleted",` + at + `,"data":{"id":"user_` + strings.Repeat("x", 300) + `"}}`, "user.deleted", "", "data.id", "is not an id"},
		{"a name that is a number", `{"type":"user.updated",` + at + `,"data":{"id":"user_ada","first_name":4711}}`, "user.updated", "user_ada", "data.first_name", "is of the type number"},
		{"an address that is a number", `{"type":"user.updated",` + at + `,"data":{"id":"user_ada","email_addresses":[{"email_address":4711}]}}`, "user.updated", "user_ada", "data.email_addresses.email_address", "is of the type number"},
		{"a date out of range", `{"type":"user.updated",` + at + `,"data":{"id":"user_ada","created_at":999999999999999999}}`, "user.updated", "user_ada", "data.created_at", "is out of range"},
		{"a date beyond numbers", `{"type":"user.updated",` + at + `,"data":{"id":"user_ada","updated_at":1e999}}`, "user.updated", "user_ada", "data.updated_at", "is out of range"},
		{"a session without a user", `{"type":"session.ended",` + at + `,"data":{"id":"sess_1"}}`, "session.ended", "sess_1", "data.user_id", "is missing"},
		{"a session without an id", `{"type":"session.ended",` + at + `,"data":{"user_id":"user_ada"}}`, "session.ended", "", "data.id", "is missing"},
		{"an organization without an id", `{"type":"organization.created",` + at + `,"data":{"name":"x"}}`, "organization.created", "", "data.id", "is missing"},
		{"a membership without public_user_data", `{"type":"organizationMembership.created",` + at + `,"data":{"id":"orgmem_1","organization":{"id":"org_1"}}}`, "organizationMembership.created", "orgmem_1", "data.public_user_data.user_id", "is missing"},
		{"an invitation without its organization", `{"type":"organizationInvitation.created",` + at + `,"data":{"id":"orginv_1"}}`, "organizationInvitation.created", "orginv_1", "data.organization_id", "is missing"},
		{"a subscription without an id", `{"type":"subscription.active",` + at + `,"data":{"status":"active"}}`, "subscription.active", "", "data.id", "is missing"},
		{"another type without a time", `{"type":"email.created","data":{"id":"ema_1"}}`, "email.created", "ema_1", "timestamp", "is missing"},
		{"a membership without its organization", `{"type":"organizationMembership.created",` + at + `,"data":{"id":"orgmem_1","public_user_data":{"user_id":"user_ada"}}}`, "organizationMembership.created", "orgmem_1", "data.organization.id", "is missing"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newReceiver(t, clerk.WebhookSigningSecret())
			header := clerk.SignWebhook("msg_1", time.Now(), []byte(test.body))
			for count := range int64(2) {
				if got := r.send(t, []byte(test.body), header); got != 204 || len(r.handled) != 0 {
					t.Errorf("got %d, handled: %v", got, len(r.handled))
				}
				want := map[any]any{
					"reason": clerkevent.ReasonMalformed, "type": clerkevent.Type(test.eventType), "event": "msg_1", "id": test.id,
					"field": test.field, "fault": test.fault, "skipped": count + 1,
				}
				if !reflect.DeepEqual(r.last, want) {
					t.Errorf("logged %v, want %v", r.last, want)
				}
			}
		})
	}
}

func TestTheLogSaysByHowMuchTheTimeIsOff(t *testing.T) {
	clerk := startClerk(t, fakeclerk.Options{})
	r := newReceiver(t, clerk.WebhookSigningSecret())
	r.send(t, nil, clerk.SignWebhook("msg_1", time.Now().Add(-time.Hour), nil))
	if age := r.last["age_seconds"].(int64); age < 3600 || age > 3660 || r.last["hint"] == nil {
		t.Errorf("logged %v", r.last)
	}
	r.send(t, nil, clerk.SignWebhook("msg_1", time.Now().Add(time.Hour), nil))
	if age := r.last["age_seconds"].(int64); age > -3540 || age < -3600 {
		t.Errorf("logged %v", r.last)
	}
}

func TestEventsAreTyped(t *testing.T) {
	r := newReceiver(t, fakeSecret)
	clerk := startClerk(t, fakeclerk.Options{WebhookURL: r.url, WebhookSigningSecret: fakeSecret})
	sessionOf := func(change string) func() {
		return func() {
			token, err := clerk.SessionToken("user_ada")
			if err != nil {
				t.Error(err)
			}
			payload, _ := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
			var claims struct{ Sid string }
			_ = json.Unmarshal(payload, &claims)
			request, _ := http.NewRequest(http.MethodPost, clerk.URL()+strings.ReplaceAll(change, "{id}", claims.Sid), nil)
			request.Header.Set("Authorization", "Bearer "+clerk.SecretKey())
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Error(err)
				return
			}
			_ = response.Body.Close()
		}
	}
	for _, test := range []struct {
		eventType clerkevent.Type
		change    func()
		subject   string
		user      *clerkevent.User
	}{
		{clerkevent.UserCreated, func() {
			_, _ = clerk.AddUser(fakeclerk.User{ID: "user_new", Username: "new", FirstName: "N", LastName: "W", ExternalID: "ext_1",
				EmailAddresses: []fakeclerk.EmailAddress{{EmailAddress: "new@example.com"}}})
		}, "user_new", &clerkevent.User{ID: "user_new", ExternalID: "ext_1", PrimaryEmailAddress: "new@example.com", EmailVerified: true, Username: "new", FirstName: "N", LastName: "W"}},
		{clerkevent.UserUpdated, func() { _ = clerk.BanUser("user_new") }, "user_new",
			&clerkevent.User{ID: "user_new", ExternalID: "ext_1", PrimaryEmailAddress: "new@example.com", EmailVerified: true, Username: "new", FirstName: "N", LastName: "W", Banned: true}},
		{clerkevent.UserDeleted, func() { _ = clerk.DeleteUser("user_new") }, "user_new", &clerkevent.User{ID: "user_new", ExternalID: "ext_1"}},
		{clerkevent.UserUpdated, func() { _ = clerk.UpdateUser("user_noemail", func(*fakeclerk.User) {}) }, "user_noemail",
			&clerkevent.User{ID: "user_noemail", Username: "noemail"}},
		{clerkevent.SessionEnded, sessionOf("/fakeclerk/sessions/{id}/end"), "user_ada", nil},
		{clerkevent.SessionRevoked, sessionOf("/v1/sessions/{id}/revoke"), "user_ada", nil},
		{clerkevent.SessionRemoved, func() {
			_, _ = clerk.SendWebhook("session.removed", map[string]string{"id": "sess_1", "user_id": "user_ada"})
		}, "user_ada", nil},
		{clerkevent.OrganizationCreated, func() { _, _ = clerk.AddOrganization(fakeclerk.Organization{ID: "org_1", Name: "One"}) }, "org_1", nil},
		{clerkevent.OrganizationUpdated, func() { _, _ = clerk.UpdateOrganization("org_1", func(*fakeclerk.Organization) {}) }, "org_1", nil},
		{clerkevent.MembershipCreated, func() { _, _ = clerk.AddMembership("org_1", "user_ada", "") }, "org_1", nil},
		{clerkevent.MembershipUpdated, func() { _, _ = clerk.UpdateMembership("org_1", "user_ada", "org:admin") }, "org_1", nil},
		{clerkevent.MembershipDeleted, func() {
			_, _ = clerk.AddMembership("org_analytical", "user_noemail", "")
			next(t, r.handled)
			_, _ = clerk.RemoveMembership("org_analytical", "user_noemail")
		}, "org_analytical", nil},
		{clerkevent.OrganizationDeleted, func() { _ = clerk.DeleteOrganization("org_1") }, "org_1", nil},
	} {
		t.Run(string(test.eventType), func(t *testing.T) {
			test.change()
			e := next(t, r.handled)
			if e.Type != test.eventType || e.Subject != test.subject || !strings.HasPrefix(e.ID, "msg_") || time.Since(e.At).Abs() > time.Minute || e.InstanceID != "ins_fakeclerk" {
				t.Errorf("%+v", e)
			}
			if e.User != nil {
				known := *e.User
				known.CreatedAt, known.UpdatedAt, known.PublicMetadata = time.Time{}, time.Time{}, nil
				e.User = &known
			}
			if diff := cmp.Diff(test.user, e.User); diff != "" {
				t.Error("-want +got\n", diff)
			}
			family, _, _ := strings.Cut(string(test.eventType), ".")
			if (e.User != nil) != (family == "user") || (e.Session != nil) != (family == "session") ||
				(e.Organization != nil) != (family == "organization") || (e.Membership != nil) != (family == "organizationMembership") {
				t.Errorf("%+v", e)
			}
			if m := e.Membership; m != nil && (m.ID == "" || m.OrganizationID != test.subject || m.UserID == "" || m.Role == "") {
				t.Errorf("%+v", m)
			}
			if s := e.Session; s != nil && (s.ID == "" || s.UserID != test.subject) {
				t.Errorf("%+v", s)
			}
		})
	}
	if len(r.reported) != 0 {
		t.Errorf("reported %v", r.reported)
	}
}

// TestDatesInSeconds sends an event whose dates are in seconds, as in some of
// Clerk's published examples.
func TestDatesInSeconds(t *testing.T) {
	r := newReceiver(t, fakeSecret)
	clerk := startClerk(t, fakeclerk.Options{WebhookSigningSecret: fakeSecret})
	body := []byte(`{"type":"user.created","timestamp":1654012591,"data":{"id":"user_ada","created_at":1654012590,"updated_at":1654012591514}}`)
	if status := r.send(t, body, clerk.SignWebhook("msg_1", time.Now(), body)); status != http.StatusNoContent {
		t.Fatal(status)
	}
	e := next(t, r.handled)
	at := time.Date(2022, 5, 31, 15, 56, 31, 0, time.UTC)
	if !e.At.Equal(at) || !e.User.CreatedAt.Equal(at.Add(-time.Second)) || !e.User.UpdatedAt.Equal(at.Add(514*time.Millisecond)) {
		t.Errorf("%v, created %v, updated %v", e.At, e.User.CreatedAt, e.User.UpdatedAt)
	}
}

func next(t *testing.T, handled <-chan *clerkevent.Event) *clerkevent.Event {
	t.Helper()
	select {
	case e := <-handled:
		return e
	case <-time.After(10 * time.Second):
		t.Fatal("no event was handled")
		return nil
	}
}

const fakeSecret = "whsec_ZmFrZWNsZXJrIHdlYmhvb2sgc2VjcmV0"

func TestEveryTypeComesWithItsPayload(t *testing.T) {
	r := newReceiver(t, fakeSecret)
	clerk := startClerk(t, fakeclerk.Options{})
	for _, test := range []struct{ eventType, data, subject string }{
		{"email.created", `{"id": 5, "to_email_address":"ada@example.com"}`, "5"},
		{"waitlistEntry.created", `{"id":"wle_1"}`, "wle_1"},
		{"something.new", `[1]`, ""},
		{"user.deleted", `{"id":"user_ada","deleted":true}`, "user_ada"},
	} {
		body := []byte(`{"type":"` + test.eventType + `","timestamp":1795400000000,"data":` + test.data + `}`)
		if got := r.send(t, body, clerk.SignWebhook("msg_1", time.Now(), body)); got != 204 || len(r.reported) != 0 {
			t.Errorf("%s: got %d, reported %v", test.eventType, got, r.reported)
		}
		if e := next(t, r.handled); string(e.Type) != test.eventType || string(e.Data) != test.data || e.Subject != test.subject {
			t.Errorf("%s: got %+v, data %s", test.eventType, e, e.Data)
		}
	}
}

func TestEventThatIsNotTakenIsSentAgain(t *testing.T) {
	failed := make(chan struct{}, 10)
	broken, handled := true, make(chan *clerkevent.Event, 10)
	handler, err := clerkevent.NewReceiver(fakeSecret, func(_ context.Context, e *clerkevent.Event) error {
		if broken {
			broken = false
			failed <- struct{}{}
			return errors.New("no database")
		}
		handled <- e
		return nil
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	defer server.Close()
	clerk := startClerk(t, fakeclerk.Options{WebhookURL: server.URL, WebhookRetries: []time.Duration{time.Millisecond}})
	id, err := clerk.SendWebhook("user.deleted", map[string]string{"id": "user_ada"})
	if err != nil {
		t.Fatal(err)
	}
	<-failed
	if e := next(t, handled); e.ID != id {
		t.Errorf("%+v", e)
	}
	if first := clerk.Webhooks()[0].Attempts[0].Status; first != 503 {
		t.Errorf("first answer %d", first)
	}
}

func TestSigningSecrets(t *testing.T) {
	clerk := startClerk(t, fakeclerk.Options{WebhookSigningSecret: oldSecret})
	body := []byte(`{"type":"user.deleted","timestamp":1795400000000,"data":{"id":"user_ada"}}`)
	for _, test := range []struct {
		name, secrets string
		want          int
	}{
		{"none", "", 500},
		{"only commas", " , ", 500},
		{"the one", oldSecret, 204},
		{"the old one and the new one", fakeSecret + "," + oldSecret, 204},
		{"with white space", "\n" + fakeSecret + ", " + oldSecret + "\n", 204},
		{"Windows' line ends", fakeSecret + "\r\n" + oldSecret + "\r\n", 204},
		{"none", "none", 500},
		{"None and a line feed", "None\n", 500},
		{"another", fakeSecret, 400},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := newReceiver(t, test.secrets).send(t, body, clerk.SignWebhook("msg_1", time.Now(), body)); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
	rest := strings.TrimPrefix(oldSecret, "whsec_")
	for secrets, says := range map[string]string{
		"whsec_c2hvcnQ=":                     "incomplete",
		oldSecret[:len(oldSecret)-3]:         "incomplete",
		"whsec_???":                          "incomplete",
		"whsec_…":                            "ASCII",
		rest:                                 "does not begin",
		"sk_test_" + rest:                    "is a secret key",
		"pk_test_" + rest:                    "publishable key",
		"https://example.com/webhooks/clerk": "is a URL",
		`"` + oldSecret + `"`:                "quotes",
		"\ufeff" + oldSecret:                 "byte order mark",
		"CLERK_WEBHOOK_SIGNING_SECRET=" + oldSecret: "NAME=value",
		oldSecret + "\x00":                          "control character",
		oldSecret + ",x":                            "signing secret 2",
		"none," + oldSecret:                         "signing secret 1",
	} {
		_, err := clerkevent.NewReceiver(secrets, nil, nil)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), rest[:8]) {
			t.Errorf("%q: %v, want %q", secrets, err, says)
		}
	}
}

func FuzzReceiver(f *testing.F) {
	handler, err := clerkevent.NewReceiver(fakeSecret, func(_ context.Context, e *clerkevent.Event) error {
		decoded := e.User != nil || e.Session != nil || e.Organization != nil || e.Membership != nil
		if e.ID == "" || e.At.IsZero() || decoded && e.Subject == "" {
			return fmt.Errorf("incomplete: %+v", e)
		}
		return nil
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		f.Fatal(err)
	}
	signer, err := standardwebhooks.NewWebhook(fakeSecret)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(`{"type":"user.created","timestamp":1795400000000,"data":{"id":"user_ada","email_addresses":[{"id":"idn_1","email_address":"a@example.com"}],"primary_email_address_id":"idn_1"}}`)
	f.Add(`{"type":"session.ended","timestamp":1795400000000,"data":{"id":"sess_1","user_id":"user_ada"}}`)
	f.Add(`{"type":"organizationMembership.deleted","timestamp":1795400000000,"data":{"id":"orgmem_1","organization":null}}`)
	f.Add(`{"type":"unknown","timestamp":1}`)
	f.Fuzz(func(t *testing.T, body string) {
		now := time.Now()
		signature, err := signer.Sign("msg_1", now, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		request := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		request.Header.Set("svix-id", "msg_1")
		request.Header.Set("svix-timestamp", fmt.Sprint(now.Unix()))
		request.Header.Set("svix-signature", signature)
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		if recorder.Code != 204 {
			t.Errorf("got %d", recorder.Code)
		}
	})
}

// told is a Target that records what it is told.
type told []string

func (r *told) UserUpdated(_ context.Context, u *clerkauth.UserRecord) error {
	*r = append(*r, fmt.Sprintf("updated %s %s verified:%v banned:%v %d", u.ID, u.PrimaryEmail, u.EmailVerified, u.Banned, u.UpdatedAt.Unix()))
	return nil
}

func (r *told) UserDeleted(_ context.Context, id string, at time.Time) error {
	*r = append(*r, fmt.Sprint("deleted ", id, at.Unix()))
	return nil
}

func (r *told) MembershipChanged(_ context.Context, m *clerkauth.MembershipRecord) error {
	*r = append(*r, fmt.Sprint("member ", m.UserID, " ", m.OrganizationID, " ", m.Role, m.UpdatedAt.Unix()))
	return nil
}

func (r *told) SessionEnded(_ context.Context, id string, at time.Time) error {
	*r = append(*r, fmt.Sprint("ended ", id, at.Unix()))
	return nil
}

func TestTell(t *testing.T) {
	user := func(banned bool, updated int64) *clerkevent.User {
		u := &clerkevent.User{ID: "user_1", PrimaryEmailAddress: "a@example.com", EmailVerified: true, Banned: banned}
		if updated != 0 {
			u.UpdatedAt = time.Unix(updated, 0)
		}
		return u
	}
	session := &clerkevent.Session{ID: "sess_", UserID: "user_"}
	for _, test := range []struct {
		event clerkevent.Event
		want  string
	}{
		{clerkevent.Event{Type: clerkevent.UserCreated, User: user(false, 5)}, "updated user_1 a@example.com verified:true banned:false 5"},
		{clerkevent.Event{Type: clerkevent.UserUpdated, User: user(true, 6)}, "updated user_1 a@example.com verified:true banned:true 7"},
		{clerkevent.Event{Type: clerkevent.UserUpdated, User: user(true, 0)}, "updated user_1 a@example.com verified:true banned:true 7"},
		{clerkevent.Event{Type: clerkevent.UserDeleted, User: &clerkevent.User{ID: "user_"}}, "deleted user_7"},
		{clerkevent.Event{Type: clerkevent.SessionCreated, Session: session}, ""},
		{clerkevent.Event{Type: "email.created"}, ""},
		{clerkevent.Event{Type: clerkevent.SessionEnded, Session: session}, "ended sess_7"},
		{clerkevent.Event{Type: clerkevent.SessionRemoved, Session: session}, "ended sess_7"},
		{clerkevent.Event{Type: clerkevent.SessionRevoked, Session: session}, "ended sess_7"},
		{clerkevent.Event{Type: clerkevent.OrganizationDeleted, Organization: &clerkevent.Organization{ID: "org_"}}, "member  org_ 7"},
		{clerkevent.Event{Type: clerkevent.MembershipUpdated, Membership: &clerkevent.Membership{UserID: "user_1", OrganizationID: "org_1", Role: "org:admin"}}, "member user_1 org_1 org:admin7"},
		{clerkevent.Event{Type: clerkevent.MembershipDeleted, Membership: &clerkevent.Membership{UserID: "user_1", OrganizationID: "org_1", Role: "org:admin"}}, "member user_1 org_1 7"},
	} {
		var r told
		test.event.At = time.Unix(7, 0)
		if err := test.event.Tell(t.Context(), &r); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(r, ", "); got != test.want {
			t.Errorf("%s: %q, want %q", test.event.Type, got, test.want)
		}
	}
}
