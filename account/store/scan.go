package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"encore.app/auth/clerkauth"
)

// place is how far a phase has come. In a list it is the creation time of the
// last record that was read, and the number of records read; among rows, the last
// row.
type place struct {
	ID      string    `json:"id,omitempty"`
	Group   string    `json:"group,omitempty"` // of a membership, its organization
	Created time.Time `json:"created,omitzero"`
	Offset  int       `json:"offset,omitempty"`
	// Limit is the size of the next page, 0 for the usual one.
	Limit int `json:"limit,omitempty"`
}

// record is a record of a list that is sorted by creation time.
type record interface {
	key() (id string, created time.Time)
	// unstorable returns the name of the field for which the record cannot be
	// stored, "" if it can.
	unstorable() string
}

func (r userRecord) key() (string, time.Time)         { return r.ID, orZero(r.CreatedAt) }
func (r organizationRecord) key() (string, time.Time) { return r.ID, orZero(r.CreatedAt) }
func (r membershipRecord) key() (string, time.Time)   { return r.ID, r.CreatedAt }

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// listing is what Clerk lists: records, and those that cannot be stored.
type listing[R record] struct {
	records []R
	skipped []skip
}

// skip is a record that cannot be stored.
type skip struct{ id, field string }

func (l *listing[R]) len() int { return len(l.records) + len(l.skipped) }

func (l *listing[R]) add(more listing[R]) {
	l.records, l.skipped = append(l.records, more.records...), append(l.skipped, more.skipped...)
}

// ids returns the ids of all that is there, whether it can be stored or not.
func (l *listing[R]) ids() []string {
	ids := make([]string, 0, l.len())
	for _, r := range l.records {
		id, _ := r.key()
		ids = append(ids, id)
	}
	for _, s := range l.skipped {
		ids = append(ids, storable(s.id))
	}
	return ids
}

// span is a page of a list: all records of Clerk's that were created from one
// time to another, both included.
type span[R record] struct {
	listing[R]
	from, to time.Time
	last     bool // then it has no end
	next     place
}

// readSpan reads the page after a place. Clerk pages by offset alone: while records
// are deleted the others move up. So each page begins with the last tenth of the
// page before. A stored record that a page leaves out all the same counts as
// missing, and is looked up by id. A new one is added by its event or by the next
// reconciliation.
//
// A page that does not fit into an answer is read in smaller ones, at last record
// by record. A record that alone does not fit is skipped.
func readSpan[R record](ctx context.Context, list func(ctx context.Context, limit, offset int) (listing[R], error), limit int, from place) (span[R], error) {
	size := limit
	if from.Limit > 0 {
		size = min(from.Limit, limit)
	}
	offset := max(from.Offset-size/10, 0) // as many may be deleted between two calls
	found, err := list(ctx, size, offset)
	for errors.Is(err, clerkauth.ErrTooLarge) && size > 1 {
		size /= 2
		offset = max(from.Offset-size/10, 0)
		found, err = list(ctx, size, offset)
	}
	if errors.Is(err, clerkauth.ErrTooLarge) {
		found, err = listing[R]{skipped: []skip{{id: fmt.Sprintf("number %d of the list", offset+1), field: "its size"}}}, nil
	}
	if err != nil {
		return span[R]{}, err
	}
	s := span[R]{from: from.Created, to: from.Created, last: found.len() < size}
	if n := len(found.records); n > 0 {
		_, s.to = found.records[n-1].key()
	}
	s.next = place{Created: s.to, Offset: offset + found.len()}
	if size < limit/4 { // after few large records, pages grow again
		size *= 2
	}
	if size < limit {
		s.next.Limit = size
	}
	s.listing = listing[R]{skipped: found.skipped, records: slices.DeleteFunc(distinct(found.records), func(r R) bool {
		_, created := r.key()
		return !created.IsZero() && created.Before(from.Created) // of the page before
	})}
	return s, nil
}

// distinct returns the records without those that are repeated: a statement
// stores each row once.
func distinct[R record](records []R) []R {
	seen := make(map[string]bool, len(records))
	return slices.DeleteFunc(slices.Clone(records), func(r R) bool {
		id, _ := r.key()
		repeated := seen[id]
		seen[id] = true
		return repeated
	})
}
