package directory

import (
	"context"
	"slices"
	"time"
)

// place is how far a scan has come in a list: the last record that was read, and
// how many came before it.
type place struct {
	ID      string    `json:"id,omitempty"`
	Created time.Time `json:"created,omitzero"`
	Offset  int       `json:"offset,omitempty"`
}

// record is a record of a list that is in order of creation.
type record interface {
	key() (id string, created time.Time)
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

// span is a page of a list: all records of Clerk's that were created from one
// time to another, both included.
type span[R record] struct {
	records  []R
	from, to time.Time // to is zero on the last page
	next     place
}

func (s *span[R]) last() bool { return s.to.IsZero() }

// readSpan reads the page after a place. Clerk pages by offset alone: while
// records are deleted the others move up, and a plain next page would leave some
// out. So each page begins with the last record of the page before. If that is
// not there, readSpan goes back until the pages overlap.
func readSpan[R record](ctx context.Context, list func(ctx context.Context, limit, offset int) ([]R, error), limit int, from place) (span[R], error) {
	offset := max(from.Offset-1, 0)
	for back := 1; ; back *= 2 {
		records, err := list(ctx, limit, offset)
		if err != nil {
			return span[R]{}, err
		}
		if offset > 0 && !overlaps(records, from) {
			offset = max(offset-back, 0)
			continue
		}
		s := span[R]{records: distinct(records), from: from.Created, next: from}
		if len(records) > 0 {
			id, created := records[len(records)-1].key()
			s.next = place{ID: id, Created: created, Offset: offset + len(records)}
			s.to = created
		}
		if len(records) < limit {
			s.to = time.Time{}
		}
		return s, nil
	}
}

// overlaps reports whether the records begin at the place or before it.
func overlaps[R record](records []R, p place) bool {
	if len(records) == 0 {
		return false
	}
	_, first := records[0].key()
	return first.Before(p.Created) || slices.ContainsFunc(records, func(r R) bool {
		id, _ := r.key()
		return id == p.ID
	})
}

// distinct returns the records without those that are repeated: a statement
// stores each row once.
func distinct[R record](records []R) []R {
	seen := make(map[string]bool, len(records))
	return slices.DeleteFunc(slices.Clone(records), func(r R) bool {
		id, _ := r.key()
		repeated := seen[id] || id == ""
		seen[id] = true
		return repeated
	})
}

func idsOf[R record](records []R) []string {
	ids := make([]string, 0, len(records))
	for _, r := range records {
		id, _ := r.key()
		ids = append(ids, id)
	}
	return ids
}
