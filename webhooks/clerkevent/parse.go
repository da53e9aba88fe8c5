package clerkevent

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"encore.app/auth/clerkauth"
)

// malformed is what is wrong with an event that Clerk signed. Of the values in
// the event it holds the record's id alone.
type malformed struct {
	eventType            Type
	record, field, fault string
}

// parse makes an event of a webhook's body
// (https://clerk.com/docs/guides/development/webhooks/overview#payload-structure).
func parse(id string, body []byte) (*Event, *malformed) {
	var kind struct {
		Type Type `json:"type"`
	}
	err := decode(body, &kind)
	if err == nil && kind.Type == "" {
		err = &FieldError{"type", "is missing"}
	}
	var envelope struct {
		Timestamp  instant         `json:"timestamp"`
		InstanceID string          `json:"instance_id"`
		Data       json.RawMessage `json:"data"`
	}
	if err == nil {
		err = decode(body, &envelope)
	}
	e := &Event{ID: id, Type: kind.Type, At: envelope.Timestamp.Time, InstanceID: envelope.InstanceID, Data: envelope.Data}
	if err == nil && e.At.IsZero() {
		err = &FieldError{"timestamp", "is missing"}
	}
	if read, known := readers[kind.Type]; err == nil && known {
		err = inData(read(e, envelope.Data))
	} else if err == nil {
		e.Subject = recordID(envelope.Data)
	}
	if err == nil {
		return e, nil
	}
	m := &malformed{eventType: kind.Type, record: recordID(envelope.Data), fault: err.Error()}
	if wrong := new(FieldError); errors.As(err, &wrong) {
		m.field, m.fault = wrong.Field, wrong.Fault
	}
	return nil, m
}

// FieldError is what is wrong with a field of a record, without its value.
type FieldError struct{ Field, Fault string }

// Error implements error.
func (e *FieldError) Error() string { return e.Field + " " + e.Fault }

// inData has an error about a record name the field within the webhook.
func inData(err error) error {
	if wrong := new(FieldError); errors.As(err, &wrong) {
		return &FieldError{strings.TrimSuffix("data."+wrong.Field, "."), wrong.Fault}
	}
	return err
}

// decode is [json.Unmarshal] with errors that name the field and hold no value.
func decode(data []byte, into any) error {
	err := json.Unmarshal(data, into)
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &wrong):
		return &FieldError{"", "is not JSON"}
	case wrong.Value == outOfRange:
		return &FieldError{wrong.Field, "is out of range"}
	}
	kind, _, _ := strings.Cut(wrong.Value, " ") // of "number 1.5"
	return &FieldError{wrong.Field, "is of the type " + kind}
}

// requiredID is a member that no record can do without.
type requiredID struct {
	name  string
	value *string
}

// decodeData decodes a record, which is the member data of a webhook.
func decodeData(data []byte, into any, ids ...requiredID) error {
	if err := decode(data, into); err != nil {
		return err
	}
	for _, id := range ids {
		switch {
		case *id.value == "":
			return &FieldError{id.name, "is missing"}
		case !usableID(*id.value):
			return &FieldError{id.name, "is not an id"}
		}
	}
	return nil
}

// usableID reports whether the id can be stored and logged. Clerk's consist of
// ASCII letters, digits and underscores.
func usableID(id string) bool {
	return len(id) <= maxIDBytes && strings.IndexFunc(id, func(c rune) bool { return c <= ' ' || c >= 0x7f }) < 0
}

// recordID is the id in the member data, as far as it can be read.
func recordID(data []byte) string {
	var record struct {
		ID any `json:"id"`
	}
	_ = json.Unmarshal(data, &record)
	if id := fmt.Sprint(record.ID); record.ID != nil && usableID(id) {
		return id
	}
	return ""
}

// instant is a time as Clerk writes it, see [clerkauth.UnixTime], or 0 or null
// for none.
type instant struct{ time.Time }

const (
	outOfRange = "date out of range"
	// maxMilliseconds is the end of the year 9999, the last that JSON can hold.
	maxMilliseconds = 253_402_300_799_999
)

// UnmarshalJSON implements [json.Unmarshaler].
func (i *instant) UnmarshalJSON(data []byte) error {
	var number json.Number
	if err := json.Unmarshal(data, &number); err != nil || len(data) > 0 && data[0] == '"' {
		return &json.UnmarshalTypeError{Value: "other than a number"}
	}
	since1970, err := strconv.ParseFloat(string(number), 64)
	switch {
	case number == "" || since1970 == 0:
		return nil
	case err != nil || since1970 < 0 || since1970 > maxMilliseconds:
		return &json.UnmarshalTypeError{Value: outOfRange}
	}
	i.Time = clerkauth.UnixTime(int64(since1970))
	return nil
}

var readers = map[Type]func(*Event, []byte) error{
	UserCreated: readUser, UserUpdated: readUser, UserDeleted: readUser,
	SessionCreated: readSession, SessionEnded: readSession, SessionRemoved: readSession, SessionRevoked: readSession,
	OrganizationCreated: readOrganization, OrganizationUpdated: readOrganization, OrganizationDeleted: readOrganization,
	MembershipCreated: readMembership, MembershipUpdated: readMembership, MembershipDeleted: readMembership,
	InvitationCreated: readInvitation, InvitationAccepted: readInvitation, InvitationRevoked: readInvitation,
	RoleCreated: readRole, RoleUpdated: readRole, RoleDeleted: readRole,
	PermissionCreated: readPermission, PermissionUpdated: readPermission, PermissionDeleted: readPermission,
	SubscriptionCreated: readSubscription, SubscriptionUpdated: readSubscription, SubscriptionActive: readSubscription,
	SubscriptionPastDue:     readSubscription,
	SubscriptionItemCreated: readSubscriptionItem, SubscriptionItemUpdated: readSubscriptionItem,
	SubscriptionItemActive: readSubscriptionItem, SubscriptionItemCanceled: readSubscriptionItem,
	SubscriptionItemUpcoming: readSubscriptionItem, SubscriptionItemEnded: readSubscriptionItem,
	SubscriptionItemAbandoned: readSubscriptionItem, SubscriptionItemIncomplete: readSubscriptionItem,
	SubscriptionItemPastDue: readSubscriptionItem, SubscriptionItemFreeTrialEnding: readSubscriptionItem,
	PaymentAttemptCreated: readPaymentAttempt, PaymentAttemptUpdated: readPaymentAttempt,
}

func readUser(e *Event, data []byte) (err error) {
	if e.User, err = DecodeUser(data); err == nil {
		e.Subject = e.User.ID
	}
	return err
}

// DecodeUser decodes a user as webhooks and the Backend API have it. An error is a
// [*FieldError].
func DecodeUser(data []byte) (*User, error) {
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
		Username  string  `json:"username"`
		FirstName string  `json:"first_name"`
		LastName  string  `json:"last_name"`
		Banned    bool    `json:"banned"`
		CreatedAt instant `json:"created_at"`
		UpdatedAt instant `json:"updated_at"`

		PublicMetadata json.RawMessage `json:"public_metadata"`
	}
	if err := decodeData(data, &user, requiredID{"id", &user.ID}); err != nil {
		return nil, err
	}
	u := &User{
		ID: user.ID, ExternalID: user.ExternalID,
		Username: user.Username, FirstName: user.FirstName, LastName: user.LastName,
		Banned: user.Banned, CreatedAt: user.CreatedAt.Time, UpdatedAt: user.UpdatedAt.Time,
	}
	if metadata := user.PublicMetadata; len(metadata) > 0 && metadata[0] == '{' {
		u.PublicMetadata = metadata
	}
	for _, address := range user.EmailAddresses {
		if address.ID == user.PrimaryEmailAddressID && address.ID != "" {
			u.PrimaryEmailAddress = address.EmailAddress
			u.EmailVerified = address.Verification.Status == "verified"
		}
	}
	return u, nil
}

// readSession orders a session's events with those of its user.
func readSession(e *Event, data []byte) error {
	var session struct {
		ID     string `json:"id"`
		UserID string `json:"user_id"`
	}
	if err := decodeData(data, &session, requiredID{"id", &session.ID}, requiredID{"user_id", &session.UserID}); err != nil {
		return err
	}
	e.Subject = session.UserID
	e.Session = &Session{ID: session.ID, UserID: session.UserID}
	return nil
}

func readOrganization(e *Event, data []byte) (err error) {
	if e.Organization, err = DecodeOrganization(data); err == nil {
		e.Subject = e.Organization.ID
	}
	return err
}

// DecodeOrganization is [DecodeUser] for an organization.
func DecodeOrganization(data []byte) (*Organization, error) {
	var organization struct {
		ID        string  `json:"id"`
		Slug      string  `json:"slug"`
		Name      string  `json:"name"`
		CreatedAt instant `json:"created_at"`
		UpdatedAt instant `json:"updated_at"`
	}
	if err := decodeData(data, &organization, requiredID{"id", &organization.ID}); err != nil {
		return nil, err
	}
	return &Organization{
		ID: organization.ID, Slug: organization.Slug, Name: organization.Name,
		CreatedAt: organization.CreatedAt.Time, UpdatedAt: organization.UpdatedAt.Time,
	}, nil
}

// readMembership orders a membership's events with those of its organization.
func readMembership(e *Event, data []byte) (err error) {
	if e.Membership, err = DecodeMembership(data); err == nil {
		e.Subject = e.Membership.OrganizationID
	}
	return err
}

// DecodeMembership is [DecodeUser] for a membership.
func DecodeMembership(data []byte) (*Membership, error) {
	var membership struct {
		ID           string `json:"id"`
		Role         string `json:"role"`
		Organization struct {
			ID string `json:"id"`
		} `json:"organization"`
		PublicUserData struct {
			UserID     string `json:"user_id"`
			Identifier string `json:"identifier"`
		} `json:"public_user_data"`
		CreatedAt instant `json:"created_at"`
		UpdatedAt instant `json:"updated_at"`
	}
	err := decodeData(data, &membership, requiredID{"id", &membership.ID},
		requiredID{"organization.id", &membership.Organization.ID}, requiredID{"public_user_data.user_id", &membership.PublicUserData.UserID})
	if err != nil {
		return nil, err
	}
	return &Membership{
		ID: membership.ID, OrganizationID: membership.Organization.ID,
		UserID: membership.PublicUserData.UserID, Role: membership.Role, Identifier: membership.PublicUserData.Identifier,
		CreatedAt: membership.CreatedAt.Time, UpdatedAt: membership.UpdatedAt.Time,
	}, nil
}

// readInvitation orders an invitation's events with those of its organization.
func readInvitation(e *Event, data []byte) error {
	var i struct {
		ID             string  `json:"id"`
		OrganizationID string  `json:"organization_id"`
		EmailAddress   string  `json:"email_address"`
		Role           string  `json:"role"`
		Status         string  `json:"status"`
		UserID         string  `json:"user_id"`
		CreatedAt      instant `json:"created_at"`
		UpdatedAt      instant `json:"updated_at"`
		ExpiresAt      instant `json:"expires_at"`
	}
	if err := decodeData(data, &i, requiredID{"id", &i.ID}, requiredID{"organization_id", &i.OrganizationID}); err != nil {
		return err
	}
	e.Subject = i.OrganizationID
	e.Invitation = &Invitation{
		ID: i.ID, OrganizationID: i.OrganizationID, EmailAddress: i.EmailAddress, Role: i.Role, Status: i.Status, UserID: i.UserID,
		CreatedAt: i.CreatedAt.Time, UpdatedAt: i.UpdatedAt.Time, ExpiresAt: i.ExpiresAt.Time,
	}
	return nil
}

func readRole(e *Event, data []byte) error {
	var r struct {
		ID          string `json:"id"`
		Key         string `json:"key"`
		Name        string `json:"name"`
		Description string `json:"description"`
		Permissions []struct {
			Key string `json:"key"`
		} `json:"permissions"`
	}
	if err := decodeData(data, &r, requiredID{"id", &r.ID}); err != nil {
		return err
	}
	e.Subject = r.ID
	e.Role = &Role{ID: r.ID, Key: r.Key, Name: r.Name, Description: r.Description}
	for _, permission := range r.Permissions {
		e.Role.Permissions = append(e.Role.Permissions, permission.Key)
	}
	return nil
}

func readPermission(e *Event, data []byte) error {
	var p struct {
		ID          string `json:"id"`
		Key         string `json:"key"`
		Name        string `json:"name"`
		Description string `json:"description"`
	}
	if err := decodeData(data, &p, requiredID{"id", &p.ID}); err != nil {
		return err
	}
	e.Subject = p.ID
	e.Permission = &Permission{ID: p.ID, Key: p.Key, Name: p.Name, Description: p.Description}
	return nil
}
