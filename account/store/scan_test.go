package store

import (
	"context"
	"fmt"
	"slices"
	"testing"
)

// TestScanMissesNothing lets records vanish and appear between the pages.
func TestScanMissesNothing(t *testing.T) {
	for _, test := range []struct {
		name   string
		remove func(page int) []int // indices of what is deleted after a page
		ties   int                  // records that are created at once
	}{
		{"nothing changes", func(int) []int { return nil }, 1},
		{"the first is deleted after each page", func(int) []int { return []int{0} }, 1},
		{"a whole page is deleted", func(page int) []int {
			if page == 2 {
				return []int{0, 0, 0, 0, 0, 0, 0}
			}
			return nil
		}, 1},
		{"the last of the page is deleted", func(page int) []int { return []int{page * 2} }, 1},
		{"many are created at once", func(int) []int { return []int{0} }, 9},
	} {
		t.Run(test.name, func(t *testing.T) {
			var all []membershipRecord
			for i := range 40 {
				all = append(all, membershipRecord{ID: fmt.Sprintf("orgmem_%02d", i), CreatedAt: at(i / test.ties)})
			}
			seen := map[string]bool{}
			list := func(_ context.Context, limit, offset int) (listing[membershipRecord], error) {
				rest := all[min(offset, len(all)):]
				return listing[membershipRecord]{records: slices.Clone(rest[:min(limit, len(rest))])}, nil
			}
			var from place
			for page := 1; page < 1000; page++ {
				s, err := readSpan(t.Context(), list, 4, from)
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
