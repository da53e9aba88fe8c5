// Package members has the rules of the service organization in plain Go: who
// may call, and what is answered.
package members

import (
	"context"
	"errors"
	"strings"

	"encore.dev/beta/errs"
	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/organizationmembership"

	"encore.app/auth/authz"
	"encore.app/auth/clerkauth"
)

// ToRemove is what [Client.Remove] requires of its caller: admins who have proved
// who they are within the last ten minutes.
var ToRemove = []clerkauth.Requirement{clerkauth.Role("org:admin"), clerkauth.Reverify(clerkauth.Strict)}

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

// Client removes members. The zero value of Log is not usable.
type Client struct {
	Backend clerk.Backend
	Log     authz.Logger
}

// Remove takes a user out of the caller's active organization. Session tokens
// that name the organization stay good until they expire.
func (c *Client) Remove(ctx context.Context, caller *clerkauth.Caller, userID string) error {
	if !isID(caller.Organization.ID, "org_") || !isID(userID, "user_") {
		return notFound()
	}
	memberships := &organizationmembership.Client{Backend: c.Backend}
	ctx = clerkauth.NewContext(ctx, caller) // organizations take turns
	_, err := memberships.Delete(ctx, &organizationmembership.DeleteParams{
		OrganizationID: caller.Organization.ID, UserID: userID,
	})
	if err != nil {
		return c.answer(err)
	}
	return nil
}

// answer turns an error of Clerk's into the one for the client.
func (c *Client) answer(err error) error {
	var refused *clerkauth.APIError
	switch {
	case !errors.As(err, &refused):
		return authz.Error(err, c.Log)
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
