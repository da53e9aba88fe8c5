// Package clerkevent receives Clerk's webhooks: it verifies the signature that
// Svix puts on them and turns them into typed events. The service webhooks hands
// those to the services that want them; any net/http server can do the same with
// a [Receiver].
package clerkevent

import (
	"cmp"
	"context"
	"encoding/json"
	"time"

	"encore.app/auth/clerkauth"
)

// Type is Clerk's name for what happened.
type Type string

// The types whose record an [Event] has decoded. Of any other type it has the
// payload alone.
const (
	UserCreated Type = "user.created"
	UserUpdated Type = "user.updated" // a ban included
	UserDeleted Type = "user.deleted"

	SessionCreated Type = "session.created" // the user signed in
	SessionEnded   Type = "session.ended"   // the user signed out
	SessionRemoved Type = "session.removed" // the user signed out of one of several accounts
	SessionRevoked Type = "session.revoked" // somebody else ended it

	OrganizationCreated Type = "organization.created"
	OrganizationUpdated Type = "organization.updated"
	OrganizationDeleted Type = "organization.deleted"

	MembershipCreated Type = "organizationMembership.created"
	MembershipUpdated Type = "organizationMembership.updated"
	MembershipDeleted Type = "organizationMembership.deleted"

	InvitationCreated  Type = "organizationInvitation.created"
	InvitationAccepted Type = "organizationInvitation.accepted"
	InvitationRevoked  Type = "organizationInvitation.revoked"

	RoleCreated Type = "role.created"
	RoleUpdated Type = "role.updated"
	RoleDeleted Type = "role.deleted"

	PermissionCreated Type = "permission.created"
	PermissionUpdated Type = "permission.updated"
	PermissionDeleted Type = "permission.deleted"

	SubscriptionCreated Type = "subscription.created"
	SubscriptionUpdated Type = "subscription.updated"
	SubscriptionActive  Type = "subscription.active"
	SubscriptionPastDue Type = "subscription.pastDue"

	SubscriptionItemCreated         Type = "subscriptionItem.created"
	SubscriptionItemUpdated         Type = "subscriptionItem.updated"
	SubscriptionItemActive          Type = "subscriptionItem.active"
	SubscriptionItemCanceled        Type = "subscriptionItem.canceled"
	SubscriptionItemUpcoming        Type = "subscriptionItem.upcoming"
	SubscriptionItemEnded           Type = "subscriptionItem.ended"
	SubscriptionItemAbandoned       Type = "subscriptionItem.abandoned"
	SubscriptionItemIncomplete      Type = "subscriptionItem.incomplete"
	SubscriptionItemPastDue         Type = "subscriptionItem.pastDue"
	SubscriptionItemFreeTrialEnding Type = "subscriptionItem.freeTrialEnding"

	PaymentAttemptCreated Type = "paymentAttempt.created"
	PaymentAttemptUpdated Type = "paymentAttempt.updated"
)

// Event is something that happened in Clerk. It may be delivered more than
// once, with the same ID. Type decides which pointer is set; the others are nil.
// Data is set for every type.
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
	// repeats later what did not arrive at first, so only At tells the order. For a
	// type that is not decoded, it is the id in the payload, or "".
	Subject string `pubsub-attr:"subject"`
	// InstanceID is the Clerk instance that sent the event, ins_…. It is "" in a
	// webhook that does not say so.
	InstanceID string

	User         *User         `json:",omitempty"`
	Session      *Session      `json:",omitempty"`
	Organization *Organization `json:",omitempty"`
	Membership   *Membership   `json:",omitempty"`
	Invitation   *Invitation   `json:",omitempty"`
	Role         *Role         `json:",omitempty"`
	Permission   *Permission   `json:",omitempty"`

	Subscription     *Subscription     `json:",omitempty"`
	SubscriptionItem *SubscriptionItem `json:",omitempty"`
	PaymentAttempt   *PaymentAttempt   `json:",omitempty"`

	// Data is the payload as Clerk sent it: the member data of the webhook.
	Data json.RawMessage `json:",omitempty" encore:"sensitive"`
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

	// PublicMetadata is a JSON object, or nil for none.
	PublicMetadata json.RawMessage `json:",omitempty" encore:"sensitive"`
}

// Session is a session that began or is over.
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
	// Identifier is what Clerk calls the user by: the email address, or what the
	// user has instead, such as a phone number.
	Identifier string `encore:"sensitive"`

	CreatedAt time.Time
	UpdatedAt time.Time
}

// Invitation is an invitation to an organization as of the event.
type Invitation struct {
	ID             string // orginv_…
	OrganizationID string
	EmailAddress   string `encore:"sensitive"`
	Role           string // such as org:admin
	Status         string // pending, accepted, revoked or expired
	UserID         string // who accepted it; "" before that

	CreatedAt time.Time
	UpdatedAt time.Time
	ExpiresAt time.Time
}

// Role is a role of organizations as of the event.
type Role struct {
	ID          string // role_…
	Key         string // such as org:admin
	Name        string
	Description string
	Permissions []string // their keys, such as org:teams:manage
}

// Permission is a permission of organizations as of the event.
type Permission struct {
	ID          string // perm_…
	Key         string // such as org:teams:manage
	Name        string
	Description string
}

// Target is told what an event means for who may come in. Its methods may be
// called twice, late and in any order.
type Target interface {
	// UserUpdated takes what Clerk said of a user, a ban included.
	UserUpdated(context.Context, *clerkauth.UserRecord) error
	UserDeleted(ctx context.Context, userID string, at time.Time) error
	SessionEnded(ctx context.Context, sessionID string, at time.Time) error
	// MembershipChanged ends open connections of a user whose role is another now,
	// or of all members of an organization that was deleted.
	MembershipChanged(context.Context, *clerkauth.MembershipRecord) error
}

// Tell passes the event on to the target. An event that means nothing for who
// may come in is not an error.
func (e *Event) Tell(ctx context.Context, target Target) error {
	switch e.Type {
	case SessionEnded, SessionRemoved, SessionRevoked:
		return target.SessionEnded(ctx, e.Session.ID, e.At)
	case UserDeleted:
		return target.UserDeleted(ctx, e.User.ID, e.At)
	case UserCreated, UserUpdated:
		return target.UserUpdated(ctx, e.userRecord())
	case MembershipCreated, MembershipUpdated, MembershipDeleted:
		m := &clerkauth.MembershipRecord{OrganizationID: e.Membership.OrganizationID, UserID: e.Membership.UserID, Role: e.Membership.Role, UpdatedAt: e.At}
		if e.Type == MembershipDeleted {
			m.Role = ""
		}
		return target.MembershipChanged(ctx, m)
	case OrganizationDeleted:
		return target.MembershipChanged(ctx, &clerkauth.MembershipRecord{OrganizationID: e.Organization.ID, UpdatedAt: e.At})
	}
	return nil
}

// userRecord is what the event says of its user.
func (e *Event) userRecord() *clerkauth.UserRecord {
	updatedAt := cmp.Or(e.User.UpdatedAt, e.At)
	if e.User.Banned && e.At.After(updatedAt) {
		updatedAt = e.At // the ban is news, even where the record keeps its time
	}
	return &clerkauth.UserRecord{
		ID:            e.User.ID,
		PrimaryEmail:  e.User.PrimaryEmailAddress,
		EmailVerified: e.User.EmailVerified,
		Banned:        e.User.Banned,
		UpdatedAt:     updatedAt,
	}
}

// Direct is the [Target] of a program that has the authenticator in its own
// process.
type Direct struct{ Authenticator *clerkauth.Authenticator }

// MembershipChanged implements [Target].
func (d Direct) MembershipChanged(_ context.Context, m *clerkauth.MembershipRecord) error {
	d.Authenticator.StoreMembership(*m)
	return nil
}

// UserUpdated implements [Target].
func (d Direct) UserUpdated(_ context.Context, user *clerkauth.UserRecord) error {
	d.Authenticator.StoreUser(*user)
	return nil
}

// UserDeleted implements [Target].
func (d Direct) UserDeleted(_ context.Context, userID string, at time.Time) error {
	d.Authenticator.RevokeUser(userID, at)
	return nil
}

// SessionEnded implements [Target].
func (d Direct) SessionEnded(_ context.Context, sessionID string, at time.Time) error {
	d.Authenticator.RevokeSession(sessionID, at)
	return nil
}
