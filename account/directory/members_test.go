package directory

import (
	"fmt"
	"strings"
	"testing"

	"encore.dev/beta/errs"

	"encore.app/auth/clerkauth"
	"encore.app/webhooks/clerkevent"
)

// joined is the event of a user who joined an organization in some minute.
func joined(organizationID, userID string, minute int) *clerkevent.Event {
	return &clerkevent.Event{
		ID: fmt.Sprint("msg_", organizationID, userID, minute), Type: clerkevent.MembershipCreated, At: at(minute),
		Membership: &clerkevent.Membership{
			ID: fmt.Sprint("orgmem_", organizationID, userID, minute), OrganizationID: organizationID, UserID: userID,
			Role: "org:member", CreatedAt: at(minute), UpdatedAt: at(minute),
		},
	}
}

func adminOf(organizationID string) *clerkauth.Caller {
	return &clerkauth.Caller{UserID: "user_admin", Organization: clerkauth.Organization{ID: organizationID, Role: "org:admin"}}
}

func TestMembers(t *testing.T) {
	s, _ := newStore(t, nil)
	people := []clerkevent.User{
		{ID: "user_ada", PrimaryEmailAddress: "ada@example.com", FirstName: "Ada", LastName: "Lovelace"},
		{ID: "user_grace", PrimaryEmailAddress: "grace@example.com", FirstName: "Grace", LastName: "Hopper"},
		{ID: "user_noemail", Username: "Anon_1", LastName: "100%"},
		{ID: "user_same", PrimaryEmailAddress: "adam@example.org", FirstName: "Élodie"},
	}
	for i, person := range people {
		person.UpdatedAt = at(i)
		for _, e := range []*clerkevent.Event{
			{ID: person.ID, Type: clerkevent.UserCreated, At: at(i), User: &person},
			joined("org_1", person.ID, i/2), // two at a time
		} {
			if err := s.Apply(t.Context(), e); err != nil {
				t.Fatal(codeOf(err))
			}
		}
	}
	// Others, and a member of whom nothing else is known.
	for _, e := range []*clerkevent.Event{joined("org_2", "user_ada", 3), joined("org_1", "user_unknown", 4)} {
		if err := s.Apply(t.Context(), e); err != nil {
			t.Fatal(codeOf(err))
		}
	}
	for _, test := range []struct {
		name   string
		params MembersParams
		want   string
	}{
		{"all", MembersParams{}, "ada grace noemail same unknown"},
		{"a limit", MembersParams{Limit: "2"}, "ada grace …"},
		{"an offset", MembersParams{Limit: "2", Offset: "3"}, "same unknown"},
		{"a first name", MembersParams{Q: "gra"}, "grace"},
		{"a last name in upper case", MembersParams{Q: "LOVE"}, "ada"},
		{"an email address", MembersParams{Q: "adam@"}, "same"},
		{"some email addresses", MembersParams{Q: "ada", Limit: "1"}, "ada …"},
		{"first and last name", MembersParams{Q: " lovelace  ada "}, "ada"},
		{"first name and another's last name", MembersParams{Q: "ada hopper"}, ""},
		{"the middle of a name", MembersParams{Q: "race"}, ""},
		{"a pattern", MembersParams{Q: "%"}, ""},
		{"a pattern of one character", MembersParams{Q: "anon_"}, "noemail"},
		{"a pattern that is no pattern", MembersParams{Q: "ano__"}, ""},
		{"a percent sign", MembersParams{Q: "100%"}, "noemail"},
		{"another alphabet", MembersParams{Q: "élo"}, "same"},
		{"a backslash", MembersParams{Q: `\`}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			page, err := s.Members(t.Context(), adminOf("org_1"), &test.params)
			if err != nil {
				t.Fatal(codeOf(err))
			}
			if got := names(page); got != test.want || page.Total != 5 {
				t.Errorf("got %q of %d, want %q", got, page.Total, test.want)
			}
		})
	}

	var walked []string
	params := MembersParams{Limit: "2"}
	for range 10 {
		page, err := s.Members(t.Context(), adminOf("org_1"), &params)
		if err != nil {
			t.Fatal(codeOf(err))
		}
		walked = append(walked, names(page))
		if params.After = page.Next; page.Next == "" {
			break
		}
	}
	if got := strings.Join(walked, ", "); got != "ada grace …, noemail same …, unknown" {
		t.Errorf("page by page: %s", got)
	}
	page, err := s.Members(t.Context(), adminOf("org_1"), &MembersParams{Q: "anon"})
	want := Member{UserID: "user_noemail", Role: "org:member", Identifier: "Anon_1", LastName: "100%"}
	if err != nil || len(page.Members) != 1 || *page.Members[0] != want {
		t.Errorf("%+v, %v", page, codeOf(err))
	}
}

// names lists the members of a page, and whether there are more.
func names(page *Members) string {
	var all []string
	for _, m := range page.Members {
		all = append(all, strings.TrimPrefix(m.UserID, "user_"))
	}
	if page.Next != "" {
		all = append(all, "…")
	}
	return strings.Join(all, " ")
}

func TestMembersRefuses(t *testing.T) {
	s, _ := newStore(t, nil)
	gone := &clerkevent.Event{ID: "gone", Type: clerkevent.OrganizationDeleted, At: at(2), Organization: &clerkevent.Organization{ID: "org_gone"}}
	for _, e := range []*clerkevent.Event{joined("org_1", "user_ada", 1), joined("org_gone", "user_ada", 1), gone} {
		if err := s.Apply(t.Context(), e); err != nil {
			t.Fatal(codeOf(err))
		}
	}
	for name, test := range map[string]struct {
		organizationID string
		params         MembersParams
		code           errs.ErrCode
	}{
		"limit 0":                      {"org_1", MembersParams{Limit: "0"}, errs.InvalidArgument},
		"limit 101":                    {"org_1", MembersParams{Limit: "101"}, errs.InvalidArgument},
		"limit in words":               {"org_1", MembersParams{Limit: "ten"}, errs.InvalidArgument},
		"a negative offset":            {"org_1", MembersParams{Offset: "-1"}, errs.InvalidArgument},
		"an offset that costs":         {"org_1", MembersParams{Offset: "1001"}, errs.InvalidArgument},
		"a search with an offset":      {"org_1", MembersParams{Q: "a", Offset: "1"}, errs.InvalidArgument},
		"after and offset":             {"org_1", MembersParams{Offset: "1", After: position{at(1), "orgmem_1"}.String()}, errs.InvalidArgument},
		"after in words":               {"org_1", MembersParams{After: "the last"}, errs.InvalidArgument},
		"after with a NUL":             {"org_1", MembersParams{After: position{at(1), "\x00"}.String()}, errs.InvalidArgument},
		"after of the end of time":     {"org_1", MembersParams{After: "OTIyMzM3MjAzNjg1NDc3NTgwNy5h"}, errs.InvalidArgument},
		"five words":                   {"org_1", MembersParams{Q: "a b c d e"}, errs.InvalidArgument},
		"a long search":                {"org_1", MembersParams{Q: strings.Repeat("a", 101)}, errs.InvalidArgument},
		"a search with a NUL":          {"org_1", MembersParams{Q: "a\x00"}, errs.OK},
		"an organization that is gone": {"org_gone", MembersParams{}, errs.NotFound},
		"one that is not known yet":    {"org_new", MembersParams{}, errs.Unavailable},
	} {
		if _, err := s.Members(t.Context(), adminOf(test.organizationID), &test.params); codeOf(err) != test.code {
			t.Errorf("%s: %v, want %v", name, codeOf(err), test.code)
		}
	}
}
