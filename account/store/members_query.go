package store

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	maxQueryLength    = 100 // bytes
	maxQueryWords     = 4
	maxPositionLength = 150 // bytes
	// searchWindow is the number of members that a search reads one by one. Then
	// it takes fewer than twice as many users from the index of words.
	searchWindow = 1000
)

// membersQuery is [MembersParams], understood.
type membersQuery struct {
	limit, offset int
	search        string
	window        int // of members that are read
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
		return q, invalid("offset must be at most 1000: use after")
	}
	if p.After != "" {
		if q.after, afterErr = parsePosition(p.After); afterErr != nil || q.offset != 0 {
			return q, invalid("after must be next of the page before, without offset")
		}
	}
	if len(p.Q) > maxQueryLength {
		return q, errSearch()
	}
	words := strings.Fields(storable(p.Q))
	if len(words) > maxQueryWords {
		return q, errSearch()
	}
	q.window = q.limit + 1
	if q.search = strings.Join(words, " "); q.search != "" {
		q.window = searchWindow
	}
	if q.search != "" && q.offset != 0 {
		return q, invalid("q goes with after, without offset")
	}
	return q, nil
}

func errSearch() error { return invalid("q must be at most 100 bytes and 4 words") }

// membersStatement returns the query for the members of an organization among the
// next ones, as many as the window has, or among those of the ids. With a search
// there is also a row for the last of the window: it tells that there may be more.
//
// LIMIT keeps PostgreSQL from reading a whole table for a join. It reads users
// by their primary key and the memberships of the ids by their index, one by
// one.
func (q *membersQuery) membersStatement(organizationID string, ids []string) (string, []any) {
	args := []any{organizationID, q.after.joined, q.after.userID, q.limit + 1, q.offset, q.window}
	argument := func(value any) string {
		args = append(args, value)
		return fmt.Sprint("$", len(args))
	}
	const next = "organization_id = $1 AND deleted_at IS NULL AND (created_at, user_id) > ($2, $3)"
	members, found := "memberships WHERE "+next, "true"
	if ids != nil {
		members = "unnest(" + argument(ids) + "::text[]) AS searched (found_id) CROSS JOIN LATERAL " +
			"(SELECT * FROM memberships WHERE user_id = found_id AND " + next + " LIMIT 1) AS one"
	}
	if q.search != "" {
		found = "u.words @@ (SELECT search_query(" + argument(q.search) + "))"
	}
	return `
		SELECT m.user_id, m.role, coalesce(nullif(u.primary_email, ''), nullif(u.username, ''), m.identifier),
			u.first_name, u.last_name, m.created_at, coalesce(` + found + `, false), m.n = $6
		FROM (
			SELECT user_id, role, identifier, created_at, row_number() OVER (ORDER BY created_at, user_id) AS n
			FROM ` + members + `
			ORDER BY created_at, user_id LIMIT $6 OFFSET $5
		) m
		CROSS JOIN LATERAL (SELECT * FROM users WHERE id = m.user_id LIMIT 1) u
		WHERE ` + found + ` OR m.n = $6
		ORDER BY m.created_at, m.user_id LIMIT $4`, args
}

// foundStatement returns the users that a search finds, of all organizations.
const foundStatement = `
	SELECT id FROM users WHERE words @@ (SELECT search_query($1)) AND deleted_at IS NULL LIMIT $2`

// position is where a page ended: after the last member. It holds no personal
// data, because it becomes a part of addresses.
type position struct {
	userID string
	joined time.Time
}

// String returns the position as an opaque text for a client.
func (p position) String() string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d.%s", p.joined.UnixMicro(), p.userID))
}

func parsePosition(s string) (position, error) {
	decoded, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(decoded) > maxPositionLength {
		return position{}, errors.New("not a position")
	}
	micro, userID, _ := strings.Cut(string(decoded), ".")
	joined, err := strconv.ParseInt(micro, 10, 64)
	p := position{userID: userID, joined: time.UnixMicro(joined)}
	if err != nil || p.userID == "" || storable(p.userID) != p.userID || p.joined.Year() < 1 || p.joined.Year() > 9999 {
		return position{}, errors.New("not a position")
	}
	return p, nil
}
