package fakeclerk

import (
	"slices"
	"strconv"
	"strings"
)

// Roles that Clerk gives every instance.
const (
	RoleAdmin  = "org:admin"
	RoleMember = "org:member"
)

// rolePermissions are the custom permissions of each role. Further roles have
// none.
var rolePermissions = map[string][]string{
	RoleAdmin:  {"org:dashboard:manage", "org:dashboard:read", "org:teams:manage", "org:teams:read"},
	RoleMember: {"org:dashboard:read", "org:teams:read"},
}

// systemPermissions are Clerk's own. The Backend API lists them; no session
// token carries them.
var systemPermissions = map[string][]string{
	RoleAdmin: {
		"org:sys_profile:manage", "org:sys_profile:delete", "org:sys_memberships:read", "org:sys_memberships:manage",
		"org:sys_domains:read", "org:sys_domains:manage", "org:sys_billing:read", "org:sys_billing:manage",
	},
	RoleMember: {"org:sys_memberships:read", "org:sys_billing:read"},
}

// ActiveOrganization makes an organization, named by id or slug, the active one
// of a session token: its claims o and fea. Where the user is no member, the
// token is not signed, with [ErrUnknownMembership].
func ActiveOrganization(idOrSlug string) TokenOption {
	return func(t *token) { t.organization = idOrSlug }
}

// activate adds the claims of the organization that is active.
func (s *Server) activate(t *token) error {
	userID, _ := t.claims["sub"].(string)
	o, err := s.organization(t.organization)
	if err != nil {
		return ErrUnknownMembership
	}
	m, err := s.memberships.find(memberKey{o.ID, userID})
	if err != nil {
		return err
	}
	active := object{"id": o.ID, "slg": o.Slug, "rol": strings.TrimPrefix(m.Role, "org:")}
	if features, permissions, masks := packPermissions(rolePermissions[m.Role]); len(features) > 0 {
		t.claims["fea"] = "o:" + strings.Join(features, ",o:")
		active["per"] = strings.Join(permissions, ",")
		active["fpm"] = strings.Join(masks, ",")
	}
	t.claims["o"] = active
	return nil
}

// packPermissions turns "org:teams:read" and so on into the claims of a version
// 2 token: the features, the permissions and, for each feature, a bit mask over
// the permissions. The lowest bit is the first permission.
func packPermissions(granted []string) (features, permissions, masks []string) {
	bits := make(map[string]uint64)
	for _, permission := range granted {
		feature, name, _ := strings.Cut(strings.TrimPrefix(permission, "org:"), ":")
		if !slices.Contains(features, feature) {
			features = append(features, feature)
		}
		if !slices.Contains(permissions, name) {
			permissions = append(permissions, name)
		}
		bits[feature] |= 1 << slices.Index(permissions, name)
	}
	for _, feature := range features {
		masks = append(masks, strconv.FormatUint(bits[feature], 10))
	}
	return features, permissions, masks
}
