package store

import (
	"context"
	"errors"
	"time"

	"encore.dev/beta/errs"
	"github.com/jackc/pgx/v5"

	"encore.app/auth/clerkauth"
)

// Limits of a page.
const (
	defaultLimit = 10
	maxLimit     = 100
	// maxOffset bounds the rows that the database reads only to skip them.
	maxOffset = 1000
)

// ToListMembers is what [Store.Members] requires of its caller.
var ToListMembers = []clerkauth.Requirement{clerkauth.Role("org:admin")}

// MembersParams choose a page of members. They are strings so that a caller who
// may not list is told so even if a parameter is malformed: Encore would refuse
// a malformed number before the endpoint runs.
type MembersParams struct {
	// Limit is the most members to list, from 1 to 100. The default is 10.
	Limit string `query:"limit"`
	// Offset is the number of members to skip, at most 1,000. The default is 0.
	Offset string `query:"offset"`
	// After is Next of the page before. It takes the place of Offset.
	After string `query:"after"`
	// Q searches for members by the beginning of their email address, username or
	// a word of their names. Each of up to four words has to be found. It goes
	// with After, not with Offset.
	Q string `query:"q" encore:"sensitive"`
}

// Members is a page of members, the oldest first. The cost of one request is
// bounded: the page of a search may be short or empty and still have a next one.
type Members struct {
	Members []*Member `json:"members"`
	// Total is the number of members of the organization. A search does not
	// change it.
	Total int `json:"total"`
	// Next is the parameter after of the next page, "" on the last one.
	Next string `json:"next"`
}

// Member is a user in the organization.
type Member struct {
	UserID string `json:"userId"`
	Role   string `json:"role"`
	// Identifier is the email address, or without one the username, or without
	// both what Clerk calls the member by, such as a phone number.
	Identifier string `json:"identifier" encore:"sensitive"`
	FirstName  string `json:"firstName" encore:"sensitive"`
	LastName   string `json:"lastName" encore:"sensitive"`
}

// Members returns a page of the members of the caller's active organization. The
// caller has to meet [ToListMembers]. Clerk is not asked.
func (s *Store) Members(ctx context.Context, caller *clerkauth.Caller, p *MembersParams) (*Members, error) {
	query, err := p.parse()
	if err != nil {
		return nil, err
	}
	var page *Members
	err = s.use(ctx, requestTimeout, func(ctx context.Context) (err error) {
		page, err = s.members(ctx, caller.Organization.ID, query)
		return err
	})
	return page, err
}

func (s *Store) members(ctx context.Context, organizationID string, q membersQuery) (*Members, error) {
	page := &Members{Members: make([]*Member, 0, q.limit)}
	var deleted bool
	err := s.pool.QueryRow(ctx, "SELECT members, deleted_at IS NOT NULL FROM organizations WHERE id = $1", organizationID).Scan(&page.Total, &deleted)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		s.log.Warn("an organization is not in the database", "hint", "look whether Clerk's webhooks arrive, and call account.Reconcile")
		return nil, &errs.Error{Code: errs.Unavailable, Message: "the members are not known yet, try again shortly"}
	case err != nil:
		return nil, err
	case deleted:
		return nil, &errs.Error{Code: errs.NotFound, Message: "no such organization"}
	}
	return page, s.fillPage(ctx, organizationID, q, page)
}

// fillPage reads the members of the window one by one. If a search has not filled
// its page by then, the rest comes from the index of words. If the index finds too
// many users, the page ends with the window.
func (s *Store) fillPage(ctx context.Context, organizationID string, q membersQuery, page *Members) error {
	more, err := s.readMembers(ctx, organizationID, &q, nil, page)
	if err != nil || !more {
		return err
	}
	found, err := collect[string](ctx, s.pool, foundStatement, q.search, 2*q.window)
	if err != nil {
		return err
	}
	if len(found) == 2*q.window {
		page.Next = q.after.String()
		return nil
	}
	q.window = len(found) + 1 // all of them
	_, err = s.readMembers(ctx, organizationID, &q, found, page)
	return err
}

// readMembers adds members to the page, as far as it has room. It reports whether
// there may be more, after the window.
func (s *Store) readMembers(ctx context.Context, organizationID string, q *membersQuery, ids []string, page *Members) (more bool, err error) {
	statement, args := q.membersStatement(organizationID, ids)
	rows, err := s.pool.Query(ctx, statement, args...)
	if err != nil {
		return false, err
	}
	var m Member
	var joined time.Time
	var found, last bool
	_, err = pgx.ForEachRow(rows, []any{&m.UserID, &m.Role, &m.Identifier, &m.FirstName, &m.LastName, &joined, &found, &last}, func() error {
		if found && len(page.Members) == q.limit { // there is one more
			page.Next = q.after.String()
			return nil
		}
		if found {
			member := m
			page.Members = append(page.Members, &member)
		}
		q.after, more = position{userID: m.UserID, joined: joined}, last
		return nil
	})
	return more, err
}
