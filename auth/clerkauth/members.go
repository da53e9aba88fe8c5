package clerkauth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/organizationmembership"
	"github.com/maypok86/otter/v2"
)

const (
	// MaxMembersLimit is the most members that one page holds.
	MaxMembersLimit = 100

	// membersMaxAge is for how long a page of members is taken as it is.
	membersMaxAge = 10 * time.Second
	// maxMembersBytes bounds the memory that remembered pages take.
	maxMembersBytes = 16 << 20
)

// Errors of [Members] that say something of what was asked for, rather than of
// Clerk or of us. The others are of type [*Error].
var (
	// ErrLastAdministrator: Clerk keeps an organization from losing its last
	// member who may manage it.
	ErrLastAdministrator = errors.New("the organization's last administrator")
)

// Members asks Clerk for the members of organizations, with the same deadline
// and back-off as an [Authenticator], and remembers pages for ten seconds. It
// is safe for concurrent use and needs no closing.
type Members struct {
	client *organizationmembership.Client
	pages  *otter.Cache[membersQuery, MembersPage]
	loader otter.Loader[membersQuery, MembersPage]
}

// Member is a user in an organization.
type Member struct {
	UserID string
	// Role is the user's role in the organization, such as org:admin.
	Role string
	// Identifier is what the user signs in with: an email address, a phone
	// number or a username.
	Identifier          string
	FirstName, LastName string // "" where there is none
	// JoinedAt is when the user became a member.
	JoinedAt time.Time
}

// MembersPage is a part of an organization's members, the oldest first. It is
// shared by those who ask for the same: read it, do not change it.
type MembersPage struct {
	Members []Member
	Total   int // of all pages
}

type membersQuery struct {
	organizationID string
	limit, offset  int
}

// NewMembers returns a Members, or an error that says which option is wrong. Of
// the options it uses SecretKey, APIURL, HTTPClient and Now.
func NewMembers(o Options) (*Members, error) {
	if err := o.complete(); err != nil {
		return nil, fmt.Errorf("clerkauth: %w", err)
	}
	pages := otter.Must(&otter.Options[membersQuery, MembersPage]{
		MaximumWeight:    maxMembersBytes,
		Weigher:          func(q membersQuery, p MembersPage) uint32 { return uint32(len(q.organizationID) + p.size()) },
		ExpiryCalculator: otter.ExpiryWriting[membersQuery, MembersPage](membersMaxAge),
		// Never due before the expiry; without it, Refresh does nothing.
		RefreshCalculator: otter.RefreshWriting[membersQuery, MembersPage](membersMaxAge),
		Clock:             cacheClock(o.Now),
		Logger:            &otter.NoopLogger{},
	})
	m := &Members{client: &organizationmembership.Client{Backend: newBackend(o)}, pages: pages}
	m.loader = otter.LoaderFunc[membersQuery, MembersPage](m.load)
	return m, nil
}

// List gives at most limit members, from 1 to [MaxMembersLimit], after the first
// offset ones. All who ask for the same page at once share one call to Clerk.
// For an organization that is not there the error is [ErrNotFound].
func (m *Members) List(ctx context.Context, organizationID string, limit, offset int) (MembersPage, error) {
	if !isID(organizationID, "org_") {
		return MembersPage{}, ErrNotFound
	}
	query := membersQuery{organizationID, min(max(limit, 1), MaxMembersLimit), max(offset, 0)}
	if page, ok := m.pages.GetIfPresent(query); ok {
		return page, nil
	}
	shared := m.pages.Refresh(context.WithoutCancel(ctx), query, m.loader)
	select {
	case loaded := <-shared:
		return loaded.Value, loaded.Err
	case <-ctx.Done():
		return MembersPage{}, canceled(ctx)
	}
}

// Remove takes a member out of an organization. Session tokens that name the
// organization stay good until they expire. The error is [ErrNotFound] for a
// user who is no member, and [ErrLastAdministrator] for one who must stay.
func (m *Members) Remove(ctx context.Context, organizationID, userID string) error {
	if !isID(organizationID, "org_") || !isUserID(userID) {
		return ErrNotFound
	}
	_, err := m.client.Delete(ctx, &organizationmembership.DeleteParams{OrganizationID: organizationID, UserID: userID})
	for query := range m.pages.Keys() {
		if query.organizationID == organizationID {
			m.pages.Invalidate(query)
		}
	}
	var refused *APIError
	if errors.As(err, &refused) && refused.Code == "organization_minimum_permissions_needed" {
		return ErrLastAdministrator
	}
	return err
}

func (m *Members) load(ctx context.Context, q membersQuery) (MembersPage, error) {
	list, err := m.client.List(ctx, &organizationmembership.ListParams{
		ListParams:     clerk.ListParams{Limit: clerk.Int64(int64(q.limit)), Offset: clerk.Int64(int64(q.offset))},
		OrderBy:        clerk.String("+created_at"), // stays put while members join
		OrganizationID: q.organizationID,
	})
	if err != nil {
		return MembersPage{}, err
	}
	page := MembersPage{Members: make([]Member, 0, len(list.OrganizationMemberships)), Total: int(list.TotalCount)}
	for _, found := range list.OrganizationMemberships {
		if found == nil || found.PublicUserData == nil || found.Organization == nil || found.Organization.ID != q.organizationID {
			return MembersPage{}, &Error{Kind: Unavailable, Reason: ReasonInvalidResponse, cause: errors.New("not the members asked for")}
		}
		user := found.PublicUserData
		page.Members = append(page.Members, Member{
			UserID:     user.UserID,
			Role:       found.Role,
			Identifier: user.Identifier,
			FirstName:  deref(user.FirstName),
			LastName:   deref(user.LastName),
			JoinedAt:   time.UnixMilli(found.CreatedAt).UTC(),
		})
	}
	return page, nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// size estimates the bytes that remembering p takes.
func (p *MembersPage) size() int {
	const fixed, member = 256, 128
	size := fixed + member*len(p.Members)
	for _, m := range p.Members {
		size += len(m.UserID) + len(m.Role) + len(m.Identifier) + len(m.FirstName) + len(m.LastName)
	}
	return size
}
