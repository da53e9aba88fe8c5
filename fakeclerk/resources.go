package fakeclerk

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// object is a JSON object. Times in it are in milliseconds since 1970.
type object = map[string]any

// nullable is null where Clerk has no value.
func nullable(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// resource is a row with the fields of Clerk's resource that the row has not.
type resource[V any] struct {
	Row  V      `json:",embed"`
	More object `json:",embed"`
}

func newResource[V any](row V, createdAt, updatedAt time.Time, constants, more object) resource[V] {
	maps.Copy(more, constants)
	return resource[V]{row, stamped(more, createdAt, updatedAt)}
}

func stamped(fields object, createdAt, updatedAt time.Time) object {
	fields["created_at"], fields["updated_at"] = createdAt.UnixMilli(), updatedAt.UnixMilli()
	return fields
}

// deletion is the resource of something that was deleted.
type deletion struct {
	Object     string `json:"object"`
	ID         string `json:"id"`
	Deleted    bool   `json:"deleted"`
	ExternalID string `json:"external_id,omitzero"` // of a user
}

// anyJSON lets the JSON of a fault through that Clerk would never send.
var anyJSON = jsontext.Options(json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)))

// encode makes JSON in which every row is its resource.
func (s *Server) encode(value any) ([]byte, error) {
	return json.Marshal(value, json.Deterministic(true), anyJSON, json.WithMarshalers(json.JoinMarshalers(
		as(newUserResource), as(newSessionResource), as(newOrganizationResource), as(s.newMembershipResource), as(s.newTokenResource),
	)))
}

func as[V, R any](newResource func(*V) R) *json.Marshalers {
	return json.MarshalToFunc(func(encoder *jsontext.Encoder, row *V) error {
		return json.MarshalEncode(encoder, newResource(row))
	})
}

// userResource is https://clerk.com/docs/reference/backend-api/model/user. Lists
// of users are large, so its constant fields are encoded already.
type userResource struct {
	User
	Username              *string                `json:"username"`
	FirstName             *string                `json:"first_name"`
	LastName              *string                `json:"last_name"`
	ExternalID            *string                `json:"external_id"`
	PrimaryEmailAddressID *string                `json:"primary_email_address_id"`
	EmailAddresses        []emailAddressResource `json:"email_addresses"`
	CreatedAt             int64                  `json:"created_at"`
	UpdatedAt             int64                  `json:"updated_at"`
	Constants             jsontext.Value         `json:",embed"`
}

var userConstants = jsontext.Value(`{
	"object": "user", "locale": null, "image_url": "https://img.clerk.com/preview.png", "has_image": false,
	"primary_phone_number_id": null, "primary_web3_wallet_id": null, "password_enabled": false, "two_factor_enabled": false,
	"totp_enabled": false, "backup_code_enabled": false, "mfa_enabled_at": null, "mfa_disabled_at": null,
	"password_last_updated_at": null, "phone_numbers": [], "web3_wallets": [], "passkeys": [], "external_accounts": [],
	"saml_accounts": [], "enterprise_accounts": [], "lockout_expires_in_seconds": null, "verification_attempts_remaining": 100,
	"delete_self_enabled": true, "create_organization_enabled": true, "create_organizations_limit": null,
	"last_sign_in_at": null, "last_active_at": null, "legal_accepted_at": null
}`)

type emailAddressResource struct {
	ID           string         `json:"id"`
	Object       string         `json:"object"`
	EmailAddress string         `json:"email_address"`
	Verification jsontext.Value `json:"verification"`
	LinkedTo     []object       `json:"linked_to"` // Clerk's JavaScript SDK fails without it
	CreatedAt    int64          `json:"created_at"`
	UpdatedAt    int64          `json:"updated_at"`
}

var verified = jsontext.Value(`{"object":"verification_admin","status":"verified","strategy":"admin","attempts":null,"expire_at":null}`)

func newUserResource(user *User) userResource {
	created, addresses := user.CreatedAt.UnixMilli(), make([]emailAddressResource, len(user.EmailAddresses))
	for i, address := range user.EmailAddresses {
		addresses[i] = emailAddressResource{
			ID: address.ID, Object: "email_address", EmailAddress: address.EmailAddress, CreatedAt: created, UpdatedAt: created,
		}
		if !address.Unverified {
			addresses[i].Verification = verified
		}
	}
	return userResource{
		User: *user, EmailAddresses: addresses, PrimaryEmailAddressID: nullable(user.PrimaryEmailAddressID),
		Username: nullable(user.Username), FirstName: nullable(user.FirstName), LastName: nullable(user.LastName),
		ExternalID: nullable(user.ExternalID), CreatedAt: created, UpdatedAt: user.UpdatedAt.UnixMilli(), Constants: userConstants,
	}
}

// The constants of a resource are there because one of Clerk's SDKs reads them.
var sessionConstants = object{"object": "session", "last_active_organization_id": nil, "actor": nil}

// newSessionResource makes https://clerk.com/docs/reference/backend-api/model/session
// with Clerk's default lifetimes.
func newSessionResource(session *Session) resource[Session] {
	const day = 24 * time.Hour
	return newResource(*session, session.CreatedAt, session.UpdatedAt, sessionConstants, object{
		"last_active_at": session.UpdatedAt.UnixMilli(),
		"expire_at":      session.CreatedAt.Add(7 * day).UnixMilli(),
		"abandon_at":     session.CreatedAt.Add(30 * day).UnixMilli(),
	})
}

var organizationConstants = object{
	"object": "organization", "image_url": "https://img.clerk.com/preview.png", "has_image": false,
	"pending_invitations_count": 0, "max_allowed_memberships": 100, "admin_delete_enabled": true,
	"missing_member_with_elevated_permissions": false, "private_metadata": object{},
}

// newOrganizationResource makes
// https://clerk.com/docs/reference/backend-api/model/organization.
func newOrganizationResource(o *Organization) resource[Organization] {
	return newResource(*o, o.CreatedAt, o.UpdatedAt, organizationConstants, object{"members_count": o.members})
}

var membershipConstants = object{"object": "organization_membership", "public_metadata": object{}, "private_metadata": object{}}

// newMembershipResource makes
// https://clerk.com/docs/reference/backend-api/model/organization-membership.
func (s *Server) newMembershipResource(m *Membership) resource[Membership] {
	return newResource(*m, m.CreatedAt, m.UpdatedAt, membershipConstants, object{
		"role_name":        strings.TrimPrefix(m.Role, "org:"),
		"permissions":      slices.Concat(systemPermissions[m.Role], rolePermissions[m.Role]),
		"organization":     s.organizations.byKey[m.OrganizationID],
		"public_user_data": newPublicUserData(s.users.byKey[m.UserID]),
	})
}

func newPublicUserData(user *User) object {
	return object{
		"user_id": user.ID, "identifier": cmp.Or(user.PrimaryEmailAddress(), user.Username),
		"first_name": nullable(user.FirstName), "last_name": nullable(user.LastName),
		"image_url": "https://img.clerk.com/preview.png", "has_image": false,
	}
}

// newTokenResource makes a machine token without its secret, as Clerk's OpenAPI
// specification of the Backend API has it (github.com/clerk/openapi-specs,
// bapi/2026-05-12.yml).
func (s *Server) newTokenResource(t *MachineToken) object {
	fields := object{
		"object": machineTokenKinds[t.Type].object, "id": t.ID, "subject": t.Subject, "scopes": t.Scopes,
		"revoked": t.Revoked, "revocation_reason": nullable(t.RevocationReason), "expired": s.expired(t), "expiration": nil,
	}
	if !t.ExpiresAt.IsZero() {
		fields["expiration"] = t.ExpiresAt.UnixMilli()
	}
	switch t.Type {
	case TypeOAuthToken:
		fields["client_id"], fields["type"] = t.ClientID, "oauth:access_token"
		maps.Copy(fields, t.delegation())
	case TypeAPIKey:
		fields["type"], fields["name"] = TypeAPIKey, t.Name
		fields["description"], fields["created_by"] = nullable(t.Description), nullable(t.CreatedBy)
	}
	if t.Type != TypeOAuthToken {
		fields["last_used_at"], fields["claims"] = nil, nil
		if t.Claims != nil {
			fields["claims"] = t.Claims
		}
	}
	return stamped(fields, t.CreatedAt, t.UpdatedAt)
}
