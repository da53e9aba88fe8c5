// Package organization answers questions about the caller's active organization,
// and shows how an endpoint asks what a caller may do.
package organization

import (
	"cmp"
	"context"

	"encore.dev/beta/errs"

	"encore.app/auth"
	"encore.app/auth/clerkauth"
)

// Organization is the active organization as its member sees it.
type Organization struct {
	ID   string `json:"id"`
	Slug string `json:"slug"`
	// Role is the caller's, such as org:admin.
	Role string `json:"role"`
	// Permissions are the caller's custom permissions.
	Permissions []string `json:"permissions"`
}

// GetOrganization tells callers which organization is active for them.
//
//encore:api auth method=GET path=/organization
func GetOrganization(ctx context.Context) (*Organization, error) {
	caller, err := auth.Caller()
	if err != nil {
		return nil, err
	}
	active := caller.Organization
	if active.ID == "" {
		return nil, &errs.Error{Code: errs.PermissionDenied, Message: "no organization is active"}
	}
	return &Organization{
		ID: active.ID, Slug: active.Slug, Role: active.Role,
		Permissions: append([]string{}, active.Permissions...), // never null
	}, nil
}

// ListMembersParams choose a page of members.
type ListMembersParams struct {
	// Limit is the most members to list, from 1 to 100. The default is 10.
	Limit int `query:"limit"`
	// Offset is how many members to pass over. The default is 0.
	Offset int `query:"offset"`
}

// Validate is called by Encore before the endpoint.
func (p *ListMembersParams) Validate() error {
	if p.Limit < 0 || p.Limit > clerkauth.MaxMembersLimit || p.Offset < 0 {
		return &errs.Error{Code: errs.InvalidArgument, Message: "limit must be from 1 to 100, and offset 0 or more"}
	}
	return nil
}

// ListMembersResponse is a page of members, the oldest first.
type ListMembersResponse struct {
	Members []*Member `json:"members"`
	// Total is the number of members on all pages.
	Total int `json:"total"`
}

// Member is a user in the organization.
type Member struct {
	UserID string `json:"userId"`
	Role   string `json:"role"`
	// Identifier is what the user signs in with: an email address, a phone
	// number or a username.
	Identifier string `json:"identifier" encore:"sensitive"`
	FirstName  string `json:"firstName" encore:"sensitive"`
	LastName   string `json:"lastName" encore:"sensitive"`
}

// ListMembers lists the members of the active organization, to its admins. What
// it says may be ten seconds old.
//
//encore:api auth method=GET path=/organization/members
func (s *Service) ListMembers(ctx context.Context, p *ListMembersParams) (*ListMembersResponse, error) {
	caller, err := auth.Require(clerkauth.Role("org:admin"))
	if err != nil {
		return nil, err
	}
	page, err := s.members.List(ctx, caller.Organization.ID, cmp.Or(p.Limit, 10), p.Offset)
	if err != nil {
		return nil, toEncore(err)
	}
	response := &ListMembersResponse{Members: make([]*Member, 0, len(page.Members)), Total: page.Total}
	for _, m := range page.Members {
		response.Members = append(response.Members, &Member{
			UserID: m.UserID, Role: m.Role, Identifier: m.Identifier, FirstName: m.FirstName, LastName: m.LastName,
		})
	}
	return response, nil
}

// RemoveMember takes a user out of the active organization. It is for admins who
// have proved who they are within the last ten minutes.
//
//encore:api auth method=DELETE path=/organization/members/:userID
func (s *Service) RemoveMember(ctx context.Context, userID string) error {
	caller, err := auth.Require(clerkauth.Role("org:admin"), clerkauth.Reverify(clerkauth.Strict))
	if err != nil {
		return err
	}
	if err := s.members.Remove(ctx, caller.Organization.ID, userID); err != nil {
		return toEncore(err)
	}
	return nil
}
