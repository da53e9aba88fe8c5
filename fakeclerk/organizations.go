package fakeclerk

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Organization is a group of users.
type Organization struct {
	// ID is "org_…". [Server.AddOrganization] makes one up where it is empty.
	ID   string `json:"id"`
	Name string `json:"name"`
	// Slug is the organization's name in URLs. Made from Name where it is empty.
	Slug           string         `json:"slug"`
	CreatedBy      string         `json:"created_by,omitzero"` // a user id, or ""
	PublicMetadata map[string]any `json:"public_metadata"`

	CreatedAt time.Time `json:"-"` // set by AddOrganization
	UpdatedAt time.Time `json:"-"` // set by AddOrganization and UpdateOrganization

	members int // how many there are
}

// Membership is a user's place in an organization.
type Membership struct {
	ID             string    `json:"id"` // "orgmem_…"
	OrganizationID string    `json:"-"`
	UserID         string    `json:"-"`
	Role           string    `json:"role"` // "org:admin", "org:member" or one of your own
	CreatedAt      time.Time `json:"-"`
	UpdatedAt      time.Time `json:"-"`
}

type memberKey struct{ organizationID, userID string }

// SetOrganizationsEnabled switches organizations on or off. While they are off,
// the Backend API refuses every request about them, and keeps what there is.
func (s *Server) SetOrganizationsEnabled(enabled bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noOrganizations = !enabled
}

// ofOrganizations makes the handler of a route that is there while organizations
// are switched on.
func (s *Server) ofOrganizations(answer handler) handler {
	return func(r *http.Request) (any, error) {
		if s.noOrganizations {
			return nil, ErrOrganizationsDisabled
		}
		return answer(r)
	}
}

// organization finds an organization by id or slug.
func (s *Server) organization(idOrSlug string) (*Organization, error) {
	if o, ok := s.organizations.byKey[idOrSlug]; ok {
		return o, nil
	}
	i := slices.IndexFunc(s.organizations.rows, func(o *Organization) bool { return o.Slug == idOrSlug })
	if i < 0 {
		return nil, ErrUnknownOrganization
	}
	return s.organizations.rows[i], nil
}

// AddOrganization adds an organization and returns it with its id. As when Clerk
// creates one, the user in CreatedBy becomes its admin. It fails with
// [ErrOrganizationExists] for a taken id or slug, and with [ErrUnknownUser].
func (s *Server) AddOrganization(o Organization) (Organization, error) {
	return locked(s, func() (*Organization, error) { return s.addOrganization(o) })
}

func (s *Server) addOrganization(o Organization) (*Organization, error) {
	o.ID = cmp.Or(o.ID, newID("org"))
	o.Slug = cmp.Or(o.Slug, slug(o.Name), strings.ToLower(o.ID))
	o.CreatedAt = s.now()
	o.UpdatedAt, o.PublicMetadata = o.CreatedAt, maps.Clone(o.PublicMetadata)
	if _, err := s.users.find(o.CreatedBy); err != nil && o.CreatedBy != "" {
		return nil, err
	}
	if _, err := s.organization(o.Slug); err == nil || !s.organizations.add(o.ID, &o) {
		return nil, ErrOrganizationExists
	}
	s.announce("organization.created", &o)
	if o.CreatedBy != "" {
		if _, err := s.addMembership(o.ID, o.CreatedBy, RoleAdmin); err != nil {
			return nil, err
		}
	}
	return &o, nil
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
	return locked(s, func() (*Organization, error) {
		row, err := s.organizations.find(id)
		if err != nil {
			return nil, err
		}
		changed := *row
		changed.PublicMetadata = maps.Clone(row.PublicMetadata)
		change(&changed)
		if other, err := s.organization(changed.Slug); err == nil && other != row {
			return nil, ErrOrganizationExists
		}
		changed.ID, changed.CreatedAt, changed.UpdatedAt = id, row.CreatedAt, s.later(row.UpdatedAt)
		*row = changed
		s.announce("organization.updated", row)
		return row, nil
	})
}

// DeleteOrganization removes an organization and its memberships. It fails with
// [ErrUnknownOrganization].
func (s *Server) DeleteOrganization(id string) error {
	_, err := locked(s, func() (*Organization, error) {
		o, err := s.organizations.find(id)
		if err != nil {
			return nil, err
		}
		for _, m := range s.memberships.where(func(m *Membership) bool { return m.OrganizationID == id }) {
			s.dropMembership(m)
		}
		s.organizations.delete(id)
		s.announce("organization.deleted", deletion{Object: "organization", ID: id, Deleted: true})
		return o, nil
	})
	return err
}

// AddMembership makes a user a member, [RoleMember] where role is empty. It
// fails with [ErrUnknownUser], [ErrUnknownOrganization] and
// [ErrMembershipExists].
func (s *Server) AddMembership(organizationID, userID, role string) (Membership, error) {
	return locked(s, func() (*Membership, error) { return s.addMembership(organizationID, userID, role) })
}

func (s *Server) addMembership(organizationID, userID, role string) (*Membership, error) {
	o, err := s.organizations.find(organizationID)
	if err != nil {
		return nil, err
	}
	if _, err := s.users.find(userID); err != nil {
		return nil, err
	}
	m := &Membership{
		ID: newID("orgmem"), OrganizationID: organizationID, UserID: userID, Role: cmp.Or(role, RoleMember), CreatedAt: s.now(),
	}
	m.UpdatedAt = m.CreatedAt
	if !s.memberships.add(memberKey{organizationID, userID}, m) {
		return nil, ErrMembershipExists
	}
	o.members++
	s.announce("organizationMembership.created", m)
	return m, nil
}

// UpdateMembership gives a member another role. It fails with
// [ErrUnknownMembership], and with [ErrLastAdmin] where no admin would be left.
func (s *Server) UpdateMembership(organizationID, userID, role string) (Membership, error) {
	return locked(s, func() (*Membership, error) { return s.changeMembership(organizationID, userID, role) })
}

func (s *Server) changeMembership(organizationID, userID, role string) (*Membership, error) {
	m, err := s.memberships.find(memberKey{organizationID, userID})
	if err != nil {
		return nil, err
	}
	if role != RoleAdmin && s.lastAdmin(m) {
		return nil, ErrLastAdmin
	}
	m.Role, m.UpdatedAt = role, s.later(m.UpdatedAt)
	s.announce("organizationMembership.updated", m)
	return m, nil
}

// lastAdmin reports whether a member is admin and no other one is.
func (s *Server) lastAdmin(m *Membership) bool {
	return m.Role == RoleAdmin && !slices.ContainsFunc(s.memberships.rows, func(other *Membership) bool {
		return other != m && other.OrganizationID == m.OrganizationID && other.Role == RoleAdmin
	})
}

// RemoveMembership takes a user out of an organization. Tokens already signed
// name it until they expire. It fails with [ErrUnknownMembership], and with
// [ErrLastAdmin] where no other member is admin.
func (s *Server) RemoveMembership(organizationID, userID string) (Membership, error) {
	return locked(s, func() (*Membership, error) { return s.removeMembership(organizationID, userID) })
}

func (s *Server) removeMembership(organizationID, userID string) (*Membership, error) {
	m, err := s.memberships.find(memberKey{organizationID, userID})
	if err != nil {
		return nil, err
	}
	if s.lastAdmin(m) {
		return nil, ErrLastAdmin
	}
	s.dropMembership(m)
	s.announce("organizationMembership.deleted", m)
	return m, nil
}

func (s *Server) dropMembership(m *Membership) {
	s.memberships.delete(memberKey{m.OrganizationID, m.UserID})
	s.organizations.byKey[m.OrganizationID].members--
}

func (s *Server) listOrganizations(r *http.Request) (any, error) {
	return listing[Organization]{
		rows: s.organizations.rows,
		filters: map[string]filter[Organization]{
			"organization_id": oneOf(func(o *Organization) string { return o.ID }),
			"query": anyOf(func(o *Organization, query string) bool {
				return strings.Contains(strings.ToLower(o.Name), strings.ToLower(query)) || o.ID == query || o.Slug == query
			}),
			"user_id": anyOf(func(o *Organization, userID string) bool {
				_, err := s.memberships.find(memberKey{o.ID, strings.TrimLeft(userID, "+ ")})
				return err == nil
			}),
		},
		orders: map[string]func(a, b *Organization) int{
			"name":          func(a, b *Organization) int { return cmp.Compare(a.Name, b.Name) },
			"members_count": func(a, b *Organization) int { return cmp.Compare(a.members, b.members) },
		},
	}.object("data", r.URL.Query())
}

func (s *Server) createOrganization(_ *http.Request, o Organization) (any, error) {
	if o.Name == "" {
		return nil, errMissing("name")
	}
	o.ID = ""
	return s.addOrganization(o)
}

func (s *Server) listMemberships(r *http.Request) (any, error) {
	o, err := s.organization(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return membershipPage(r, s.memberships.where(func(m *Membership) bool { return m.OrganizationID == o.ID }))
}

func (s *Server) listUserMemberships(r *http.Request) (any, error) {
	user, err := s.users.find(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return membershipPage(r, s.membershipsOf(user.ID))
}

func (s *Server) membershipsOf(userID string) []*Membership {
	return s.memberships.where(func(m *Membership) bool { return m.UserID == userID })
}

func membershipPage(r *http.Request, rows []*Membership) (any, error) {
	return listing[Membership]{
		rows: rows,
		filters: map[string]filter[Membership]{
			"role":    equal(func(m *Membership) string { return m.Role }),
			"user_id": oneOf(func(m *Membership) string { return m.UserID }),
		},
		orders: map[string]func(a, b *Membership) int{
			"updated_at": func(a, b *Membership) int { return a.UpdatedAt.Compare(b.UpdatedAt) },
		},
	}.object("data", r.URL.Query())
}

type membershipParams struct {
	UserID string `json:"user_id"`
	Role   string `json:"role"`
}

func (s *Server) createMembership(r *http.Request, p membershipParams) (any, error) {
	return s.addMembership(r.PathValue("id"), p.UserID, p.Role)
}

func (s *Server) updateMembership(r *http.Request, p membershipParams) (any, error) {
	return s.changeMembership(r.PathValue("id"), r.PathValue("user_id"), p.Role)
}

func (s *Server) deleteMembership(r *http.Request) (any, error) {
	return s.removeMembership(r.PathValue("id"), r.PathValue("user_id"))
}
