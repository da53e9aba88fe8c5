package directory

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxQueryLength = 100 // bytes
	maxQueryWords  = 4
	// maxRead bounds the members that one request reads to find those that it is
	// searching for.
	maxRead = 400
)

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
		return q, invalid("offset must be at most 1000: use after")
	}
	if p.After != "" {
		if q.after, afterErr = parsePosition(p.After); afterErr != nil || q.offset != 0 {
			return q, invalid("after must be next of the page before, without offset")
		}
	}
	if q.words = strings.Fields(storable(p.Q)); len(p.Q) > maxQueryLength || len(q.words) > maxQueryWords {
		return q, invalid("q must be at most 100 bytes and 4 words")
	}
	if len(q.words) > 0 && q.offset != 0 {
		return q, invalid("q goes with after, without offset")
	}
	return q, nil
}

// membersStatement returns the query for a page. It decides how to read itself:
// PostgreSQL expects that a search finds its first members soon, and reads a
// large organization from one end to the other for a rare name.
func (s *Store) membersStatement(ctx context.Context, organizationID string, total int, q *membersQuery) (string, []any, error) {
	if len(q.words) > 0 && total > maxRead {
		// The longest word is the rarest, as a rule.
		users, err := collect[string](ctx, s.pool, beginsWith, slices.MaxFunc(q.words, func(a, b string) int { return len(a) - len(b) }), maxRead+1)
		if err != nil {
			return "", nil, err
		}
		if len(users) <= maxRead {
			statement, args := q.amongUsers(organizationID, users)
			return statement, args, nil
		}
	}
	statement, args := q.amongMembers(organizationID)
	return statement, args, nil
}

// beginsWith lists users of whom some name begins with a word, at most $2 by each
// of the indexes. What begins with a word lies between the word and the word with
// the last character of Unicode.
var beginsWith = func() string {
	var parts []string
	for _, column := range []string{"primary_email", "username", "first_name", "last_name"} {
		parts = append(parts, fmt.Sprintf(`(SELECT id FROM users WHERE deleted_at IS NULL
			AND lower(%s) ~>=~ lower($1::text) AND lower(%s) ~<~ (lower($1::text) || chr(1114111)) LIMIT $2)`, column, column))
	}
	return strings.Join(parts, " UNION ") + " LIMIT $2"
}()

const (
	memberColumns = `SELECT m.user_id, m.role, coalesce(nullif(u.primary_email, ''), u.username), u.first_name, u.last_name, m.created_at, `
	// One row at a time, by the primary key: LIMIT keeps PostgreSQL from reading
	// the whole table for a join.
	eachUser = `CROSS JOIN LATERAL (SELECT * FROM users WHERE id = m.user_id LIMIT 1) u `
)

// amongUsers searches the users of the ids, whatever the organization's size.
func (q *membersQuery) amongUsers(organizationID string, users []string) (string, []any) {
	args := []any{organizationID, q.after.created, q.after.userID, q.limit + 1, users}
	filter := q.filter(&args)
	return memberColumns + `false, true
		FROM unnest($5::text[]) AS c (id)
		CROSS JOIN LATERAL (
			SELECT user_id, role, created_at FROM memberships
			WHERE organization_id = $1 AND user_id = c.id AND deleted_at IS NULL AND (created_at, user_id) > ($2, $3) LIMIT 1
		) m ` + eachUser + `
		WHERE ` + filter + ` ORDER BY m.created_at, m.user_id LIMIT $4`, args
}

// amongMembers reads members in order, and of a search at most maxRead. It also
// returns the last one that it read, if there may be more.
func (q *membersQuery) amongMembers(organizationID string) (string, []any) {
	read := q.limit + 1
	if len(q.words) > 0 {
		read = maxRead
	}
	args := []any{organizationID, q.after.created, q.after.userID, q.limit + 1, read, q.offset}
	filter := q.filter(&args)
	if len(q.words) == 0 {
		return memberColumns + `false, true
			FROM (` + someMembers + `) m ` + eachUser + `ORDER BY m.created_at, m.user_id LIMIT $4`, args
	}
	return memberColumns + `m.n = $5, ` + filter + `
		FROM (` + someMembers + `) m ` + eachUser + `
		WHERE m.n = $5 OR ` + filter + ` ORDER BY m.created_at, m.user_id LIMIT $4`, args
}

const someMembers = `
	SELECT user_id, role, created_at, row_number() OVER (ORDER BY created_at, user_id) AS n
	FROM memberships WHERE organization_id = $1 AND deleted_at IS NULL AND (created_at, user_id) > ($2, $3)
	ORDER BY created_at, user_id LIMIT $5 OFFSET $6`

// filter returns the condition for the words, and adds its arguments.
func (q *membersQuery) filter(args *[]any) string {
	conditions := []string{"true"}
	for _, word := range q.words {
		*args = append(*args, prefixPattern(word))
		var columns []string
		for _, column := range []string{"primary_email", "username", "first_name", "last_name"} {
			columns = append(columns, fmt.Sprintf("lower(u.%s) LIKE lower($%d::text)", column, len(*args)))
		}
		conditions = append(conditions, "("+strings.Join(columns, " OR ")+")")
	}
	return "(" + strings.Join(conditions, " AND ") + ")"
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
