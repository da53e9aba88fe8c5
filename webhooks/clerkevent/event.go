// Package clerkevent receives Clerk's webhooks: it verifies the signature that
// Svix puts on them and makes typed events of them. The service webhooks
// publishes those; any net/http server can do as much with a [Receiver].
package clerkevent

import (
	"encoding/json"
	"errors"
	"time"
)

// Type is Clerk's name for what happened.
type Type string

// The types that become an [Event]. Others are ignored.
const (
	UserCreated Type = "user.created"
	UserUpdated Type = "user.updated" // a ban included
	UserDeleted Type = "user.deleted"

	SessionEnded   Type = "session.ended"   // the user signed out
	SessionRemoved Type = "session.removed" // the user signed out of one of several accounts
	SessionRevoked Type = "session.revoked" // somebody else ended it

	OrganizationCreated Type = "organization.created"
	OrganizationUpdated Type = "organization.updated"
	OrganizationDeleted Type = "organization.deleted"

	MembershipCreated Type = "organizationMembership.created"
	MembershipUpdated Type = "organizationMembership.updated"
	MembershipDeleted Type = "organizationMembership.deleted"
)

// Event is something that happened in Clerk. It may be delivered more than
// once, as ID tells. Of User, Session, Organization and Membership, the one that
// Type is about is set, and the others are nil.
type Event struct {
	// ID is the same each time the event is delivered (the header svix-id). A
	// subscriber that must not act twice remembers it in the transaction in
	// which it acts, say with INSERT … ON CONFLICT (event_id) DO NOTHING; one
	// that writes down the state in the event compares At with what it has.
	ID   string
	Type Type
	// At is when it happened, by Clerk's clock.
	At time.Time
	// Subject is the id of the user or the organization that the event belongs
	// to. Events with the same subject are delivered in the order in which they
	// were published. Svix, which repeats late what did not arrive at first, may
	// have changed that order: At is the judge.
	Subject string `pubsub-attr:"subject"`

	User         *User         `json:",omitempty"`
	Session      *Session      `json:",omitempty"`
	Organization *Organization `json:",omitempty"`
	Membership   *Membership   `json:",omitempty"`
}

// User is a user as of the event. Of one who was deleted only ID and ExternalID
// are known.
type User struct {
	ID         string // user_…
	ExternalID string // your own id for the user, if you gave Clerk one

	// PrimaryEmailAddress is "" for a user without one.
	PrimaryEmailAddress string `encore:"sensitive"`
	Username            string `encore:"sensitive"`
	FirstName           string `encore:"sensitive"`
	LastName            string `encore:"sensitive"`

	Banned    bool
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Session is a session that is over.
type Session struct {
	ID     string // sess_…
	UserID string
}

// Organization is an organization as of the event. Of one that was deleted only
// ID is known.
type Organization struct {
	ID   string // org_…
	Slug string
	Name string
}

// Membership is a user's place in an organization as of the event.
type Membership struct {
	ID             string // orgmem_…
	OrganizationID string
	UserID         string
	Role           string // such as org:admin
}

// Revoker is who has to know that a user or a session is over: a
// clerkauth.Authenticator, which says what the methods promise.
type Revoker interface {
	RefuseUser(userID string, at time.Time)
	AdmitUser(userID string, at time.Time)
	RefuseSession(sessionID string, at time.Time)
}

// TellRevoker passes on what the event means for who may come in: users who were
// deleted or banned and sessions that are over are refused; of users who were
// updated, what is remembered is dropped. Of one who was created, what may have
// been loaded since is as new as the event. To do it twice changes nothing.
func (e *Event) TellRevoker(r Revoker) {
	switch {
	case e.Session != nil:
		r.RefuseSession(e.Session.ID, e.At)
	case e.User == nil:
	case e.Type == UserDeleted, e.User.Banned:
		r.RefuseUser(e.User.ID, e.At)
	case e.Type == UserUpdated:
		r.AdmitUser(e.User.ID, e.At)
	}
}

// errMalformed: signed by Clerk, but not in the shape that Clerk documents.
var errMalformed = errors.New("not in the shape of Clerk's events")

// parse makes an event of a webhook's body, and nil of a type that is ignored
// (https://clerk.com/docs/guides/development/webhooks/overview#payload-structure).
func parse(id string, body []byte) (*Event, error) {
	var envelope struct {
		Type      Type            `json:"type"`
		Timestamp int64           `json:"timestamp"` // milliseconds since 1970
		Data      json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &envelope); err != nil || envelope.Type == "" {
		return nil, errMalformed
	}
	read, known := readers[envelope.Type]
	if !known {
		return nil, nil
	}
	e := &Event{ID: id, Type: envelope.Type, At: milliseconds(envelope.Timestamp)}
	if err := read(e, envelope.Data); err != nil || e.Subject == "" || e.At.IsZero() {
		return nil, errMalformed
	}
	return e, nil
}

var readers = map[Type]func(*Event, []byte) error{
	UserCreated: readUser, UserUpdated: readUser, UserDeleted: readUser,
	SessionEnded: readSession, SessionRemoved: readSession, SessionRevoked: readSession,
	OrganizationCreated: readOrganization, OrganizationUpdated: readOrganization, OrganizationDeleted: readOrganization,
	MembershipCreated: readMembership, MembershipUpdated: readMembership, MembershipDeleted: readMembership,
}

func readUser(e *Event, data []byte) error {
	var user struct {
		ID                    string `json:"id"`
		ExternalID            string `json:"external_id"`
		PrimaryEmailAddressID string `json:"primary_email_address_id"`
		EmailAddresses        []struct {
			ID           string `json:"id"`
			EmailAddress string `json:"email_address"`
		} `json:"email_addresses"`
		Username  string `json:"username"`
		FirstName string `json:"first_name"`
		LastName  string `json:"last_name"`
		Banned    bool   `json:"banned"`
		CreatedAt int64  `json:"created_at"`
		UpdatedAt int64  `json:"updated_at"`
	}
	if err := json.Unmarshal(data, &user); err != nil {
		return err
	}
	e.Subject = user.ID
	e.User = &User{
		ID: user.ID, ExternalID: user.ExternalID,
		Username: user.Username, FirstName: user.FirstName, LastName: user.LastName,
		Banned: user.Banned, CreatedAt: milliseconds(user.CreatedAt), UpdatedAt: milliseconds(user.UpdatedAt),
	}
	for _, address := range user.EmailAddresses {
		if address.ID == user.PrimaryEmailAddressID && address.ID != "" {
			e.User.PrimaryEmailAddress = address.EmailAddress
		}
	}
	return nil
}

// readSession orders a session's events with those of its user.
func readSession(e *Event, data []byte) error {
	var session struct {
		ID     string `json:"id"`
		UserID string `json:"user_id"`
	}
	if err := json.Unmarshal(data, &session); err != nil {
		return err
	}
	if session.ID == "" {
		return errMalformed
	}
	e.Subject = session.UserID
	e.Session = &Session{ID: session.ID, UserID: session.UserID}
	return nil
}

func readOrganization(e *Event, data []byte) error {
	var organization struct {
		ID   string `json:"id"`
		Slug string `json:"slug"`
		Name string `json:"name"`
	}
	if err := json.Unmarshal(data, &organization); err != nil {
		return err
	}
	e.Subject = organization.ID
	e.Organization = &Organization{ID: organization.ID, Slug: organization.Slug, Name: organization.Name}
	return nil
}

// readMembership orders a membership's events with those of its organization.
func readMembership(e *Event, data []byte) error {
	var membership struct {
		ID           string `json:"id"`
		Role         string `json:"role"`
		Organization struct {
			ID string `json:"id"`
		} `json:"organization"`
		PublicUserData struct {
			UserID string `json:"user_id"`
		} `json:"public_user_data"`
	}
	if err := json.Unmarshal(data, &membership); err != nil {
		return err
	}
	if membership.PublicUserData.UserID == "" {
		return errMalformed
	}
	e.Subject = membership.Organization.ID
	e.Membership = &Membership{
		ID: membership.ID, OrganizationID: membership.Organization.ID,
		UserID: membership.PublicUserData.UserID, Role: membership.Role,
	}
	return nil
}

// milliseconds gives the zero time for none.
func milliseconds(since1970 int64) time.Time {
	if since1970 <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(since1970).UTC()
}
