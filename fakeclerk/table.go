package fakeclerk

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// table holds rows by key, and in the order in which they were added.
type table[K comparable, V any] struct {
	byKey   map[K]*V
	rows    []*V  // the oldest first
	unknown error // for a key that is not there
}

func newTable[K comparable, V any](unknown error) table[K, V] {
	return table[K, V]{byKey: make(map[K]*V), unknown: unknown}
}

// add adds a row, or reports that the key is taken.
func (t *table[K, V]) add(key K, row *V) bool {
	if _, taken := t.byKey[key]; taken {
		return false
	}
	t.byKey[key] = row
	t.rows = append(t.rows, row)
	return true
}

func (t *table[K, V]) find(key K) (*V, error) {
	row, ok := t.byKey[key]
	if !ok {
		return nil, t.unknown
	}
	return row, nil
}

// where returns the rows that match, in a new slice.
func (t *table[K, V]) where(matches func(*V) bool) []*V {
	return slices.DeleteFunc(slices.Clone(t.rows), func(row *V) bool { return !matches(row) })
}

func (t *table[K, V]) delete(key K) {
	deleted := t.byKey[key]
	delete(t.byKey, key)
	t.rows = slices.DeleteFunc(t.rows, func(row *V) bool { return row == deleted })
}

// listing is what an endpoint lists. The name of each filter is that of a query
// parameter, and the name of each order a value of order_by.
type listing[V any] struct {
	rows     []*V // the oldest first
	filters  map[string]filter[V]
	orders   map[string]func(a, b *V) int // besides created_at
	maxLimit int                          // 0: 500, as of most of Clerk's lists
}

// filter makes the values of a query parameter a condition.
type filter[V any] func(values []string) (passes func(*V) bool)

// page returns the rows that the query asks for and the number of those that
// pass its filters. The newest come first unless order_by says otherwise.
func (l listing[V]) page(query url.Values) (rows []*V, total int, err error) {
	if rows, err = l.filtered(query); err != nil {
		return nil, 0, err
	}
	orderBy := cmp.Or(strings.TrimSpace(query.Get("order_by")), "-created_at") // "+" is a space where it was not escaped
	field, descending := strings.CutPrefix(orderBy, "-")
	field = strings.TrimPrefix(field, "+")
	if compare, ok := l.orders[field]; ok {
		slices.SortStableFunc(rows, compare)
	} else if field != "created_at" {
		return nil, 0, errParam("form_param_value_invalid", "order_by", "fakeclerk cannot order by "+orderBy)
	}
	if descending {
		slices.Reverse(rows)
	}
	total = len(rows)
	limit, err := number(query, "limit", 10, 1, cmp.Or(l.maxLimit, 500))
	if err != nil {
		return nil, 0, err
	}
	offset, err := number(query, "offset", 0, 0, 1<<31)
	if err != nil {
		return nil, 0, err
	}
	rows = rows[min(offset, total):]
	return rows[:min(limit, len(rows))], total, nil
}

// filtered returns the rows that pass all filters of the query. An unknown
// filter is an error: ignored, it would let too many rows through.
func (l listing[V]) filtered(query url.Values) ([]*V, error) {
	rows := slices.Clone(l.rows)
	for name, values := range query {
		filter, ok := l.filters[strings.TrimSuffix(name, "[]")]
		switch {
		case ok && len(values) > 100:
			return nil, errParam("form_param_exceeds_allowed_size", name, "At most 100 values are allowed.")
		case ok:
			passes := filter(values)
			rows = slices.DeleteFunc(rows, func(row *V) bool { return !passes(row) })
		case slices.Contains([]string{"limit", "offset", "order_by", "paginated"}, name), strings.HasPrefix(name, "include_"):
		default:
			return nil, errParam("form_param_unknown", name, "fakeclerk has no filter "+name)
		}
	}
	return rows, nil
}

// object returns the page as most of Clerk's lists are: under a name, and with
// the total.
func (l listing[V]) object(name string, query url.Values) (any, error) {
	rows, total, err := l.page(query)
	return object{name: rows, "total_count": total}, err
}

// number reads a query parameter that is a number from least to most.
func number(query url.Values, name string, missing, least, most int) (int, error) {
	if query.Get(name) == "" {
		return missing, nil
	}
	value, err := strconv.Atoi(query.Get(name))
	if err != nil || value < least || value > most {
		return 0, errParam("form_param_value_invalid", name, fmt.Sprintf("%s must be a number from %d to %d.", name, least, most))
	}
	return value, nil
}

// anyOf lets a row through that matches any of the values.
func anyOf[V any](matches func(row *V, value string) bool) filter[V] {
	return func(values []string) func(*V) bool {
		return func(row *V) bool {
			return slices.ContainsFunc(values, func(value string) bool { return matches(row, value) })
		}
	}
}

// equal lets a row through whose field is any of the values.
func equal[V any](field func(*V) string) filter[V] {
	return anyOf(func(row *V, value string) bool { return value != "" && field(row) == value })
}

// oneOf is a filter by ids. Each has "+" or nothing before it to include the
// row, or "-" to exclude it. Unknown ids are ignored.
func oneOf[V any](id func(*V) string) filter[V] {
	return func(values []string) func(*V) bool {
		include, exclude := make(map[string]bool), make(map[string]bool)
		for _, value := range values {
			if id, excluded := strings.CutPrefix(value, "-"); excluded {
				exclude[id] = true
			} else {
				include[strings.TrimLeft(id, "+ ")] = true // "+" is a space where it was not escaped
			}
		}
		return func(row *V) bool {
			return (len(include) == 0 || include[id(row)]) && !exclude[id(row)]
		}
	}
}
