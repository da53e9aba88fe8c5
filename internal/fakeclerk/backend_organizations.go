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

func (s *Server) createOrganization(_ *http.Request, o Organization) (any, error) {
	if o.Name == "" {
		return nil, errMissing("name")
	}
	o.ID = ""
	o, err := s.addOrganization(o)
	return newOrganizationJSON(o), err
}

func (s *Server) listMemberships(r *http.Request) (any, error) {
	o := s.organization(r.PathValue("id"))
	if o == nil {
		return nil, ErrUnknownOrganization
	}
	return s.membershipPage(r, func(m *Membership) bool { return m.OrganizationID == o.ID })
}

func (s *Server) listUserMemberships(r *http.Request) (any, error) {
	id := r.PathValue("id")
	if _, ok := s.users.get(id); !ok {
		return nil, ErrUnknownUser
	}
	return s.membershipPage(r, func(m *Membership) bool { return m.UserID == id })
}

// listAllMemberships answers GET /v1/organization_memberships.
func (s *Server) listAllMemberships(r *http.Request) (any, error) {
	return s.membershipPage(r, func(*Membership) bool { return true })
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

func (s *Server) createMembership(r *http.Request, p membershipParams) (any, error) {
	m, err := s.addMembership(r.PathValue("id"), p.UserID, p.Role)
	return s.newMembershipJSON(m), err
}

func (s *Server) updateMembership(r *http.Request, p membershipParams) (any, error) {
	m, err := s.changeMembership(r.PathValue("id"), r.PathValue("user_id"), p.Role)
	return s.newMembershipJSON(m), err
}

func (s *Server) deleteMembership(r *http.Request) (any, error) {
	m, err := s.removeMembership(r.PathValue("id"), r.PathValue("user_id"))
	return s.newMembershipJSON(m), err
}
