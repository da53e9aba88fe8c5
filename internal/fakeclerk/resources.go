package fakeclerk

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

// object is a JSON object, such as a resource of Clerk's API. Times in it are in
// milliseconds since 1970.
type object = map[string]any

// constants are the fields of a resource that are always the same here. They are
// there because one of Clerk's SDKs reads them.
func constants(fields string) object {
	var o object
	if err := json.Unmarshal([]byte(fields), &o); err != nil {
		panic("fakeclerk: " + err.Error())
	}
	return o
}

func resource(constants, fields object) object {
	maps.Copy(fields, constants)
	return fields
}

// nullable is null where Clerk has no value.
func nullable(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func orEmpty(metadata map[string]any) map[string]any {
	if metadata == nil {
		return map[string]any{}
	}
	return metadata
}

// each makes the resources of a list.
func each[V, J any](rows []*V, newJSON func(V) J) []J {
	list := make([]J, len(rows))
	for i, row := range rows {
		list[i] = newJSON(*row)
	}
	return list
}

// userJSON is https://clerk.com/docs/reference/backend-api/model/user. Lists of
// users are large, so unlike other resources it is a struct, and its constant
// fields are encoded already.
type userJSON struct {
	ID                    string             `json:"id"`
	Username              any                `json:"username"`
	FirstName             any                `json:"first_name"`
	LastName              any                `json:"last_name"`
	ExternalID            any                `json:"external_id"`
	EmailAddresses        []emailAddressJSON `json:"email_addresses"`
	PrimaryEmailAddressID any                `json:"primary_email_address_id"`
	Banned                bool               `json:"banned"`
	Locked                bool               `json:"locked"`
	PublicMetadata        map[string]any     `json:"public_metadata"`
	PrivateMetadata       map[string]any     `json:"private_metadata"`
	UnsafeMetadata        map[string]any     `json:"unsafe_metadata"`
	CreatedAt             int64              `json:"created_at"`
	UpdatedAt             int64              `json:"updated_at"`
}

const userConstants = `,
	"object": "user", "locale": null, "image_url": "https://img.clerk.com/preview.png", "has_image": false,
	"primary_phone_number_id": null, "primary_web3_wallet_id": null, "password_enabled": false, "two_factor_enabled": false,
	"totp_enabled": false, "backup_code_enabled": false, "mfa_enabled_at": null, "mfa_disabled_at": null,
	"password_last_updated_at": null, "phone_numbers": [], "web3_wallets": [], "passkeys": [], "external_accounts": [],
	"saml_accounts": [], "enterprise_accounts": [], "lockout_expires_in_seconds": null, "verification_attempts_remaining": 100,
	"delete_self_enabled": true, "create_organization_enabled": true, "create_organizations_limit": null,
	"last_sign_in_at": null, "last_active_at": null, "legal_accepted_at": null
}`

func (u userJSON) MarshalJSON() ([]byte, error) {
	type fields userJSON
	encoded, err := json.Marshal(fields(u))
	if err != nil {
		return nil, err
	}
	return append(encoded[:len(encoded)-1], userConstants...), nil
}

type emailAddressJSON struct {
	ID           string          `json:"id"`
	Object       string          `json:"object"`
	EmailAddress string          `json:"email_address"`
	Verification json.RawMessage `json:"verification"`
	LinkedTo     []object        `json:"linked_to"` // Clerk's JavaScript SDK fails without it
	CreatedAt    int64           `json:"created_at"`
	UpdatedAt    int64           `json:"updated_at"`
}

var verified = json.RawMessage(`{"object":"verification_admin","status":"verified","strategy":"admin","attempts":null,"expire_at":null}`)

func newUserJSON(user User) userJSON {
	addresses := make([]emailAddressJSON, len(user.EmailAddresses))
	for i, address := range user.EmailAddresses {
		addresses[i] = emailAddressJSON{
			ID: address.ID, Object: "email_address", EmailAddress: address.EmailAddress, LinkedTo: []object{},
			CreatedAt: user.CreatedAt.UnixMilli(), UpdatedAt: user.CreatedAt.UnixMilli(),
		}
		if !address.Unverified {
			addresses[i].Verification = verified
		}
	}
	return userJSON{
		ID:                    user.ID,
		Username:              nullable(user.Username),
		FirstName:             nullable(user.FirstName),
		LastName:              nullable(user.LastName),
		ExternalID:            nullable(user.ExternalID),
		EmailAddresses:        addresses,
		PrimaryEmailAddressID: nullable(user.PrimaryEmailAddressID),
		Banned:                user.Banned,
		Locked:                user.Locked,
		PublicMetadata:        orEmpty(user.PublicMetadata),
		PrivateMetadata:       orEmpty(user.PrivateMetadata),
		UnsafeMetadata:        orEmpty(user.UnsafeMetadata),
		CreatedAt:             user.CreatedAt.UnixMilli(),
		UpdatedAt:             user.UpdatedAt.UnixMilli(),
	}
}

var sessionConstants = constants(`{"object": "session", "last_active_organization_id": null, "actor": null}`)

// newSessionJSON makes https://clerk.com/docs/reference/backend-api/model/session
// with Clerk's default lifetimes.
func newSessionJSON(session Session) object {
	const day = 24 * time.Hour
	return resource(sessionConstants, object{
		"id":             session.ID,
		"client_id":      session.ClientID,
		"user_id":        session.UserID,
		"status":         session.Status,
		"last_active_at": session.UpdatedAt.UnixMilli(),
		"expire_at":      session.CreatedAt.Add(7 * day).UnixMilli(),
		"abandon_at":     session.CreatedAt.Add(30 * day).UnixMilli(),
		"created_at":     session.CreatedAt.UnixMilli(),
		"updated_at":     session.UpdatedAt.UnixMilli(),
	})
}

var organizationConstants = constants(`{
	"object": "organization", "image_url": "https://img.clerk.com/preview.png", "has_image": false,
	"pending_invitations_count": 0, "max_allowed_memberships": 100, "admin_delete_enabled": true,
	"missing_member_with_elevated_permissions": false, "private_metadata": {}
}`)

// newOrganizationJSON makes
// https://clerk.com/docs/reference/backend-api/model/organization.
func newOrganizationJSON(o Organization) object {
	out := resource(organizationConstants, object{
		"id":              o.ID,
		"name":            o.Name,
		"slug":            o.Slug,
		"members_count":   o.members,
		"public_metadata": orEmpty(o.PublicMetadata),
		"created_at":      o.CreatedAt.UnixMilli(),
		"updated_at":      o.UpdatedAt.UnixMilli(),
	})
	if o.CreatedBy != "" {
		out["created_by"] = o.CreatedBy
	}
	return out
}

var membershipConstants = constants(`{"object": "organization_membership", "public_metadata": {}, "private_metadata": {}}`)

// newMembershipJSON makes
// https://clerk.com/docs/reference/backend-api/model/organization-membership.
func (s *Server) newMembershipJSON(m Membership) object {
	o, _ := s.organizations.get(m.OrganizationID)
	user, _ := s.users.get(m.UserID)
	return resource(membershipConstants, object{
		"id":               m.ID,
		"role":             m.Role,
		"role_name":        strings.TrimPrefix(m.Role, "org:"),
		"permissions":      slices.Concat(systemPermissions[m.Role], rolePermissions[m.Role]),
		"organization":     newOrganizationJSON(o),
		"public_user_data": newPublicUserDataJSON(user),
		"created_at":       m.CreatedAt.UnixMilli(),
		"updated_at":       m.UpdatedAt.UnixMilli(),
	})
}

func newPublicUserDataJSON(user User) object {
	return object{
		"user_id": user.ID, "identifier": cmp.Or(user.PrimaryEmailAddress(), user.Username),
		"first_name": nullable(user.FirstName), "last_name": nullable(user.LastName),
		"image_url": "https://img.clerk.com/preview.png", "has_image": false,
	}
}
