// Package members has the rules of the organization endpoints in plain Go: who
// may call, what parameters mean, and what is answered.
package members

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"strings"

	"encore.dev/beta/errs"
	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/organizationmembership"

	"encore.app/auth/access"
	"encore.app/auth/clerkauth"
)

// What the endpoints require of their caller.
var (
	// ToList is for admins.
	ToList = []clerkauth.Requirement{clerkauth.Role("org:admin")}
	// ToRemove is for admins who have proved who they are within the last ten
	// minutes.
	ToRemove = []clerkauth.Requirement{clerkauth.Role("org:admin"), clerkauth.Reverify(clerkauth.Strict)}
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

// Active returns the caller's active organization.
func Active(caller *clerkauth.Caller) (*Organization, error) {
	active := caller.Organization
	if active.ID == "" {
		return nil, &errs.Error{Code: errs.PermissionDenied, Message: "no organization is active"}
	}
	return &Organization{
		ID: active.ID, Slug: active.Slug, Role: active.Role,
		Permissions: append([]string{}, active.Permissions...), // never null
	}, nil
}

// Limits of a page.
const (
	defaultLimit = 10
	maxLimit     = 100
)

// ListParams choose a page of members. They are strings so that a caller who
// may not list is told so whatever the parameters are: Encore would refuse a
// malformed number before the endpoint runs.
type ListParams struct {
	// Limit is the most members to list, from 1 to 100. The default is 10.
	Limit string `query:"limit"`
	// Offset is the number of members to skip. The default is 0.
	Offset string `query:"offset"`
}

// parse returns limit and offset as numbers.
func (p *ListParams) parse() (limit, offset int, err error) {
	limit, limitErr := strconv.Atoi(cmp.Or(p.Limit, strconv.Itoa(defaultLimit)))
	offset, offsetErr := strconv.Atoi(cmp.Or(p.Offset, "0"))
	if limitErr != nil || offsetErr != nil || limit < 1 || limit > maxLimit || offset < 0 {
		return 0, 0, &errs.Error{Code: errs.InvalidArgument, Message: "limit must be from 1 to 100, and offset 0 or more"}
	}
	return limit, offset, nil
}

// Page is a page of members, the oldest first.
type Page struct {
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

// Client lists and removes members. The zero value of Log is not usable.
type Client struct {
	Backend clerk.Backend
	Log     access.Logger
}

// List returns a page of the members of the caller's active organization.
func (c *Client) List(ctx context.Context, caller *clerkauth.Caller, p *ListParams) (*Page, error) {
	limit, offset, err := p.parse()
	if err != nil {
		return nil, err
	}
	id := caller.Organization.ID
	if !isID(id, "org_") {
		return nil, notFound()
	}
	list, err := c.memberships().List(ctx, &organizationmembership.ListParams{
		ListParams:     clerk.ListParams{Limit: clerk.Int64(int64(limit)), Offset: clerk.Int64(int64(offset))},
		OrderBy:        clerk.String("+created_at"), // stays put while members join
		OrganizationID: id,
	})
	if err != nil {
		return nil, c.answer(err)
	}
	page := &Page{Members: make([]*Member, 0, len(list.OrganizationMemberships)), Total: int(list.TotalCount)}
	for _, found := range list.OrganizationMemberships {
		if found == nil || found.PublicUserData == nil || found.Organization == nil || found.Organization.ID != id {
			return nil, c.answer(&clerkauth.Error{Kind: clerkauth.Unavailable, Reason: clerkauth.ReasonInvalidResponse})
		}
		user := found.PublicUserData
		page.Members = append(page.Members, &Member{
			UserID:     user.UserID,
			Role:       found.Role,
			Identifier: user.Identifier,
			FirstName:  deref(user.FirstName),
			LastName:   deref(user.LastName),
		})
	}
	return page, nil
}

// Remove takes a user out of the caller's active organization. Session tokens
// that name the organization stay good until they expire.
func (c *Client) Remove(ctx context.Context, caller *clerkauth.Caller, userID string) error {
	if !isID(caller.Organization.ID, "org_") || !isID(userID, "user_") {
		return notFound()
	}
	_, err := c.memberships().Delete(ctx, &organizationmembership.DeleteParams{
		OrganizationID: caller.Organization.ID, UserID: userID,
	})
	if err != nil {
		return c.answer(err)
	}
	return nil
}

func (c *Client) memberships() *organizationmembership.Client {
	return &organizationmembership.Client{Backend: c.Backend}
}

// answer turns an error of Clerk's into the one for the client.
func (c *Client) answer(err error) error {
	var refused *clerkauth.APIError
	switch {
	case !errors.As(err, &refused):
		return access.Error(err, c.Log)
	case refused.Code == "organization_minimum_permissions_needed":
		// Clerk keeps an organization from losing its last administrator. The
		// code decides: Clerk does not document the status.
		return &errs.Error{Code: errs.FailedPrecondition, Message: "an organization needs an admin"}
	case errors.Is(err, clerkauth.ErrNotFound):
		return notFound()
	}
	c.Log.Error("Clerk refused a request", "status", refused.Status, "code", refused.Code)
	return &errs.Error{Code: errs.Internal, Message: "internal error"}
}

func notFound() error { return &errs.Error{Code: errs.NotFound, Message: "no such member"} }

// isID reports whether the id may be a part of a path at Clerk.
func isID(id, prefix string) bool {
	id, ok := strings.CutPrefix(id, prefix)
	return ok && id != "" && strings.Trim(id, "_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
