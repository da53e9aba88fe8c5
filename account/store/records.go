package store

import (
	"cmp"
	"encoding/json"
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

	PublicMetadata json.RawMessage `json:"public_metadata"` // an object
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

// A record without a time of change, which Clerk does not document, changed at
// the time given: that of the event that brought it.

func userOf(u *clerkevent.User, at time.Time) userRecord {
	return userRecord{
		ID: u.ID, PrimaryEmail: u.PrimaryEmailAddress, EmailVerified: u.EmailVerified,
		Username: u.Username, FirstName: u.FirstName, LastName: u.LastName, ExternalID: u.ExternalID,
		Banned: u.Banned, CreatedAt: orNil(u.CreatedAt), UpdatedAt: cmp.Or(u.UpdatedAt, at),
		PublicMetadata: u.PublicMetadata,
	}.clean()
}

func organizationOf(o *clerkevent.Organization, at time.Time) organizationRecord {
	return organizationRecord{
		ID: o.ID, Name: o.Name, Slug: o.Slug, CreatedAt: orNil(o.CreatedAt), UpdatedAt: cmp.Or(o.UpdatedAt, at),
	}.clean()
}

func membershipOf(m *clerkevent.Membership, at time.Time) membershipRecord {
	return membershipRecord{
		ID: m.ID, OrganizationID: m.OrganizationID, UserID: m.UserID, Role: m.Role,
		CreatedAt: cmp.Or(m.CreatedAt, at), UpdatedAt: cmp.Or(m.UpdatedAt, at), Identifier: m.Identifier,
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
	for _, text := range []*string{&r.PrimaryEmail, &r.Username, &r.FirstName, &r.LastName, &r.ExternalID} {
		*text = storable(*text)
	}
	r.PublicMetadata = storableMetadata(r.PublicMetadata)
	return r
}

func (r organizationRecord) clean() organizationRecord {
	for _, text := range []*string{&r.Name, &r.Slug} {
		*text = storable(*text)
	}
	return r
}

func (r membershipRecord) clean() membershipRecord {
	r.Role, r.Identifier = storable(r.Role), storable(r.Identifier)
	return r
}

// A record whose ids or times cannot be stored is skipped. The methods below
// return the name of the field, "" for a record that can be stored.

func (r userRecord) unstorable() string {
	return firstWrong(
		field{"id", isID(r.ID, "user_")},
		field{"created_at", isDate(orZero(r.CreatedAt))}, field{"updated_at", isDate(r.UpdatedAt)},
	)
}

func (r organizationRecord) unstorable() string {
	return firstWrong(
		field{"id", isID(r.ID, "org_")},
		field{"created_at", isDate(orZero(r.CreatedAt))}, field{"updated_at", isDate(r.UpdatedAt)},
	)
}

func (r membershipRecord) unstorable() string {
	return firstWrong(
		field{"id", isID(r.ID, "orgmem_")}, field{"organization.id", isID(r.OrganizationID, "org_")},
		field{"public_user_data.user_id", isID(r.UserID, "user_")},
		field{"created_at", isDate(r.CreatedAt)}, field{"updated_at", isDate(r.UpdatedAt)},
	)
}

// unstorable returns the name of the field for which an event cannot be stored.
func unstorable(e *clerkevent.Event) string {
	if !isDate(e.At) {
		return "timestamp"
	}
	switch {
	case e.User != nil:
		return userOf(e.User, e.At).unstorable()
	case e.Session != nil:
		return firstWrong(field{"id", isID(e.Session.ID, "sess_")}, field{"user_id", isID(e.Session.UserID, "user_")})
	case e.Organization != nil:
		return organizationOf(e.Organization, e.At).unstorable()
	case e.Membership != nil:
		return membershipOf(e.Membership, e.At).unstorable()
	}
	return "data"
}

type field struct {
	name  string
	right bool
}

func firstWrong(fields ...field) string {
	for _, f := range fields {
		if !f.right {
			return f.name
		}
	}
	return ""
}

const maxIDBytes = 255

// isID accepts ids of Clerk's shape.
func isID(id, prefix string) bool {
	rest, ok := strings.CutPrefix(id, prefix)
	return ok && rest != "" && len(id) <= maxIDBytes && !strings.ContainsFunc(rest, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-'
	})
}

// isDate accepts the times that JSON and PostgreSQL have.
func isDate(t time.Time) bool { return t.Year() >= 1 && t.Year() <= 9999 }

// samePlace reports whether two memberships are of one user in one organization.
func (r membershipRecord) samePlace(other membershipRecord) bool {
	return r.OrganizationID == other.OrganizationID && r.UserID == other.UserID
}
