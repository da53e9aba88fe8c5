package fakeclerk

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// organizationJSON is Clerk's Organization resource:
// https://clerk.com/docs/reference/backend-api/model/organization. Times are in milliseconds since 1970.
type organizationJSON struct {
	Object                               string         `json:"object"`
	ID                                   string         `json:"id"`
	Name                                 string         `json:"name"`
	Slug                                 string         `json:"slug"`
	ImageURL                             string         `json:"image_url"`
	HasImage                             bool           `json:"has_image"`
	MembersCount                         *int           `json:"members_count,omitempty"`
	PendingInvitationsCount              *int           `json:"pending_invitations_count,omitempty"`
	MaxAllowedMemberships                int            `json:"max_allowed_memberships"`
	AdminDeleteEnabled                   bool           `json:"admin_delete_enabled"`
	MissingMemberWithElevatedPermissions bool           `json:"missing_member_with_elevated_permissions"`
	PublicMetadata                       map[string]any `json:"public_metadata"`
	PrivateMetadata                      map[string]any `json:"private_metadata"`
	CreatedBy                            string         `json:"created_by,omitempty"`
	CreatedAt                            int64          `json:"created_at"`
	UpdatedAt                            int64          `json:"updated_at"`
}

func (s *Server) newOrganizationJSON(o Organization) organizationJSON {
	members, invitations := s.organizations.members(o.ID), 0
	return organizationJSON{
		Object:                  "organization",
		ID:                      o.ID,
		Name:                    o.Name,
		Slug:                    o.Slug,
		ImageURL:                "https://img.clerk.com/preview.png",
		MembersCount:            &members,
		PendingInvitationsCount: &invitations,
		MaxAllowedMemberships:   100, // Clerk's default
		AdminDeleteEnabled:      true,
		PublicMetadata:          orEmpty(o.PublicMetadata),
		PrivateMetadata:         orEmpty(nil),
		CreatedBy:               o.CreatedBy,
		CreatedAt:               o.CreatedAt.UnixMilli(),
		UpdatedAt:               o.UpdatedAt.UnixMilli(),
	}
}

// membershipJSON is Clerk's OrganizationMembership resource:
// https://clerk.com/docs/reference/backend-api/model/organization-membership.
type membershipJSON struct {
	Object          string             `json:"object"`
	ID              string             `json:"id"`
	Role            string             `json:"role"`
	RoleName        string             `json:"role_name"`
	Permissions     []string           `json:"permissions"`
	PublicMetadata  map[string]any     `json:"public_metadata"`
	PrivateMetadata map[string]any     `json:"private_metadata"`
	Organization    organizationJSON   `json:"organization"`
	PublicUserData  publicUserDataJSON `json:"public_user_data"`
	CreatedAt       int64              `json:"created_at"`
	UpdatedAt       int64              `json:"updated_at"`
}

type publicUserDataJSON struct {
	UserID     string  `json:"user_id"`
	Identifier string  `json:"identifier"`
	FirstName  *string `json:"first_name"`
	LastName   *string `json:"last_name"`
	ImageURL   string  `json:"image_url"`
	HasImage   bool    `json:"has_image"`
}

func (s *Server) newMembershipJSON(m Membership) membershipJSON {
	o, _ := s.Organization(m.OrganizationID)
	user, _ := s.store.user(m.UserID)
	return membershipJSON{
		Object:          "organization_membership",
		ID:              m.ID,
		Role:            m.Role,
		RoleName:        strings.TrimPrefix(m.Role, "org:"),
		Permissions:     slices.Concat(systemPermissions[m.Role], rolePermissions[m.Role]),
		PublicMetadata:  orEmpty(nil),
		PrivateMetadata: orEmpty(nil),
		Organization:    s.newOrganizationJSON(o),
		PublicUserData: publicUserDataJSON{
			UserID:     m.UserID,
			Identifier: cmp.Or(user.PrimaryEmailAddress(), user.Username),
			FirstName:  nullable(user.FirstName),
			LastName:   nullable(user.LastName),
			ImageURL:   "https://img.clerk.com/preview.png",
		},
		CreatedAt: m.CreatedAt.UnixMilli(),
		UpdatedAt: m.UpdatedAt.UnixMilli(),
	}
}

// deletedJSON is what stands for a resource that was deleted.
type deletedJSON struct {
	Object     string `json:"object"`
	ID         string `json:"id"`
	ExternalID string `json:"external_id,omitempty"`
	Deleted    bool   `json:"deleted"`
}

func (s *Server) organizationRoutes() {
	s.api("POST /v1/organizations", s.createOrganization)
	s.api("GET /v1/organizations/{id}", s.getOrganization)
	s.api("PATCH /v1/organizations/{id}", s.updateOrganization)
	s.api("DELETE /v1/organizations/{id}", s.deleteOrganization)
	s.api("GET /v1/organizations/{id}/memberships", s.listMemberships)
	s.api("POST /v1/organizations/{id}/memberships", s.createMembership)
	s.api("PATCH /v1/organizations/{id}/memberships/{user_id}", s.updateMembership)
	s.api("DELETE /v1/organizations/{id}/memberships/{user_id}", s.deleteMembership)
}

// getOrganization answers GET /v1/organizations/{id}, where id may be a slug.
func (s *Server) getOrganization(r *http.Request) (any, error) {
	id := r.PathValue("id")
	o, ok := s.Organization(id)
	if !ok {
		return nil, errNotFound("organization", id)
	}
	return s.newOrganizationJSON(o), nil
}

// createOrganization answers POST /v1/organizations.
func (s *Server) createOrganization(r *http.Request) (any, error) {
	p, err := readParams(r)
	if err != nil {
		return nil, err
	}
	var o Organization
	if err := errors.Join(readOrganization(p, &o), p.read("created_by", &o.CreatedBy)); err != nil {
		return nil, err
	}
	if o.Name == "" {
		return nil, errParam("form_param_missing", "name", "name must be included.")
	}
	if o.CreatedBy != "" {
		if _, ok := s.store.user(o.CreatedBy); !ok {
			return nil, errNotFound("user", o.CreatedBy)
		}
	}
	o, err = s.AddOrganization(o)
	if err != nil {
		return nil, organizationError(err, o.ID)
	}
	return s.newOrganizationJSON(o), nil
}

// updateOrganization answers PATCH /v1/organizations/{id}.
func (s *Server) updateOrganization(r *http.Request) (any, error) {
	id := r.PathValue("id")
	p, err := readParams(r)
	if err != nil {
		return nil, err
	}
	var invalid error
	o, err := s.UpdateOrganization(id, func(o *Organization) {
		changed := *o
		if invalid = readOrganization(p, &changed); invalid == nil {
			*o = changed
		}
	})
	if err := cmp.Or(organizationError(err, id), invalid); err != nil {
		return nil, err
	}
	return s.newOrganizationJSON(o), nil
}

// readOrganization reads what an organization can be created with and changed to.
func readOrganization(p params, o *Organization) error {
	return errors.Join(p.read("name", &o.Name), p.read("slug", &o.Slug), p.read("public_metadata", &o.PublicMetadata))
}

// deleteOrganization answers DELETE /v1/organizations/{id}.
func (s *Server) deleteOrganization(r *http.Request) (any, error) {
	id := r.PathValue("id")
	if err := s.DeleteOrganization(id); err != nil {
		return nil, organizationError(err, id)
	}
	return deletedJSON{Object: "organization", ID: id, Deleted: true}, nil
}

// listMemberships answers GET /v1/organizations/{id}/memberships.
func (s *Server) listMemberships(r *http.Request) (any, error) {
	id := r.PathValue("id")
	o, ok := s.Organization(id)
	if !ok {
		return nil, errNotFound("organization", id)
	}
	query := r.URL.Query()
	members, err := s.filterMemberships(o.ID, query)
	if err != nil {
		return nil, err
	}
	total := len(members)
	members, err = page(members, query)
	if err != nil {
		return nil, err
	}
	list := make([]membershipJSON, len(members))
	for i, m := range members {
		list[i] = s.newMembershipJSON(m)
	}
	return map[string]any{"data": list, "total_count": total}, nil
}

// filterMemberships returns an organization's members that pass the query, the newest first unless it
// says otherwise.
func (s *Server) filterMemberships(organizationID string, query url.Values) ([]Membership, error) {
	for name := range query {
		switch strings.TrimSuffix(name, "[]") {
		case "limit", "offset", "order_by", "role", "user_id", "paginated":
		default:
			return nil, errParam("form_param_unknown", name, "fakeclerk has no filter "+name)
		}
	}
	roles := slices.Concat(query["role"], query["role[]"])
	users := slices.Concat(query["user_id"], query["user_id[]"])
	st := &s.organizations
	st.mu.RLock()
	defer st.mu.RUnlock()
	var members []Membership
	for _, m := range st.memberships {
		if m.OrganizationID == organizationID &&
			(len(roles) == 0 || slices.Contains(roles, m.Role)) && (len(users) == 0 || slices.Contains(users, m.UserID)) {
			members = append(members, *m)
		}
	}
	switch query.Get("order_by") {
	case "created_at", "+created_at", " created_at": // "+" is a space where it was not escaped
	case "", "-created_at":
		slices.Reverse(members)
	default:
		return nil, errParam("form_param_value_invalid", "order_by", "fakeclerk cannot order by "+query.Get("order_by"))
	}
	return members, nil
}

// createMembership answers POST /v1/organizations/{id}/memberships.
func (s *Server) createMembership(r *http.Request) (any, error) {
	p, err := readParams(r)
	if err != nil {
		return nil, err
	}
	var userID, role string
	if err := errors.Join(p.read("user_id", &userID), p.read("role", &role)); err != nil {
		return nil, err
	}
	m, err := s.AddMembership(r.PathValue("id"), userID, role)
	return s.answerMembership(r.PathValue("id"), m, err)
}

// updateMembership answers PATCH /v1/organizations/{id}/memberships/{user_id}.
func (s *Server) updateMembership(r *http.Request) (any, error) {
	p, err := readParams(r)
	if err != nil {
		return nil, err
	}
	var role string
	if err := p.read("role", &role); err != nil {
		return nil, err
	}
	m, err := s.UpdateMembership(r.PathValue("id"), r.PathValue("user_id"), role)
	return s.answerMembership(r.PathValue("id"), m, err)
}

// deleteMembership answers DELETE /v1/organizations/{id}/memberships/{user_id}.
func (s *Server) deleteMembership(r *http.Request) (any, error) {
	m, err := s.RemoveMembership(r.PathValue("id"), r.PathValue("user_id"))
	return s.answerMembership(r.PathValue("id"), m, err)
}

func (s *Server) answerMembership(organizationID string, m Membership, err error) (any, error) {
	if err != nil {
		return nil, organizationError(err, organizationID)
	}
	return s.newMembershipJSON(m), nil
}

// organizationError is Clerk's answer to what the methods of [Server] refuse.
func organizationError(err error, id string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrUnknownOrganization):
		return errNotFound("organization", id)
	case errors.Is(err, ErrUnknownUser):
		return errNotFound("user", "")
	case errors.Is(err, ErrUnknownMembership):
		return errNotFound("organization membership", id)
	case errors.Is(err, ErrOrganizationExists):
		return errParam("form_identifier_exists", "slug", "That slug is taken. Please try another.")
	case errors.Is(err, ErrMembershipExists):
		return &apiError{
			status: http.StatusBadRequest, code: "already_a_member_in_organization",
			message: "already a member", longMessage: "User is already a member of the organization",
		}
	case errors.Is(err, ErrLastAdmin):
		return &apiError{
			status: http.StatusBadRequest, code: "organization_minimum_permissions_needed",
			message:     "missing critical permissions",
			longMessage: "There has to be at least one organization member with the minimum required permissions",
		}
	}
	return err
}
