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
func each[V any](rows []*V, newJSON func(V) object) []object {
	list := make([]object, len(rows))
	for i, row := range rows {
		list[i] = newJSON(*row)
	}
	return list
}

var userConstants = constants(`{
	"object": "user", "locale": null, "image_url": "https://img.clerk.com/preview.png", "has_image": false,
	"primary_phone_number_id": null, "primary_web3_wallet_id": null, "password_enabled": false, "two_factor_enabled": false,
	"totp_enabled": false, "backup_code_enabled": false, "mfa_enabled_at": null, "mfa_disabled_at": null,
	"password_last_updated_at": null, "phone_numbers": [], "web3_wallets": [], "passkeys": [], "external_accounts": [],
	"saml_accounts": [], "enterprise_accounts": [], "lockout_expires_in_seconds": null, "verification_attempts_remaining": 100,
	"delete_self_enabled": true, "create_organization_enabled": true, "create_organizations_limit": null,
	"last_sign_in_at": null, "last_active_at": null, "legal_accepted_at": null
}`)

// newUserJSON makes https://clerk.com/docs/reference/backend-api/model/user.
func newUserJSON(user User) object {
	addresses := make([]object, len(user.EmailAddresses))
	for i, address := range user.EmailAddresses {
		addresses[i] = newEmailAddressJSON(address, user.CreatedAt)
	}
	return resource(userConstants, object{
		"id":                       user.ID,
		"username":                 nullable(user.Username),
		"first_name":               nullable(user.FirstName),
		"last_name":                nullable(user.LastName),
		"external_id":              nullable(user.ExternalID),
		"email_addresses":          addresses,
		"primary_email_address_id": nullable(user.PrimaryEmailAddressID),
		"banned":                   user.Banned,
		"locked":                   user.Locked,
		"public_metadata":          orEmpty(user.PublicMetadata),
		"private_metadata":         orEmpty(user.PrivateMetadata),
		"unsafe_metadata":          orEmpty(user.UnsafeMetadata),
		"created_at":               user.CreatedAt.UnixMilli(),
		"updated_at":               user.UpdatedAt.UnixMilli(),
	})
}

func newEmailAddressJSON(address EmailAddress, createdAt time.Time) object {
	out := object{
		"id": address.ID, "object": "email_address", "email_address": address.EmailAddress, "reserved": false,
		"verification": nil, "matches_sso_connection": false,
		"linked_to":  []object{}, // Clerk's JavaScript SDK fails without it
		"created_at": createdAt.UnixMilli(), "updated_at": createdAt.UnixMilli(),
	}
	if !address.Unverified {
		out["verification"] = object{
			"object": "verification_admin", "status": "verified", "strategy": "admin", "attempts": nil, "expire_at": nil,
		}
	}
	return out
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
