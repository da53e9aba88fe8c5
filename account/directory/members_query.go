package directory

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
	// maxRead bounds the members that a search reads beyond its page, because they
	// lack another of its words or are found by two.
	maxRead = 100
)

// membersQuery is [MembersParams], understood.
type membersQuery struct {
	limit, offset int
	words         []string
	along         int // the number of the word that a search walks along
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
	if q.along = q.after.along; q.along >= max(len(q.words), 1) {
		return q, invalid("after must be next of the page before, of the same search")
	}
	return q, nil
}

const memberColumns = `m.role, coalesce(nullif(u.primary_email, ''), u.username), u.first_name, u.last_name, m.created_at`

// statement returns the query for a page of an organization's members. Beside a
// member a row has the place of its entry among those by which a search finds the
// same member, whether it is the last entry that was read although there may be
// more, and whether it belongs to the page.
func (q *membersQuery) statement(organizationID string) (string, []any) {
	if len(q.words) > 0 {
		return q.searchStatement(organizationID)
	}
	// The user is read by the primary key, a row at a time: LIMIT keeps PostgreSQL
	// from reading the whole table for a join.
	return `
		SELECT m.user_id, ` + memberColumns + `, 0, false, true
		FROM (
			SELECT user_id, role, created_at FROM memberships
			WHERE organization_id = $1 AND deleted_at IS NULL AND (created_at, user_id) > ($2, $3)
			ORDER BY created_at, user_id LIMIT $4 OFFSET $5
		) m
		CROSS JOIN LATERAL (SELECT * FROM users WHERE id = m.user_id LIMIT 1) u
		ORDER BY m.created_at, m.user_id`,
		[]any{organizationID, q.after.joined, q.after.userID, q.limit + 1, q.offset}
}

// searchStatement returns the query for members of whom each word of the search
// begins a word. It walks along the index of words, from one word of the search.
// Of the entries of one member, the first is the one that counts. The page begins
// after the last entry of the page before, or at the first one if that entry is
// there no more.
func (q *membersQuery) searchStatement(organizationID string) (string, []any) {
	args := []any{organizationID, q.after.userID, q.after.entry, q.limit + 1, q.limit + maxRead, q.words[q.along]}
	belongs := "e.entry = 0"
	for i, word := range q.words {
		if i != q.along {
			args = append(args, word)
			belongs += fmt.Sprintf(" AND EXISTS (SELECT FROM unnest(u.words) AS word WHERE starts_with(word, lower($%d::text)))", len(args))
		}
	}
	// A row is compared as a whole, or PostgreSQL would begin at the first word of
	// the organization.
	last := func(column, otherwise string) string {
		return fmt.Sprintf(`coalesce((SELECT %s FROM member_words WHERE user_id = $2 AND %s ORDER BY word LIMIT 1 OFFSET $3), %s)`,
			column, fmt.Sprintf(beginsWith, "$6::text"), otherwise)
	}
	return `
		SELECT w.user_id, ` + memberColumns + `, e.entry, w.n = $5, ` + belongs + `
		FROM (
			SELECT word, user_id, row_number() OVER (ORDER BY word, user_id) AS n FROM member_words
			WHERE organization_id = $1 AND word < lower($6::text) || chr(1114111)
				AND (word, user_id) > (` + last("word", "lower($6::text)") + `, ` + last("user_id", "''") + `)
			ORDER BY word, user_id LIMIT $5
		) w
		CROSS JOIN LATERAL (SELECT * FROM users WHERE id = w.user_id LIMIT 1) u
		CROSS JOIN LATERAL (
			SELECT count(*) AS entry FROM unnest(u.words) AS word WHERE starts_with(word, lower($6::text)) AND word < w.word
		) e
		CROSS JOIN LATERAL (
			SELECT role, created_at FROM memberships
			WHERE organization_id = $1 AND user_id = w.user_id AND deleted_at IS NULL LIMIT 1
		) m
		WHERE w.n = $5 OR ` + belongs + ` ORDER BY w.word, w.user_id LIMIT $4`, args
}

// beginsWith is the condition for the words of the organization $1 that begin
// with a word: they lie between it and the same with the last character of
// Unicode.
const beginsWith = `organization_id = $1 AND word >= lower(%[1]s) AND word < lower(%[1]s) || chr(1114111)`

// rarest returns the number of the word, of several, that the fewest of the
// organization's members have, or of those that many have, the longest.
var rarest = fmt.Sprintf(`
	SELECT n - 1 FROM unnest($2::text[]) WITH ORDINALITY AS search (begin, n) ORDER BY (
		SELECT count(*) FROM (SELECT FROM member_words WHERE `+beginsWith+` ORDER BY word LIMIT %[2]d) AS found
	), length(begin) DESC, n LIMIT 1`, "begin", maxRead)

// position is where a page ended: after the last member. It holds no personal
// data, because it becomes a part of addresses.
type position struct {
	userID string
	joined time.Time
	// Of a search: the number of the word that it walks along, and of the entry by
	// which the word found the member.
	along, entry int
}

// String returns the position for a client, to whom it means nothing.
func (p position) String() string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d.%d.%d.%s", p.joined.UnixMicro(), p.along, p.entry, p.userID))
}

func parsePosition(s string) (position, error) {
	decoded, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(decoded) > maxPositionLength {
		return position{}, errors.New("not a position")
	}
	parts := strings.SplitN(string(decoded), ".", 4)
	if len(parts) != 4 {
		return position{}, errors.New("not a position")
	}
	joined, joinedErr := strconv.ParseInt(parts[0], 10, 64)
	along, alongErr := strconv.ParseUint(parts[1], 10, 16)
	entry, entryErr := strconv.ParseUint(parts[2], 10, 16)
	p := position{userID: parts[3], joined: time.UnixMicro(joined), along: int(along), entry: int(entry)}
	if cmp.Or(joinedErr, alongErr, entryErr) != nil || p.userID == "" || storable(p.userID) != p.userID ||
		p.joined.Year() < 1 || p.joined.Year() > 9999 {
		return position{}, errors.New("not a position")
	}
	return p, nil
}
