package fakeclerk

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
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

// Organization is a group of users.
type Organization struct {
	// ID is "org_…". [Server.AddOrganization] makes one up where it is empty.
	ID   string `json:"id"`
	Name string `json:"name"`
	// Slug is the organization's name in URLs. Made from Name where it is empty.
	Slug           string         `json:"slug"`
	CreatedBy      string         `json:"created_by"` // a user id, or ""
	PublicMetadata map[string]any `json:"public_metadata"`

	CreatedAt time.Time `json:"-"` // set by AddOrganization
	UpdatedAt time.Time `json:"-"` // set by AddOrganization and UpdateOrganization

	members, admins int // how many there are
}

// Membership is a user's place in an organization.
type Membership struct {
	ID             string // "orgmem_…"
	OrganizationID string
	UserID         string
	Role           string // "org:admin", "org:member" or one of your own
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

type memberKey struct{ organizationID, userID string }

func (m Membership) key() memberKey { return memberKey{m.OrganizationID, m.UserID} }

// count changes the numbers of members by n for one with the role.
func (o *Organization) count(role string, n int) {
	o.members += n
	if role == RoleAdmin {
		o.admins += n
	}
}

// organization finds an organization by id or slug.
func (s *Server) organization(idOrSlug string) *Organization {
	if o, ok := s.organizations.byKey[idOrSlug]; ok {
		return o
	}
	i := slices.IndexFunc(s.organizations.rows, func(o *Organization) bool { return o.Slug == idOrSlug })
	if i < 0 {
		return nil
	}
	return s.organizations.rows[i]
}

// Organization returns an organization, by its id or slug.
func (s *Server) Organization(idOrSlug string) (Organization, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.organization(idOrSlug)
	if o == nil {
		return Organization{}, false
	}
	return o.clone(), true
}

func (o Organization) clone() Organization {
	o.PublicMetadata = maps.Clone(o.PublicMetadata)
	return o
}

// AddOrganization adds an organization and returns it with its id. As when Clerk
// creates one, the user in CreatedBy becomes its admin. It fails with
// [ErrOrganizationExists] for a taken id or slug, and with [ErrUnknownUser].
func (s *Server) AddOrganization(o Organization) (Organization, error) {
	return locked(s, func() (Organization, error) { return s.addOrganization(o) })
}

func (s *Server) addOrganization(o Organization) (Organization, error) {
	o = o.clone()
	o.ID = cmp.Or(o.ID, newID("org"))
	o.Slug = cmp.Or(o.Slug, slug(o.Name), strings.ToLower(o.ID))
	o.CreatedAt = s.now()
	o.UpdatedAt = o.CreatedAt
	if _, ok := s.users.get(o.CreatedBy); !ok && o.CreatedBy != "" {
		return Organization{}, ErrUnknownUser
	}
	if s.organization(o.Slug) != nil || !s.organizations.add(o.ID, o) {
		return Organization{}, ErrOrganizationExists
	}
	s.announce("organization.created", func() any { return newOrganizationJSON(o) })
	if o.CreatedBy != "" {
		if _, err := s.addMembership(o.ID, o.CreatedBy, RoleAdmin); err != nil {
			return Organization{}, err
		}
	}
	return s.organization(o.ID).clone(), nil
}

func slug(name string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(name), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	}), "-")
}

// UpdateOrganization lets change edit an organization; change must not call the
// Server. It fails with [ErrUnknownOrganization], and with
// [ErrOrganizationExists] for a slug that another one has.
func (s *Server) UpdateOrganization(id string, change func(*Organization)) (Organization, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changeOrganization(id, change)
}

func (s *Server) changeOrganization(id string, change func(*Organization)) (Organization, error) {
	row, ok := s.organizations.byKey[id]
	if !ok {
		return Organization{}, ErrUnknownOrganization
	}
	changed := row.clone()
	change(&changed)
	if other := s.organization(changed.Slug); other != nil && other != row {
		return Organization{}, ErrOrganizationExists
	}
	changed.ID, changed.CreatedAt, changed.UpdatedAt = id, row.CreatedAt, s.later(row.UpdatedAt)
	*row = changed.clone()
	s.announce("organization.updated", func() any { return newOrganizationJSON(changed) })
	return changed, nil
}

// DeleteOrganization removes an organization and its memberships. It fails with
// [ErrUnknownOrganization].
func (s *Server) DeleteOrganization(id string) error {
	_, err := locked(s, func() (any, error) { return s.removeOrganization(id) })
	return err
}

func (s *Server) removeOrganization(id string) (any, error) {
	if _, ok := s.organizations.get(id); !ok {
		return nil, ErrUnknownOrganization
	}
	for _, m := range slices.Clone(s.memberships.rows) {
		if m.OrganizationID == id {
			s.memberships.delete(m.key())
		}
	}
	s.organizations.delete(id)
	data := object{"object": "organization", "id": id, "deleted": true}
	s.announce("organization.deleted", func() any { return data })
	return data, nil
}

// AddMembership makes a user a member, [RoleMember] where role is empty. It
// fails with [ErrUnknownUser], [ErrUnknownOrganization] and
// [ErrMembershipExists].
func (s *Server) AddMembership(organizationID, userID, role string) (Membership, error) {
	return locked(s, func() (Membership, error) { return s.addMembership(organizationID, userID, role) })
}

func (s *Server) addMembership(organizationID, userID, role string) (Membership, error) {
	o, ok := s.organizations.byKey[organizationID]
	if !ok {
		return Membership{}, ErrUnknownOrganization
	}
	if _, ok := s.users.get(userID); !ok {
		return Membership{}, ErrUnknownUser
	}
	now := s.now()
	m := Membership{
		ID: newID("orgmem"), OrganizationID: organizationID, UserID: userID, Role: cmp.Or(role, RoleMember),
		CreatedAt: now, UpdatedAt: now,
	}
	if !s.memberships.add(m.key(), m) {
		return Membership{}, ErrMembershipExists
	}
	o.count(m.Role, 1)
	s.announceMembership("created", m)
	return m, nil
}

// UpdateMembership gives a member another role. It fails with
// [ErrUnknownMembership], and with [ErrLastAdmin] where nobody else would be
// admin.
func (s *Server) UpdateMembership(organizationID, userID, role string) (Membership, error) {
	return locked(s, func() (Membership, error) { return s.changeMembership(organizationID, userID, role) })
}

func (s *Server) changeMembership(organizationID, userID, role string) (Membership, error) {
	row, err := s.membership(organizationID, userID)
	if err != nil {
		return Membership{}, err
	}
	o := s.organizations.byKey[organizationID]
	if role != RoleAdmin && row.Role == RoleAdmin && o.admins == 1 {
		return Membership{}, ErrLastAdmin
	}
	o.count(row.Role, -1)
	o.count(role, 1)
	row.Role, row.UpdatedAt = role, s.later(row.UpdatedAt)
	s.announceMembership("updated", *row)
	return *row, nil
}

func (s *Server) membership(organizationID, userID string) (*Membership, error) {
	row, ok := s.memberships.byKey[memberKey{organizationID, userID}]
	if !ok {
		return nil, ErrUnknownMembership
	}
	return row, nil
}

// RemoveMembership takes a user out of an organization. Tokens already signed
// name it until they expire. It fails with [ErrUnknownMembership], and with
// [ErrLastAdmin] where nobody else is admin.
func (s *Server) RemoveMembership(organizationID, userID string) (Membership, error) {
	return locked(s, func() (Membership, error) { return s.removeMembership(organizationID, userID) })
}

func (s *Server) removeMembership(organizationID, userID string) (Membership, error) {
	row, err := s.membership(organizationID, userID)
	if err != nil {
		return Membership{}, err
	}
	if row.Role == RoleAdmin && s.organizations.byKey[organizationID].admins == 1 {
		return Membership{}, ErrLastAdmin
	}
	s.dropMembership(*row)
	s.announceMembership("deleted", *row)
	return *row, nil
}

func (s *Server) dropMembership(m Membership) {
	s.memberships.delete(m.key())
	s.organizations.byKey[m.OrganizationID].count(m.Role, -1)
}

func (s *Server) announceMembership(change string, m Membership) {
	s.announce("organizationMembership."+change, func() any { return s.newMembershipJSON(m) })
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
	o := s.organization(t.organization)
	if o == nil {
		return ErrUnknownMembership
	}
	m, err := s.membership(o.ID, userID)
	if err != nil {
		return err
	}
	features, permissions, masks := packPermissions(rolePermissions[m.Role])
	active := object{"id": o.ID, "slg": o.Slug, "rol": strings.TrimPrefix(m.Role, "org:")}
	if len(features) > 0 {
		t.claims["fea"] = "o:" + strings.Join(features, ",o:")
		active["per"] = strings.Join(permissions, ",")
		active["fpm"] = strings.Join(masks, ",")
	}
	t.claims["o"] = active
	return nil
}

// packPermissions turns "org:teams:read" and so on into what a version 2 token
// holds: the features, the permissions and, for each feature, a bit mask over
// the permissions whose lowest bit is the first.
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
