package directory

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"encore.dev/beta/errs"
	"github.com/jackc/pgx/v5"

	"encore.app/auth/clerkauth"
)

// Limits of a page.
const (
	defaultLimit = 10
	maxLimit     = 100
	// maxOffset bounds the rows that the database reads only to skip them. Who
	// wants to see more members goes from page to page with After.
	maxOffset = 10_000
	// maxQueryLength and maxQueryWords bound what a search costs.
	maxQueryLength = 100
	maxQueryWords  = 4
)

// ToListMembers is what [Store.Members] requires of its caller.
var ToListMembers = []clerkauth.Requirement{clerkauth.Role("org:admin")}

// MembersParams choose a page of members. They are strings so that a caller who
// may not list is told so whatever the parameters are: Encore would refuse a
// malformed number before the endpoint runs.
type MembersParams struct {
	// Limit is the most members to list, from 1 to 100. The default is 10.
	Limit string `query:"limit"`
	// Offset is the number of members to skip, at most 10,000. The default is 0.
	Offset string `query:"offset"`
	// After is Next of the page before. It takes the place of Offset.
	After string `query:"after"`
	// Q searches for members by the beginning of their email address, username,
	// first or last name. Each of up to four words has to be found.
	Q string `query:"q" encore:"sensitive"`
}

// Members is a page of members, the oldest first.
type Members struct {
	Members []*Member `json:"members"`
	// Total is the number of members of the organization, whatever is searched.
	Total int `json:"total"`
	// Next is the parameter after of the next page, "" on the last one.
	Next string `json:"next"`
}

// Member is a user in the organization.
type Member struct {
	UserID string `json:"userId"`
	Role   string `json:"role"`
	// Identifier is the email address or, without one, the username. It is ""
	// for a user whom Clerk has not described to this database yet.
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

// membersQuery is [MembersParams], understood.
type membersQuery struct {
	limit, offset int
	words         []string
	after         position
}

func (p *MembersParams) parse() (membersQuery, error) {
	var q membersQuery
	var limitErr, offsetErr, afterErr error
	q.limit, limitErr = strconv.Atoi(cmp.Or(p.Limit, strconv.Itoa(defaultLimit)))
	q.offset, offsetErr = strconv.Atoi(cmp.Or(p.Offset, "0"))
	if limitErr != nil || offsetErr != nil || q.limit < 1 || q.limit > maxLimit || q.offset < 0 {
		return q, invalid("limit must be from 1 to 100, and offset 0 or more")
	}
	if q.offset > maxOffset {
		return q, invalid("offset must be at most 10000: use after")
	}
	if p.After != "" {
		if q.after, afterErr = parsePosition(p.After); afterErr != nil || q.offset != 0 {
			return q, invalid("after must be next of the page before, without offset")
		}
	}
	if q.words = strings.Fields(storable(p.Q)); len(p.Q) > maxQueryLength || len(q.words) > maxQueryWords {
		return q, invalid("q must be at most 100 bytes and 4 words")
	}
	return q, nil
}

func (s *Store) members(ctx context.Context, organizationID string, q membersQuery) (*Members, error) {
	page := &Members{Members: make([]*Member, 0, q.limit)}
	var deleted bool
	err := s.pool.QueryRow(ctx, "SELECT members, deleted_at IS NOT NULL FROM organizations WHERE id = $1", organizationID).Scan(&page.Total, &deleted)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		s.log.Warn("an organization is not in the database: are Clerk's webhooks delivered, and has a reconciliation run?")
		return nil, &errs.Error{Code: errs.Unavailable, Message: "the members are not known yet, try again shortly"}
	case err != nil:
		return nil, err
	case deleted:
		return nil, &errs.Error{Code: errs.NotFound, Message: "no such organization"}
	}
	statement, args := q.statement(organizationID)
	rows, err := s.pool.Query(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	var m Member
	var at position
	_, err = pgx.ForEachRow(rows, []any{&m.UserID, &m.Role, &m.Identifier, &m.FirstName, &m.LastName, &at.created}, func() error {
		if len(page.Members) == q.limit { // one more was asked for, to know whether there is a next page
			return nil
		}
		found := m
		page.Members = append(page.Members, &found)
		if len(page.Members) == q.limit {
			at.userID = m.UserID
			page.Next = at.String()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if rows.CommandTag().RowsAffected() <= int64(q.limit) {
		page.Next = ""
	}
	return page, nil
}

// statement returns the query for a page. It is planned each time for its very
// values (QueryExecModeExec): whether the index of pages or an index of names
// is faster depends on the words.
func (q *membersQuery) statement(organizationID string) (string, []any) {
	args := []any{pgx.QueryExecModeExec, organizationID, q.limit + 1, q.offset}
	statement := `
		SELECT m.user_id, m.role, coalesce(nullif(u.primary_email, ''), u.username), u.first_name, u.last_name, m.created_at
		FROM memberships m JOIN users u ON u.id = m.user_id AND u.deleted_at IS NULL
		WHERE m.organization_id = $1 AND m.deleted_at IS NULL`
	if q.after.userID != "" {
		args = append(args, q.after.created, q.after.userID)
		statement += " AND (m.created_at, m.user_id) > ($4, $5)"
	}
	for _, word := range q.words {
		args = append(args, prefixPattern(word))
		n := len(args) - 1
		statement += fmt.Sprintf(` AND (lower(u.primary_email) LIKE lower($%d::text) OR lower(u.username) LIKE lower($%d::text)
			OR lower(u.first_name) LIKE lower($%d::text) OR lower(u.last_name) LIKE lower($%d::text))`, n, n, n, n)
	}
	return statement + " ORDER BY m.created_at, m.user_id LIMIT $2 OFFSET $3", args
}

// prefixPattern returns the LIKE pattern for texts that begin with the word.
func prefixPattern(word string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(word) + "%"
}

// position is a place in the list of members.
type position struct {
	created time.Time
	userID  string
}

// String returns the position for a client, to whom it means nothing.
func (p position) String() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(p.created.UnixMicro(), 10) + "." + p.userID))
}

func parsePosition(s string) (position, error) {
	decoded, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(decoded) > maxQueryLength {
		return position{}, errors.New("not a position")
	}
	microseconds, id, _ := strings.Cut(string(decoded), ".")
	created, err := strconv.ParseInt(microseconds, 10, 64)
	at := time.UnixMicro(created)
	if err != nil || id == "" || storable(id) != id || at.Year() < 1 || at.Year() > 9999 {
		return position{}, errors.New("not a position")
	}
	return position{at, id}, nil
}
