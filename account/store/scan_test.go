package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestScanMissesNothing lets a tenth of a page vanish between two pages.
func TestScanMissesNothing(t *testing.T) {
	for _, test := range []struct {
		name   string
		remove func(page int) []int // indices of what is deleted after a page
		ties   int                  // records that are created at once
	}{
		{"nothing changes", func(int) []int { return nil }, 1},
		{"the first are deleted after each page", func(int) []int { return []int{0, 0} }, 1},
		{"the last of the page are deleted", func(page int) []int { return []int{page*16 - 1, page*16 - 2} }, 1},
		{"many are created at once", func(int) []int { return []int{0, 0} }, 30},
	} {
		t.Run(test.name, func(t *testing.T) {
			var all []membershipRecord
			for i := range 200 {
				all = append(all, membershipRecord{ID: fmt.Sprintf("orgmem_%03d", i), CreatedAt: at(i / test.ties)})
			}
			seen := map[string]bool{}
			list := func(_ context.Context, limit, offset int) (listing[membershipRecord], error) {
				rest := all[min(offset, len(all)):]
				return listing[membershipRecord]{records: slices.Clone(rest[:min(limit, len(rest))])}, nil
			}
			var from place
			for page := 1; page < 1000; page++ {
				s, err := readSpan(t.Context(), list, 20, from)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range s.records {
					seen[r.ID] = true
				}
				if s.last {
					break
				}
				from = s.next
				for _, i := range test.remove(page) {
					if i < len(all) {
						all = slices.Delete(all, i, i+1)
					}
				}
			}
			for _, r := range all {
				if !seen[r.ID] {
					t.Errorf("%s was left out", r.ID)
				}
			}
		})
	}
}

// TestScanEndsBesideManySkippedRecords: an import may have given thousands a field
// that cannot be stored.
func TestScanEndsBesideManySkippedRecords(t *testing.T) {
	for _, test := range []struct{ before, odd, after int }{{0, 1200, 0}, {0, 500, 100}, {200, 300, 300}, {700, 300, 300}} {
		m := emptyClerk()
		list := func(ctx context.Context, limit, offset int) (listing[userRecord], error) {
			found, err := m.users(ctx, limit, offset)
			found.records = slices.DeleteFunc(found.records, func(r userRecord) bool {
				odd := strings.HasPrefix(r.ID, "user_odd")
				if odd {
					found.skipped = append(found.skipped, skip{id: r.ID, field: "updated_at"})
				}
				return odd
			})
			return found, err
		}
		for i := range test.before + test.odd + test.after {
			id := fmt.Sprintf("user_%d", i)
			if i >= test.before && i < test.before+test.odd {
				id = fmt.Sprintf("user_odd%d", i)
			}
			m.userOf[id] = userRecord{ID: id, CreatedAt: ptr(m.tick())}
		}
		seen, skipped := map[string]bool{}, map[string]bool{}
		var from place
		for last, pages := false, 0; !last; pages++ {
			page := must[span[userRecord]](t)(readSpan(t.Context(), list, 500, from))
			for _, r := range page.records {
				seen[r.ID] = true
			}
			for _, s := range page.skipped {
				skipped[s.id] = true
			}
			from, last = page.next, page.last
			if pages > 10 {
				t.Fatalf("%+v: no end", test)
			}
		}
		if len(seen) != test.before+test.after || len(skipped) != test.odd {
			t.Errorf("%+v: %d read, %d skipped", test, len(seen), len(skipped))
		}
	}
}
