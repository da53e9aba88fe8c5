package fakeclerk

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Roles that Clerk gives every instance.
const (
	RoleAdmin  = "org:admin"
	RoleMember = "org:member"
)

// rolePermissions are the custom permissions of each role. Further roles have none.
var rolePermissions = map[string][]string{
	RoleAdmin:  {"org:dashboard:manage", "org:dashboard:read", "org:teams:manage", "org:teams:read"},
	RoleMember: {"org:dashboard:read", "org:teams:read"},
}

// systemPermissions are Clerk's own. The Backend API lists them; no session token carries them.
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

// Errors of the methods that change organizations and memberships.
var (
	ErrUnknownOrganization = errors.New("unknown organization")
	ErrOrganizationExists  = errors.New("organization id or slug is taken")
	ErrUnknownMembership   = errors.New("user is not a member of the organization")
	ErrMembershipExists    = errors.New("user is already a member of the organization")
	ErrLastAdmin           = errors.New("user is the last admin of the organization")
)

// organizationStore holds the organizations and their members, in order of creation.
type organizationStore struct {
	mu            sync.RWMutex
	organizations []*Organization
	memberships   []*Membership
}

// find looks an organization up by id or slug. The caller holds mu.
func (st *organizationStore) find(idOrSlug string) *Organization {
	i := slices.IndexFunc(st.organizations, func(o *Organization) bool { return o.ID == idOrSlug || o.Slug == idOrSlug })
	if i < 0 || idOrSlug == "" {
		return nil
	}
	return st.organizations[i]
}

// member looks a membership up. The caller holds mu.
func (st *organizationStore) member(organizationID, userID string) *Membership {
	i := slices.IndexFunc(st.memberships, func(m *Membership) bool {
		return m.OrganizationID == organizationID && m.UserID == userID
	})
	if i < 0 {
		return nil
	}
	return st.memberships[i]
}

// lastAdmin reports whether m is its organization's only admin. The caller holds mu.
func (st *organizationStore) lastAdmin(m *Membership) bool {
	return m.Role == RoleAdmin && !slices.ContainsFunc(st.memberships, func(other *Membership) bool {
		return other != m && other.OrganizationID == m.OrganizationID && other.Role == RoleAdmin
	})
}

func (st *organizationStore) members(organizationID string) int {
	st.mu.RLock()
	defer st.mu.RUnlock()
	n := 0
	for _, m := range st.memberships {
		if m.OrganizationID == organizationID {
			n++
		}
	}
	return n
}

func (o *Organization) clone() Organization {
	copied := *o
	copied.PublicMetadata = maps.Clone(o.PublicMetadata)
	return copied
}

// Organization returns an organization, by its id or slug.
func (s *Server) Organization(idOrSlug string) (Organization, bool) {
	s.organizations.mu.RLock()
	defer s.organizations.mu.RUnlock()
	o := s.organizations.find(idOrSlug)
	if o == nil {
		return Organization{}, false
	}
	return o.clone(), true
}

// AddOrganization adds an organization and returns it with its id. As when Clerk creates one, the user
// in CreatedBy becomes its admin. It fails with [ErrOrganizationExists] for a taken id or slug.
func (s *Server) AddOrganization(o Organization) (Organization, error) {
	o.ID = cmp.Or(o.ID, newID("org"))
	o.Slug = cmp.Or(o.Slug, slug(o.Name), strings.ToLower(o.ID))
	o.CreatedAt = s.now()
	o.UpdatedAt = o.CreatedAt
	if err := s.organizations.add(o); err != nil {
		return Organization{}, fmt.Errorf("add organization: %w", err)
	}
	s.announce("organization.created", s.newOrganizationJSON(o))
	if o.CreatedBy != "" {
		if _, err := s.AddMembership(o.ID, o.CreatedBy, RoleAdmin); err != nil {
			return o, err
		}
	}
	return o, nil
}

func (st *organizationStore) add(o Organization) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.find(o.ID) != nil || st.find(o.Slug) != nil {
		return ErrOrganizationExists
	}
	added := o.clone()
	st.organizations = append(st.organizations, &added)
	return nil
}

func slug(name string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(name), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	}), "-")
}

// UpdateOrganization lets change edit an organization; change must not call the Server. It fails with
// [ErrUnknownOrganization], and with [ErrOrganizationExists] for a slug that another one has.
func (s *Server) UpdateOrganization(id string, change func(*Organization)) (Organization, error) {
	o, err := s.organizations.update(id, func(o *Organization) {
		change(o)
		o.ID, o.UpdatedAt = id, s.now()
	})
	if err != nil {
		return Organization{}, fmt.Errorf("update organization: %w", err)
	}
	s.announce("organization.updated", s.newOrganizationJSON(o))
	return o, nil
}

func (st *organizationStore) update(id string, change func(*Organization)) (Organization, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	o := st.find(id)
	if o == nil || o.ID != id {
		return Organization{}, ErrUnknownOrganization
	}
	changed := o.clone()
	change(&changed)
	if other := st.find(changed.Slug); other != nil && other != o {
		return Organization{}, ErrOrganizationExists
	}
	*o = changed
	return o.clone(), nil
}

// DeleteOrganization removes an organization and its memberships. It fails with [ErrUnknownOrganization].
func (s *Server) DeleteOrganization(id string) error {
	st := &s.organizations
	st.mu.Lock()
	known := slices.ContainsFunc(st.organizations, func(o *Organization) bool { return o.ID == id })
	st.organizations = slices.DeleteFunc(st.organizations, func(o *Organization) bool { return o.ID == id })
	st.memberships = slices.DeleteFunc(st.memberships, func(m *Membership) bool { return m.OrganizationID == id })
	st.mu.Unlock()
	if !known {
		return fmt.Errorf("delete organization: %w", ErrUnknownOrganization)
	}
	s.announce("organization.deleted", deletedJSON{Object: "organization", ID: id, Deleted: true})
	return nil
}

// AddMembership makes a user a member, [RoleMember] where role is empty. It fails with [ErrUnknownUser],
// [ErrUnknownOrganization] and [ErrMembershipExists].
func (s *Server) AddMembership(organizationID, userID, role string) (Membership, error) {
	if _, ok := s.store.user(userID); !ok {
		return Membership{}, fmt.Errorf("add membership: %w", ErrUnknownUser)
	}
	now := s.now()
	m := Membership{ID: newID("orgmem"), OrganizationID: organizationID, UserID: userID, Role: cmp.Or(role, RoleMember), CreatedAt: now, UpdatedAt: now}
	if err := s.organizations.addMember(m); err != nil {
		return Membership{}, fmt.Errorf("add membership: %w", err)
	}
	s.announce("organizationMembership.created", s.newMembershipJSON(m))
	return m, nil
}

func (st *organizationStore) addMember(m Membership) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if o := st.find(m.OrganizationID); o == nil || o.ID != m.OrganizationID {
		return ErrUnknownOrganization
	}
	if st.member(m.OrganizationID, m.UserID) != nil {
		return ErrMembershipExists
	}
	st.memberships = append(st.memberships, &m)
	return nil
}

// UpdateMembership gives a member another role. It fails with [ErrUnknownMembership], and with
// [ErrLastAdmin] where nobody else would be admin.
func (s *Server) UpdateMembership(organizationID, userID, role string) (Membership, error) {
	m, err := s.organizations.updateMember(organizationID, userID, role, s.now())
	if err != nil {
		return Membership{}, fmt.Errorf("update membership: %w", err)
	}
	s.announce("organizationMembership.updated", s.newMembershipJSON(m))
	return m, nil
}

func (st *organizationStore) updateMember(organizationID, userID, role string, now time.Time) (Membership, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	m := st.member(organizationID, userID)
	if m == nil {
		return Membership{}, ErrUnknownMembership
	}
	if role != RoleAdmin && st.lastAdmin(m) {
		return Membership{}, ErrLastAdmin
	}
	m.Role, m.UpdatedAt = role, now
	return *m, nil
}

// RemoveMembership takes a user out of an organization. Tokens already signed go on naming it until they
// expire. It fails with [ErrUnknownMembership], and with [ErrLastAdmin] where nobody else is admin.
func (s *Server) RemoveMembership(organizationID, userID string) (Membership, error) {
	m, err := s.organizations.removeMember(organizationID, userID)
	if err != nil {
		return Membership{}, fmt.Errorf("remove membership: %w", err)
	}
	s.announce("organizationMembership.deleted", s.newMembershipJSON(m))
	return m, nil
}

func (st *organizationStore) removeMember(organizationID, userID string) (Membership, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	m := st.member(organizationID, userID)
	if m == nil {
		return Membership{}, ErrUnknownMembership
	}
	if st.lastAdmin(m) {
		return Membership{}, ErrLastAdmin
	}
	st.memberships = slices.DeleteFunc(st.memberships, func(other *Membership) bool { return other == m })
	return *m, nil
}

// removeUser ends the memberships of a user who is deleted, even those of a last admin.
func (st *organizationStore) removeUser(userID string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.memberships = slices.DeleteFunc(st.memberships, func(m *Membership) bool { return m.UserID == userID })
}

// Membership returns a user's membership of an organization.
func (s *Server) Membership(organizationID, userID string) (Membership, bool) {
	s.organizations.mu.RLock()
	defer s.organizations.mu.RUnlock()
	m := s.organizations.member(organizationID, userID)
	if m == nil {
		return Membership{}, false
	}
	return *m, true
}

// ActiveOrganization makes an organization, named by id or slug, the active one of a session token: its
// claims o and fea. The token cannot be had if the user is no member.
func ActiveOrganization(idOrSlug string) TokenOption {
	return func(t *token) {
		userID, _ := t.claims["sub"].(string)
		o, _ := t.server.Organization(idOrSlug)
		m, ok := t.server.Membership(o.ID, userID)
		if !ok {
			t.err = fmt.Errorf("activate organization: %w", ErrUnknownMembership)
			return
		}
		features, permissions, masks := packPermissions(rolePermissions[m.Role])
		active := map[string]any{"id": o.ID, "slg": o.Slug, "rol": strings.TrimPrefix(m.Role, "org:")}
		if len(features) > 0 {
			t.claims["fea"] = "o:" + strings.Join(features, ",o:")
			active["per"] = strings.Join(permissions, ",")
			active["fpm"] = strings.Join(masks, ",")
		}
		t.claims["o"] = active
	}
}

// packPermissions turns "org:teams:read" and so on into what a version 2 token holds: the features, the
// permissions and, for each feature, a bit mask over the permissions whose lowest bit is the first.
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
