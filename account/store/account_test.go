package store

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"encore.dev/beta/errs"

	"encore.app/auth/clerkauth"
	"encore.app/webhooks/clerkevent"
)

func ada() *clerkauth.Caller {
	return &clerkauth.Caller{UserID: "user_ada", Email: "ada@example.com", EmailVerified: true}
}

func TestAccount(t *testing.T) {
	s, _ := newStore(t, nil)
	account := func(caller *clerkauth.Caller) Account {
		t.Helper()
		a, err := s.Account(t.Context(), caller)
		if err != nil {
			t.Fatal(codeOf(err))
		}
		return *a
	}
	unsaved := Settings{Theme: "system"}
	want := Account{UserID: "user_ada", Email: "ada@example.com", EmailVerified: true, PublicMetadata: noMetadata, Settings: unsaved}
	for range 2 { // stored, then read
		if got := account(ada()); !reflect.DeepEqual(got, want) {
			t.Errorf("before any event: %+v", got)
		}
	}
	changed := ada()
	changed.Email, changed.EmailVerified = "countess@example.com", false
	want.Email, want.EmailVerified = changed.Email, false
	if got := account(changed); !reflect.DeepEqual(got, want) {
		t.Errorf("with another address in the token, before any event: %+v", got)
	}

	created := userEvent("Ada", clerkevent.UserCreated, 1, func(u *clerkevent.User) { u.PrimaryEmailAddress = "lovelace@example.com" })
	if err := s.Apply(t.Context(), created); err != nil {
		t.Fatal(codeOf(err))
	}
	want = Account{UserID: "user_ada", Email: "lovelace@example.com", FirstName: "Ada", PublicMetadata: noMetadata, Settings: unsaved}
	if got := account(ada()); !reflect.DeepEqual(got, want) {
		t.Errorf("after the event, whose address counts: %+v", got)
	}

	if err := s.Apply(t.Context(), userEvent("deleted", clerkevent.UserDeleted, 2, nil)); err != nil {
		t.Fatal(codeOf(err))
	}
	if _, err := s.Account(t.Context(), ada()); codeOf(err) != errs.NotFound {
		t.Errorf("deleted: %v", codeOf(err))
	}
	if _, err := s.SaveSettings(t.Context(), ada(), &Settings{Theme: "system"}); codeOf(err) != errs.NotFound {
		t.Errorf("settings of a deleted user: %v", codeOf(err))
	}
	if _, err := s.Account(t.Context(), &clerkauth.Caller{}); codeOf(err) != errs.PermissionDenied {
		t.Errorf("nobody: %v", codeOf(err))
	}
}

// TestOlderToken has two tokens in use whose address differs, before Clerk has
// described the user: the token that was issued later counts, whichever comes last.
func TestOlderToken(t *testing.T) {
	s, _ := newStore(t, nil)
	for i, step := range []struct {
		email  string
		issued int
		want   string
	}{
		{"a@example.com", 1, "a@example.com"},
		{"b@example.com", 2, "b@example.com"},
		{"a@example.com", 1, "b@example.com"},
		{"b@example.com", 5, "b@example.com"},
		{"c@example.com", 4, "b@example.com"},
		{"c@example.com", 6, "c@example.com"},
	} {
		caller := &clerkauth.Caller{UserID: "user_ada", Email: step.email, IssuedAt: at(step.issued)}
		if got, err := s.Account(t.Context(), caller); err != nil || got.Email != step.want {
			t.Errorf("step %d: %+v, %v", i, got, codeOf(err))
		}
	}
}

// TestAccountOfAMember describes a user who was stored with a membership.
func TestAccountOfAMember(t *testing.T) {
	s, _ := newStore(t, nil)
	if err := s.Apply(t.Context(), joined("org_1", "user_ada", 1)); err != nil {
		t.Fatal(codeOf(err))
	}
	a, err := s.Account(t.Context(), ada())
	if err != nil || a.Email != "ada@example.com" {
		t.Errorf("%+v, %v", a, codeOf(err))
	}
}

func TestSettings(t *testing.T) {
	s, _ := newStore(t, nil)
	save := func(settings Settings) (Settings, errs.ErrCode) {
		saved, err := s.SaveSettings(t.Context(), ada(), &settings)
		if err != nil {
			return Settings{}, codeOf(err)
		}
		return *saved, errs.OK
	}
	first := Settings{DisplayName: " Ada, Countess of Lovelace ", Locale: "en_gb", TimeZone: "Europe/London", Theme: "dark"}
	want := Settings{Version: 1, DisplayName: "Ada, Countess of Lovelace", Locale: "en-GB", TimeZone: "Europe/London", Theme: "dark"}
	if got, code := save(first); code != errs.OK || got != want {
		t.Errorf("the first: %+v, %v", got, code)
	}
	if _, code := save(first); code != errs.Aborted {
		t.Errorf("again as the first: %v", code)
	}
	if got, code := save(Settings{Version: 1, Theme: "system"}); code != errs.OK || got != (Settings{Version: 2, Theme: "system"}) {
		t.Errorf("the second: %+v, %v", got, code)
	}
	for _, version := range []int{0, 1, 3} {
		if _, code := save(Settings{Version: version, Theme: "system"}); code != errs.Aborted {
			t.Errorf("version %d: %v", version, code)
		}
	}
	a, err := s.Account(t.Context(), ada())
	if err != nil || a.Settings != (Settings{Version: 2, Theme: "system"}) {
		t.Errorf("%+v, %v", a, codeOf(err))
	}
	if _, err := s.SaveSettings(t.Context(), &clerkauth.Caller{UserID: "user_grace"}, &Settings{Version: 1, Theme: "system"}); codeOf(err) != errs.Aborted {
		t.Errorf("a version of settings that were never saved: %v", codeOf(err))
	}
}

// TestSettingsOfTwoTabs lets one of two changes of the same version win.
func TestSettingsOfTwoTabs(t *testing.T) {
	s, _ := newStore(t, nil)
	for version := range 5 {
		codes := make(chan errs.ErrCode)
		for range 4 {
			go func() {
				_, err := s.SaveSettings(t.Context(), ada(), &Settings{Version: version, Theme: "system"})
				codes <- codeOf(err)
			}()
		}
		saved := 0
		for range 4 {
			if code := <-codes; code == errs.OK {
				saved++
			} else if code != errs.Aborted {
				t.Error(code)
			}
		}
		if saved != 1 {
			t.Errorf("version %d: %d were saved", version, saved)
		}
	}
}

func TestSettingsAreValidated(t *testing.T) {
	for name, test := range map[string]struct {
		settings Settings
		valid    bool
	}{
		"100 characters":               {Settings{DisplayName: strings.Repeat("é", 100), Theme: "dark"}, true},
		"101 characters":               {Settings{DisplayName: strings.Repeat("é", 101), Theme: "dark"}, false},
		"a line break":                 {Settings{DisplayName: "Ada\nLovelace", Theme: "dark"}, false},
		"a NUL":                        {Settings{DisplayName: "Ada\x00", Theme: "dark"}, false},
		"not UTF-8":                    {Settings{DisplayName: "Ada\xff", Theme: "dark"}, false},
		"a script":                     {Settings{Locale: "zh-Hant-TW", Theme: "dark"}, true},
		"no language":                  {Settings{Locale: "english please", Theme: "dark"}, false},
		"a long language":              {Settings{Locale: "en-" + strings.Repeat("abcdefgh-", 8) + "x", Theme: "dark"}, false},
		"the time zone UTC":            {Settings{TimeZone: "UTC", Theme: "dark"}, true},
		"the time zone of the machine": {Settings{TimeZone: "Local", Theme: "dark"}, false},
		"a file":                       {Settings{TimeZone: "../../etc/passwd", Theme: "dark"}, false},
		"a place without a zone":       {Settings{TimeZone: "Europe/Atlantis", Theme: "dark"}, false},
		"a light theme":                {Settings{Theme: "light"}, true},
		"a loud theme":                 {Settings{Theme: "loud"}, false},
		"no theme":                     {Settings{DisplayName: "Ada"}, false},
		"a negative version":           {Settings{Version: -1, Theme: "dark"}, false},
		"a huge version":               {Settings{Version: 1 << 40, Theme: "dark"}, false},
	} {
		if _, err := test.settings.validate(); (err == nil) != test.valid || err != nil && codeOf(err) != errs.InvalidArgument {
			t.Errorf("%s: %v", name, codeOf(err))
		}
	}
}

// TestInvalidSettingsAreNamedTogether: a form shows each problem at its field.
func TestInvalidSettingsAreNamedTogether(t *testing.T) {
	_, err := Settings{DisplayName: "a\nb", Locale: "english please", TimeZone: "Local", Theme: "dark"}.validate()
	refused, ok := err.(*errs.Error)
	if !ok {
		t.Fatal("no error")
	}
	details, err := json.Marshal(refused.Details)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"fields":{"displayName":"must be at most 100 characters, without control characters",` +
		`"locale":"must be a BCP 47 language tag such as de-CH",` +
		`"timeZone":"must be a name of the IANA time zone database such as Europe/Zurich"}}`
	if string(details) != want {
		t.Errorf("details: %s, want %s", details, want)
	}
	for _, field := range []string{"displayName must", "; locale must", "; timeZone must"} {
		if !strings.Contains(refused.Message, field) {
			t.Errorf("message: %s", refused.Message)
		}
	}
}

func TestUsersExportErase(t *testing.T) {
	s, _ := newStore(t, nil)
	ctx := t.Context()
	created := userEvent("Ada", clerkevent.UserCreated, 1, func(u *clerkevent.User) {
		u.ExternalID, u.PublicMetadata = "ext_1", json.RawMessage(`{"role":"admin"}`)
	})
	for _, e := range []*clerkevent.Event{created, joined("org_1", "user_ada", 2)} {
		if err := s.Apply(ctx, e); err != nil {
			t.Fatal(codeOf(err))
		}
	}
	if _, err := s.SaveSettings(ctx, ada(), &Settings{DisplayName: "Countess", Theme: "system"}); err != nil {
		t.Fatal(codeOf(err))
	}
	users, err := s.Users(ctx, &UserIDs{IDs: []string{"user_ada", "user_nobody", "user_\x00"}})
	want := User{ID: "user_ada", FirstName: "Ada", ExternalID: "ext_1", DisplayName: "Countess", PublicMetadata: json.RawMessage(`{"role": "admin"}`)}
	if err != nil || len(users.Users) != 1 || !reflect.DeepEqual(*users.Users[0], want) {
		t.Errorf("users: %+v, %v", users, codeOf(err))
	}
	if _, err := s.Users(ctx, &UserIDs{IDs: make([]string, 101)}); codeOf(err) != errs.InvalidArgument {
		t.Errorf("101 users: %v", codeOf(err))
	}
	export, err := s.Export(ctx, "user_ada")
	if err != nil || !reflect.DeepEqual(export.User, want) || export.Settings == nil || export.Settings.DisplayName != "Countess" ||
		len(export.Memberships) != 1 || len(export.Events) != 1 || export.DeletedAt != nil {
		t.Errorf("export: %+v, %v", export, codeOf(err))
	}
	if _, err := s.Export(ctx, "user_nobody"); codeOf(err) != errs.NotFound {
		t.Errorf("export of nobody: %v", codeOf(err))
	}

	for range 2 {
		if err := s.Erase(ctx, "user_ada"); err != nil {
			t.Fatal(codeOf(err))
		}
	}
	// Nothing brings the user back.
	late := userEvent("late", clerkevent.UserUpdated, 9, nil)
	for _, e := range []*clerkevent.Event{created, late, joined("org_1", "user_ada", 9)} {
		if err := s.Apply(ctx, e); err != nil {
			t.Fatal(codeOf(err))
		}
	}
	export, err = s.Export(ctx, "user_ada")
	if err != nil || export.DeletedAt == nil || !reflect.DeepEqual(export.User, User{ID: "user_ada", PublicMetadata: noMetadata}) || export.Settings != nil || len(export.Memberships) != 0 {
		t.Errorf("erased: %+v, %v", export, codeOf(err))
	}
	if users, err := s.Users(ctx, &UserIDs{IDs: []string{"user_ada"}}); err != nil || len(users.Users) != 0 {
		t.Errorf("users: %+v, %v", users, codeOf(err))
	}
	found, err := collect[string](ctx, s.pool, inconsistencies)
	if err != nil || len(found) > 0 {
		t.Errorf("%v, %v", found, err)
	}
}

func TestWithoutADatabase(t *testing.T) {
	var s *Store
	if _, err := s.Account(t.Context(), ada()); codeOf(err) != errs.Unavailable || !strings.Contains(err.(*errs.Error).Message, "-database") {
		t.Errorf("%v", codeOf(err))
	}
	if err := s.Apply(t.Context(), joined("org_1", "user_ada", 1)); err != nil {
		t.Error("an event would come again and again")
	}
	s.Close()
	if _, err := Open("postgres://ada:secret@%zz", nil); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
}
