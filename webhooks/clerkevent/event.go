// Package clerkevent receives Clerk's webhooks: it verifies the signature that
// Svix puts on them and turns them into typed events. The service webhooks hands
// those to the services that want them; any net/http server can do the same with
// a [Receiver].
package clerkevent

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"time"

	"encore.app/auth/clerkauth"
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
// once, with the same ID. Of User, Session, Organization and Membership, the one that
// Type is about is set, and the others are nil.
type Event struct {
	// ID is the same each time the event is delivered (the header svix-id). Code
	// that must not act twice stores it in the transaction in which it acts, say
	// with INSERT … ON CONFLICT (event_id) DO NOTHING; code that stores the state
	// in the event compares At with what it has.
	ID   string
	Type Type
	// At is when it happened, by Clerk's clock.
	At time.Time
	// Subject is the id of the user or the organization that the event belongs
	// to: the ordering attribute for those who publish events on a topic. Svix
	// repeats later what did not arrive at first, so only At tells the order.
	Subject string `pubsub-attr:"subject"`
	// InstanceID is the Clerk instance that sent the event, ins_…. It is "" in a
	// webhook that does not say so.
	InstanceID string

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
	// EmailVerified reports whether the user has shown that the primary email
	// address is theirs.
	EmailVerified bool
	Username      string `encore:"sensitive"`
	FirstName     string `encore:"sensitive"`
	LastName      string `encore:"sensitive"`

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

	CreatedAt time.Time
	UpdatedAt time.Time
}

// Membership is a user's place in an organization as of the event.
type Membership struct {
	ID             string // orgmem_…
	OrganizationID string
	UserID         string
	Role           string // such as org:admin

	CreatedAt time.Time
	UpdatedAt time.Time
}

// Target is told what an event means for who may come in. Its methods may be
// called twice, late and in any order.
type Target interface {
	// UserUpdated takes what Clerk said of a user, a ban included.
	UserUpdated(context.Context, *clerkauth.UserRecord) error
	UserDeleted(ctx context.Context, userID string, at time.Time) error
	SessionEnded(ctx context.Context, sessionID string, at time.Time) error
}

// Tell passes the event on to the target. An event that means nothing for who
// may come in is not an error.
func (e *Event) Tell(ctx context.Context, target Target) error {
	switch {
	case e.Session != nil:
		return target.SessionEnded(ctx, e.Session.ID, e.At)
	case e.User == nil:
		return nil
	case e.Type == UserDeleted:
		return target.UserDeleted(ctx, e.User.ID, e.At)
	}
	return target.UserUpdated(ctx, &clerkauth.UserRecord{
		ID:            e.User.ID,
		PrimaryEmail:  e.User.PrimaryEmailAddress,
		EmailVerified: e.User.EmailVerified,
		Banned:        e.User.Banned,
		UpdatedAt:     cmp.Or(e.User.UpdatedAt, e.At),
	})
}

// Direct is the [Target] of a program that has the authenticator in its own
// process.
type Direct struct{ Authenticator *clerkauth.Authenticator }

// UserUpdated implements [Target].
func (d Direct) UserUpdated(_ context.Context, user *clerkauth.UserRecord) error {
	d.Authenticator.StoreUser(*user)
	return nil
}

// UserDeleted implements [Target].
func (d Direct) UserDeleted(_ context.Context, userID string, at time.Time) error {
	d.Authenticator.RefuseUser(userID, at)
	return nil
}

// SessionEnded implements [Target].
func (d Direct) SessionEnded(_ context.Context, sessionID string, at time.Time) error {
	d.Authenticator.RefuseSession(sessionID, at)
	return nil
}

// errMalformed: signed by Clerk, but not in the shape that Clerk documents.
var errMalformed = errors.New("not in the shape of Clerk's events")

// parse makes an event of a webhook's body, and nil of a type that is ignored
// (https://clerk.com/docs/guides/development/webhooks/overview#payload-structure).
func parse(id string, body []byte) (*Event, error) {
	var envelope struct {
		Type       Type            `json:"type"`
		Timestamp  int64           `json:"timestamp"`
		InstanceID string          `json:"instance_id"`
		Data       json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &envelope); err != nil || envelope.Type == "" {
		return nil, errMalformed
	}
	read, known := readers[envelope.Type]
	if !known {
		return nil, nil
	}
	e := &Event{ID: id, Type: envelope.Type, At: timeOf(envelope.Timestamp), InstanceID: envelope.InstanceID}
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
			Verification struct {
				Status string `json:"status"`
			} `json:"verification"`
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
		Banned: user.Banned, CreatedAt: timeOf(user.CreatedAt), UpdatedAt: timeOf(user.UpdatedAt),
	}
	for _, address := range user.EmailAddresses {
		if address.ID == user.PrimaryEmailAddressID && address.ID != "" {
			e.User.PrimaryEmailAddress = address.EmailAddress
			e.User.EmailVerified = address.Verification.Status == "verified"
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
		ID        string `json:"id"`
		Slug      string `json:"slug"`
		Name      string `json:"name"`
		CreatedAt int64  `json:"created_at"`
		UpdatedAt int64  `json:"updated_at"`
	}
	if err := json.Unmarshal(data, &organization); err != nil {
		return err
	}
	e.Subject = organization.ID
	e.Organization = &Organization{
		ID: organization.ID, Slug: organization.Slug, Name: organization.Name,
		CreatedAt: timeOf(organization.CreatedAt), UpdatedAt: timeOf(organization.UpdatedAt),
	}
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
		CreatedAt int64 `json:"created_at"`
		UpdatedAt int64 `json:"updated_at"`
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
		CreatedAt: timeOf(membership.CreatedAt), UpdatedAt: timeOf(membership.UpdatedAt),
	}
	return nil
}

// timeOf gives the zero time for none.
func timeOf(date int64) time.Time {
	if date <= 0 {
		return time.Time{}
	}
	return clerkauth.UnixTime(date)
}
