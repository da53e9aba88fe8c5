package tools

import (
	"context"
	"errors"
	"strings"

	"encore.dev/beta/errs"
	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/organizationmembership"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"encore.app/auth/authz"
	"encore.app/auth/clerkauth"
)

// requirements are what the tools require of their callers, by name.
var requirements = map[string][]clerkauth.Requirement{
	"list_members": {clerkauth.Scope(organizationScope)},
}

// add adds the tools to the server.
func (s *Server) add(server *mcp.Server) {
	mcp.AddTool(server, &mcp.Tool{Name: "whoami", Description: "Tells who the user is, and for which client and organization."},
		tool("whoami", s, func(_ context.Context, caller *clerkauth.Caller) (Identity, error) { return identityOf(caller), nil }))
	mcp.AddTool(server, &mcp.Tool{Name: "list_members", Description: "Lists the members of the organization that the user chose. It is for its admins."},
		tool("list_members", s, s.listMembers))
}

// tool makes the handler of a tool without arguments.
func tool[Out any](name string, s *Server, answer func(context.Context, *clerkauth.Caller) (Out, error)) mcp.ToolHandlerFor[struct{}, Out] {
	return func(ctx context.Context, _ *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, Out, error) {
		var out Out
		caller, ok := clerkauth.FromContext(ctx)
		if !ok {
			return nil, out, errors.New("not signed in")
		}
		var err error
		if required := requirements[name]; required != nil {
			err = authz.Require(caller, s.options.Log, required...)
		}
		if err == nil {
			out, err = answer(ctx, caller)
		}
		var refused *errs.Error
		if errors.As(err, &refused) {
			err = errors.New(refused.Message) // Error() of an errs.Error needs Encore's runtime
		}
		return nil, out, err
	}
}

// Identity is the caller as the server sees it.
type Identity struct {
	UserID         string   `json:"userId"`
	ClientID       string   `json:"clientId"`
	Scopes         []string `json:"scopes"`
	OrganizationID string   `json:"organizationId" jsonschema:"the organization that the user chose, or empty"`
	// Actor is who acts for the user, such as an agent.
	Actor string `json:"actor" jsonschema:"who acts for the user, or empty"`
}

func identityOf(caller *clerkauth.Caller) Identity {
	identity := Identity{
		UserID: caller.UserID, ClientID: caller.ClientID, Scopes: append([]string{}, caller.Scopes...), OrganizationID: caller.Organization.ID,
	}
	if caller.Actor != nil {
		identity.Actor = caller.Actor.Subject
	}
	return identity
}

// Members are the members of an organization, at most 100.
type Members struct {
	Members []Member `json:"members"`
	Total   int64    `json:"total"`
}

// Member is a user in the organization. Email addresses are left out: Encore's
// traces record what a raw endpoint answers.
type Member struct {
	UserID string `json:"userId"`
	Role   string `json:"role"`
	Name   string `json:"name"`
}

// listMembers lists the members of the organization that the user chose. An
// access token names the organization and no role, so the role is fetched from
// Clerk.
func (s *Server) listMembers(ctx context.Context, caller *clerkauth.Caller) (Members, error) {
	members := Members{Members: []Member{}}
	if caller.Organization.ID == "" {
		return members, &errs.Error{Code: errs.PermissionDenied, Message: "the user chose no organization"}
	}
	admins, err := s.memberships(ctx, caller, &organizationmembership.ListParams{UserIDs: []string{caller.UserID}, Roles: []string{"org:admin"}})
	if err != nil {
		return members, err
	}
	if len(admins.OrganizationMemberships) == 0 {
		return members, &errs.Error{Code: errs.PermissionDenied, Message: "requires the role org:admin"}
	}
	all, err := s.memberships(ctx, caller, &organizationmembership.ListParams{ListParams: clerk.ListParams{Limit: clerk.Int64(100)}})
	if err != nil {
		return members, err
	}
	members.Total = all.TotalCount
	for _, m := range all.OrganizationMemberships {
		member := Member{Role: m.Role}
		if user := m.PublicUserData; user != nil {
			member.UserID, member.Name = user.UserID, strings.TrimSpace(text(user.FirstName)+" "+text(user.LastName))
		}
		members.Members = append(members.Members, member)
	}
	return members, nil
}

func (s *Server) memberships(ctx context.Context, caller *clerkauth.Caller, p *organizationmembership.ListParams) (*clerk.OrganizationMembershipList, error) {
	client := &organizationmembership.Client{Backend: s.options.Backend}
	p.OrganizationID = caller.Organization.ID
	list, err := client.List(clerkauth.NewContext(ctx, caller), p)
	if err != nil {
		return nil, authz.Error(err, s.options.Log)
	}
	return list, nil
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
