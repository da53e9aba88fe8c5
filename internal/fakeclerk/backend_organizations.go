package fakeclerk

import (
	"cmp"
	"net/http"
	"strings"
)

// getOrganization answers GET /v1/organizations/{id}, where id may be a slug.
func (s *Server) getOrganization(r *http.Request) (any, error) {
	o := s.organization(r.PathValue("id"))
	if o == nil {
		return nil, ErrUnknownOrganization
	}
	return newOrganizationJSON(*o), nil
}

// listOrganizations answers GET /v1/organizations.
func (s *Server) listOrganizations(r *http.Request) (any, error) {
	id := func(o *Organization) string { return o.ID }
	organizations, total, err := listing[Organization]{
		rows: s.organizations.rows,
		filters: map[string]filter[Organization]{
			"organization_id": oneOf(id),
			"query": anyOf(func(o *Organization, query string) bool {
				return strings.Contains(strings.ToLower(o.Name), strings.ToLower(query)) || o.ID == query || o.Slug == query
			}),
			"user_id": anyOf(func(o *Organization, userID string) bool {
				_, err := s.membership(o.ID, strings.TrimLeft(userID, "+ "))
				return err == nil
			}),
		},
		orders: map[string]func(a, b *Organization) int{
			"name":          func(a, b *Organization) int { return cmp.Compare(a.Name, b.Name) },
			"members_count": func(a, b *Organization) int { return cmp.Compare(a.members, b.members) },
		},
	}.page(r.URL.Query())
	return object{"data": each(organizations, newOrganizationJSON), "total_count": total}, err
}

// organizationParams are what an organization can be created with and changed
// to.
type organizationParams struct {
	Name           string         `json:"name"`
	Slug           string         `json:"slug"`
	PublicMetadata map[string]any `json:"public_metadata"`
	CreatedBy      string         `json:"created_by"` // only to create one
}

// createOrganization answers POST /v1/organizations.
func (s *Server) createOrganization(r *http.Request) (any, error) {
	var p organizationParams
	if err := decode(r, &p); err != nil {
		return nil, err
	}
	if p.Name == "" {
		return nil, errMissing("name")
	}
	o, err := s.addOrganization(Organization{Name: p.Name, Slug: p.Slug, PublicMetadata: p.PublicMetadata, CreatedBy: p.CreatedBy})
	return newOrganizationJSON(o), err
}

// updateOrganization answers PATCH /v1/organizations/{id}.
func (s *Server) updateOrganization(r *http.Request) (any, error) {
	id := r.PathValue("id")
	o, _ := s.organizations.get(id)
	p := organizationParams{Name: o.Name, Slug: o.Slug, PublicMetadata: o.clone().PublicMetadata}
	if err := decode(r, &p); err != nil {
		return nil, err
	}
	o, err := s.changeOrganization(id, func(o *Organization) {
		o.Name, o.Slug, o.PublicMetadata = p.Name, p.Slug, p.PublicMetadata
	})
	return newOrganizationJSON(o), err
}

// deleteOrganization answers DELETE /v1/organizations/{id}.
func (s *Server) deleteOrganization(r *http.Request) (any, error) {
	return s.removeOrganization(r.PathValue("id"))
}

// listMemberships answers GET /v1/organizations/{id}/memberships.
func (s *Server) listMemberships(r *http.Request) (any, error) {
	o := s.organization(r.PathValue("id"))
	if o == nil {
		return nil, ErrUnknownOrganization
	}
	return s.membershipPage(r, func(m *Membership) bool { return m.OrganizationID == o.ID })
}

// listUserMemberships answers GET /v1/users/{id}/organization_memberships.
func (s *Server) listUserMemberships(r *http.Request) (any, error) {
	id := r.PathValue("id")
	if _, ok := s.users.get(id); !ok {
		return nil, ErrUnknownUser
	}
	return s.membershipPage(r, func(m *Membership) bool { return m.UserID == id })
}

func (s *Server) membershipPage(r *http.Request, keep func(*Membership) bool) (any, error) {
	var rows []*Membership
	for _, m := range s.memberships.rows {
		if keep(m) {
			rows = append(rows, m)
		}
	}
	memberships, total, err := listing[Membership]{
		rows: rows,
		filters: map[string]filter[Membership]{
			"role":    equal(func(m *Membership) string { return m.Role }),
			"user_id": oneOf(func(m *Membership) string { return m.UserID }),
		},
		orders: map[string]func(a, b *Membership) int{
			"updated_at": func(a, b *Membership) int { return a.UpdatedAt.Compare(b.UpdatedAt) },
		},
	}.page(r.URL.Query())
	return object{"data": each(memberships, s.newMembershipJSON), "total_count": total}, err
}

type membershipParams struct {
	UserID string `json:"user_id"`
	Role   string `json:"role"`
}

// createMembership answers POST /v1/organizations/{id}/memberships.
func (s *Server) createMembership(r *http.Request) (any, error) {
	var p membershipParams
	if err := decode(r, &p); err != nil {
		return nil, err
	}
	m, err := s.addMembership(r.PathValue("id"), p.UserID, p.Role)
	return s.newMembershipJSON(m), err
}

// updateMembership answers PATCH /v1/organizations/{id}/memberships/{user_id}.
func (s *Server) updateMembership(r *http.Request) (any, error) {
	var p membershipParams
	if err := decode(r, &p); err != nil {
		return nil, err
	}
	m, err := s.changeMembership(r.PathValue("id"), r.PathValue("user_id"), p.Role)
	return s.newMembershipJSON(m), err
}

// deleteMembership answers DELETE /v1/organizations/{id}/memberships/{user_id}.
func (s *Server) deleteMembership(r *http.Request) (any, error) {
	m, err := s.removeMembership(r.PathValue("id"), r.PathValue("user_id"))
	return s.newMembershipJSON(m), err
}
