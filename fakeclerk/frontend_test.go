package fakeclerk_test

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"encore.app/fakeclerk"
)

// browser asks the Frontend API as Clerk's JavaScript does: GET and POST only, with forms, and with its dev browser
// in the query.
type browser struct {
	t          testing.TB
	server     *fakeclerk.Server
	origin     string
	devBrowser string
}

func newBrowser(t testing.TB, s *fakeclerk.Server, origin string) *browser {
	t.Helper()
	b := &browser{t: t, server: s, origin: origin}
	b.devBrowser, _ = b.ask("POST /v1/dev_browser", nil).json["id"].(string)
	if b.devBrowser == "" {
		t.Fatal("no dev browser")
	}
	return b
}

func (b *browser) ask(route string, form url.Values) answer {
	b.t.Helper()
	method, path, _ := strings.Cut(route, " ")
	query := url.Values{"__clerk_db_jwt": {b.devBrowser}}
	if method != http.MethodGet && method != http.MethodPost {
		query.Set("_method", method)
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.server.URL()+path+"?"+query.Encode(), strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if b.origin != "" {
		r.Header.Set("Origin", b.origin)
	}
	a, err := send(r)
	if err != nil {
		b.t.Fatal(err)
	}
	return a
}

func (b *browser) signIn(ticket string) answer {
	b.t.Helper()
	return b.ask("POST /v1/client/sign_ins", url.Values{"strategy": {"ticket"}, "ticket": {ticket}})
}

// signedIn is a browser in which the user is signed in.
func signedIn(t testing.TB, s *fakeclerk.Server, userID, origin string) (b *browser, sessionID string) {
	t.Helper()
	b = newBrowser(t, s, origin)
	a := b.signIn(ticket(t, s, userID))
	sessionID, _ = object(a.json, "response")["created_session_id"].(string)
	if a.status != http.StatusOK || sessionID == "" {
		t.Fatalf("sign in: %d %s", a.status, a.body)
	}
	return b, sessionID
}

func ticket(t testing.TB, s *fakeclerk.Server, userID string) string {
	t.Helper()
	a := call(t, s, "GET /ticket?user_id="+userID, "")
	if a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	return a.body
}

// object follows names into nested objects, and into the first element of a list.
func object(from map[string]any, names ...string) map[string]any {
	for _, name := range names {
		value := from[name]
		if list, ok := value.([]any); ok && len(list) > 0 {
			value = list[0]
		}
		from, _ = value.(map[string]any)
	}
	return from
}

func claims(t testing.TB, a answer) map[string]any {
	t.Helper()
	jwt, ok := a.json["jwt"].(string)
	if !ok {
		t.Fatalf("no token: %d %s", a.status, a.body)
	}
	_, claims := decode(t, jwt)
	return claims
}

const pageOrigin = "https://app.example.com"

func TestPublishableKeyIsOneOfADevelopmentInstance(t *testing.T) {
	key := start(t, fakeclerk.Options{Issuer: "https://clerk.example.com"}).PublishableKey()
	encoded, ok := strings.CutPrefix(key, "pk_test_")
	host, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil || !strings.HasSuffix(string(host), ".clerk.accounts.dev$") {
		t.Errorf("key %s: %s, %v", key, host, err)
	}
}

func TestATicketSignsInAndTokensNameTheOriginThatAsks(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	b, sessionID := signedIn(t, s, "user_ada", pageOrigin)

	got := claims(t, b.ask("POST /v1/client/sessions/"+sessionID+"/tokens", nil))
	for name, want := range map[string]any{"azp": pageOrigin, "sub": "user_ada", "sid": sessionID, "sts": "active"} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	b.origin = "" // a native app
	if got := claims(t, b.ask("POST /v1/client/sessions/"+sessionID+"/tokens", nil)); got["azp"] != nil {
		t.Errorf("azp without an origin: %v", got["azp"])
	}
}

func TestTheClientIsKeptAcrossReloads(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	b := newBrowser(t, s, pageOrigin)
	if a := b.ask("GET /v1/client", nil); a.status != http.StatusOK || a.json["response"] != nil {
		t.Errorf("signed out: %d %s", a.status, a.body)
	}
	a := b.signIn(ticket(t, s, "user_ada"))
	piggybacked := object(a.json, "client")
	if piggybacked == nil {
		t.Fatalf("no client with the answer: %s", a.body)
	}
	reloaded := object(b.ask("GET /v1/client", nil).json, "response")
	if reloaded["id"] != piggybacked["id"] || reloaded["last_active_session_id"] == nil {
		t.Errorf("client %v, was %v", reloaded, piggybacked)
	}
	session := object(reloaded, "sessions")
	if session["client_id"] != reloaded["id"] || object(session, "user")["id"] != "user_ada" {
		t.Errorf("session %v", session)
	}
	_, got := decode(t, object(session, "last_active_token")["jwt"].(string))
	if got["azp"] != pageOrigin {
		t.Errorf("azp of the token that comes with the client: %v", got["azp"])
	}
}

func TestWhatIsPrivateToTheBackendStaysThere(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	err := s.UpdateUser("user_ada", func(user *fakeclerk.User) { user.PrivateMetadata = map[string]any{"plan": "hush"} })
	if err != nil {
		t.Fatal(err)
	}
	b, _ := signedIn(t, s, "user_ada", pageOrigin)
	if a := b.ask("GET /v1/client", nil); strings.Contains(a.body, "hush") {
		t.Errorf("client: %s", a.body)
	}
}

func TestTicketsThatAreRefused(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	used := ticket(t, s, "user_grace")
	newBrowser(t, s, pageOrigin).signIn(used)
	for _, test := range []struct {
		name   string
		form   url.Values
		status int
		code   string
	}{
		{"unknown", url.Values{"strategy": {"ticket"}, "ticket": {"x"}}, http.StatusUnprocessableEntity, "ticket_invalid_code"},
		{"used", url.Values{"strategy": {"ticket"}, "ticket": {used}}, http.StatusUnprocessableEntity, "ticket_invalid_code"},
		{"of a banned user", url.Values{"strategy": {"ticket"}, "ticket": {ticket(t, s, "user_banned")}}, http.StatusForbidden, "user_banned"},
		{"none", url.Values{"strategy": {"password"}}, http.StatusUnprocessableEntity, "form_param_value_invalid"},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := newBrowser(t, s, pageOrigin).ask("POST /v1/client/sign_ins", test.form)
			if a.status != test.status || a.errorCode() != test.code {
				t.Errorf("%d %s", a.status, a.body)
			}
			if a.header.Get("Access-Control-Allow-Origin") != pageOrigin {
				t.Error("the page cannot read the error")
			}
		})
	}
}

func TestTicketsAsPlainText(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	for query, want := range map[string]int{"email=ADA@example.com": http.StatusOK, "user_id=user_noemail": http.StatusOK, "email=x": http.StatusNotFound} {
		response, err := http.Get(s.URL() + "/ticket?" + query)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != want {
			t.Errorf("%s: %d %s, %v", query, response.StatusCode, body, err)
		}
		if want == http.StatusOK {
			if a := newBrowser(t, s, pageOrigin).signIn(string(body)); a.status != http.StatusOK {
				t.Errorf("%s: sign in: %d %s", query, a.status, a.body)
			}
		}
	}
}

func TestWhatEndsASession(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *fakeclerk.Server, *browser, string) error{
		"signing out": func(t *testing.T, _ *fakeclerk.Server, b *browser, _ string) error {
			if a := b.ask("DELETE /v1/client/sessions", nil); a.status != http.StatusOK {
				t.Errorf("sign out: %d %s", a.status, a.body)
			}
			return nil
		},
		"ending it": func(t *testing.T, _ *fakeclerk.Server, b *browser, id string) error {
			if a := b.ask("POST /v1/client/sessions/"+id+"/end", nil); a.status != http.StatusOK {
				t.Errorf("end: %d %s", a.status, a.body)
			}
			return nil
		},
		"an admin": func(t *testing.T, s *fakeclerk.Server, _ *browser, id string) error {
			call(t, s, "POST /fakeclerk/sessions/"+id+"/end", "")
			return nil
		},
		"a ban":    func(t *testing.T, s *fakeclerk.Server, _ *browser, _ string) error { return s.BanUser("user_ada") },
		"deletion": func(t *testing.T, s *fakeclerk.Server, _ *browser, _ string) error { return s.DeleteUser("user_ada") },
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, fakeclerk.Options{})
			b, sessionID := signedIn(t, s, "user_ada", pageOrigin)
			if err := end(t, s, b, sessionID); err != nil {
				t.Fatal(err)
			}
			if a := b.ask("POST /v1/client/sessions/"+sessionID+"/tokens", nil); a.status != http.StatusUnauthorized {
				t.Errorf("token: %d %s", a.status, a.body)
			}
			if a := b.ask("GET /v1/client", nil); a.status != http.StatusOK || a.json["response"] != nil {
				t.Errorf("client: %d %s", a.status, a.body)
			}
			if a := call(t, s, "GET /v1/sessions/"+sessionID, ""); a.json["status"] == fakeclerk.SessionActive {
				t.Errorf("session: %s", a.body)
			}
		})
	}
}

func TestABrowserCannotUseTheSessionOfAnother(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	_, sessionID := signedIn(t, s, "user_ada", pageOrigin)
	other, _ := signedIn(t, s, "user_grace", pageOrigin)
	if a := other.ask("POST /v1/client/sessions/"+sessionID+"/tokens", nil); a.status != http.StatusUnauthorized {
		t.Errorf("token: %d %s", a.status, a.body)
	}
}

func TestABrowserFromBeforeARestartIsToldToStartAnew(t *testing.T) {
	b := newBrowser(t, start(t, fakeclerk.Options{}), pageOrigin)
	b.devBrowser = "dvb_from_before"
	if a := b.ask("GET /v1/client", nil); a.status != http.StatusUnauthorized || a.errorCode() != "dev_browser_unauthenticated" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestTheActiveOrganization(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	b, sessionID := signedIn(t, s, "user_grace", pageOrigin)
	path := "/v1/client/sessions/" + sessionID
	activate := func(id string) answer {
		return b.ask("POST "+path+"/touch", url.Values{"active_organization_id": {id}})
	}
	active := func() map[string]any { return object(claims(t, b.ask("POST "+path+"/tokens", nil)), "o") }

	if o := active(); o != nil {
		t.Errorf("at first: %v", o)
	}
	if a := activate("org_analytical"); object(a.json, "response")["last_active_organization_id"] != "org_analytical" {
		t.Errorf("touch: %d %s", a.status, a.body)
	}
	if o := active(); o["id"] != "org_analytical" || o["rol"] != "member" {
		t.Errorf("activated: %v", o)
	}
	if a := activate("org_other"); a.status != http.StatusNotFound {
		t.Errorf("an organization of others: %d %s", a.status, a.body)
	}
	if a := b.ask("POST "+path+"/tokens", url.Values{"organization_id": {""}}); object(claims(t, a), "o") != nil {
		t.Error("a token for the personal workspace names an organization")
	}
	activate("")
	if o := active(); o != nil {
		t.Errorf("left: %v", o)
	}
}

func TestAnyOriginMayAskAndNoKeyIsNeeded(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	b := newBrowser(t, s, pageOrigin)
	for _, route := range []string{"GET /v1/environment", "PATCH /v1/environment", "GET /v1/client", "PUT /v1/client"} {
		a := b.ask(route, nil)
		if a.status != http.StatusOK || a.header.Get("Access-Control-Allow-Origin") != pageOrigin || a.header.Get("Access-Control-Allow-Credentials") != "true" {
			t.Errorf("%s: %d %v", route, a.status, a.header)
		}
	}
	r := request(t, s, "OPTIONS /v1/client", "")
	r.Header.Set("Origin", pageOrigin)
	r.Header.Set("Access-Control-Request-Method", "POST")
	r.Header.Set("Access-Control-Request-Headers", "authorization")
	a, err := send(r)
	if err != nil {
		t.Fatal(err)
	}
	if a.status != http.StatusNoContent || a.header.Get("Access-Control-Allow-Headers") != "authorization" {
		t.Errorf("preflight: %d %v", a.status, a.header)
	}
	if s.TotalRequests() != 0 {
		t.Errorf("%d requests count as the Backend API's", s.TotalRequests())
	}
	// The Backend API is not for pages.
	r = request(t, s, "GET /v1/users", "")
	r.Header.Set("Origin", pageOrigin)
	if a, err := send(r); err != nil || a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("Backend API: %v, %v", a.header, err)
	}
}
