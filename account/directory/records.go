package directory

import (
	"cmp"
	"strings"
	"time"
	"unicode/utf8"

	"encore.app/webhooks/clerkevent"
)

// The records are what Clerk says of a user, an organization and a membership.
// The JSON names are those of the columns: statements take many records as one
// parameter.

type userRecord struct {
	ID            string     `json:"id"`
	PrimaryEmail  string     `json:"primary_email"`
	EmailVerified bool       `json:"email_verified"`
	Username      string     `json:"username"`
	FirstName     string     `json:"first_name"`
	LastName      string     `json:"last_name"`
	ExternalID    string     `json:"external_id"`
	Banned        bool       `json:"banned"`
	CreatedAt     *time.Time `json:"created_at"`
	UpdatedAt     time.Time  `json:"updated_at"`
}

type organizationRecord struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Slug      string     `json:"slug"`
	CreatedAt *time.Time `json:"created_at"`
	UpdatedAt time.Time  `json:"updated_at"`
}

type membershipRecord struct {
	ID             string    `json:"id"`
	OrganizationID string    `json:"organization_id"`
	UserID         string    `json:"user_id"`
	Role           string    `json:"role"`
	CreatedAt      time.Time `json:"created_at"`
	UpdatedAt      time.Time `json:"updated_at"`
	// Identifier is shown for a user without an email address and a username.
	Identifier string `json:"identifier" db:"-"`
}

// A record without a time of change, which Clerk does not document, is as old
// as the event that brought it.

func userOf(e *clerkevent.Event) userRecord {
	u := e.User
	return userRecord{
		ID: u.ID, PrimaryEmail: u.PrimaryEmailAddress, EmailVerified: u.EmailVerified,
		Username: u.Username, FirstName: u.FirstName, LastName: u.LastName, ExternalID: u.ExternalID,
		Banned: u.Banned, CreatedAt: orNil(u.CreatedAt), UpdatedAt: cmp.Or(u.UpdatedAt, e.At),
	}.clean()
}

func organizationOf(e *clerkevent.Event) organizationRecord {
	o := e.Organization
	return organizationRecord{
		ID: o.ID, Name: o.Name, Slug: o.Slug, CreatedAt: orNil(o.CreatedAt), UpdatedAt: cmp.Or(o.UpdatedAt, e.At),
	}.clean()
}

func membershipOf(e *clerkevent.Event) membershipRecord {
	m := e.Membership
	return membershipRecord{
		ID: m.ID, OrganizationID: m.OrganizationID, UserID: m.UserID, Role: m.Role,
		CreatedAt: cmp.Or(m.CreatedAt, e.At), UpdatedAt: cmp.Or(m.UpdatedAt, e.At), Identifier: storable(m.Identifier),
	}.clean()
}

func orNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// maxTextBytes bounds a text of Clerk's: an index takes no more than some 2,700
// bytes. Clerk itself allows 256 characters.
const maxTextBytes = 1024

// storable returns s as PostgreSQL can store and index it. A record with an odd
// name must not make its event fail for ever.
func storable(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
	if len(s) <= maxTextBytes {
		return s
	}
	end := maxTextBytes
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

func (r userRecord) clean() userRecord {
	for _, text := range []*string{&r.ID, &r.PrimaryEmail, &r.Username, &r.FirstName, &r.LastName, &r.ExternalID} {
		*text = storable(*text)
	}
	return r
}

func (r organizationRecord) clean() organizationRecord {
	for _, text := range []*string{&r.ID, &r.Name, &r.Slug} {
		*text = storable(*text)
	}
	return r
}

func (r membershipRecord) clean() membershipRecord {
	for _, text := range []*string{&r.ID, &r.OrganizationID, &r.UserID, &r.Role} {
		*text = storable(*text)
	}
	return r
}
