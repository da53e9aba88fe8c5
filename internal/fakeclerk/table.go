package fakeclerk

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// table holds values by key, in the order in which they were added.
type table[K comparable, V any] struct {
	byKey map[K]*V
	rows  []*V // the oldest first
}

// add adds a value, or reports that the key is taken.
func (t *table[K, V]) add(key K, value V) bool {
	if _, taken := t.byKey[key]; taken {
		return false
	}
	if t.byKey == nil {
		t.byKey = make(map[K]*V)
	}
	t.byKey[key] = &value
	t.rows = append(t.rows, &value)
	return true
}

func (t *table[K, V]) get(key K) (V, bool) {
	row, ok := t.byKey[key]
	if !ok {
		return *new(V), false
	}
	return *row, true
}

// delete removes a value and reports whether it was there.
func (t *table[K, V]) delete(key K) bool {
	row, ok := t.byKey[key]
	if ok {
		delete(t.byKey, key)
		t.rows = slices.DeleteFunc(t.rows, func(other *V) bool { return other == row })
	}
	return ok
}

// listing is what an endpoint lists. The name of each filter is that of a query
// parameter, and the name of each order a value of order_by.
type listing[V any] struct {
	rows     []*V // the oldest first
	filters  map[string]filter[V]
	orders   map[string]func(a, b *V) int // besides created_at
	id       func(*V) string              // for starting_after; nil: there is none
	maxLimit int                          // 0: 500, as of most of Clerk's lists
}

// filter makes the values of a query parameter a condition.
type filter[V any] func(values []string) (func(*V) bool, error)

// page returns the rows that the query asks for and the number of those that
// pass its filters. The newest come first unless order_by says otherwise.
func (l listing[V]) page(query url.Values) ([]*V, int, error) {
	conditions, err := l.conditions(query)
	if err != nil {
		return nil, 0, err
	}
	rows := make([]*V, 0, len(l.rows))
	for _, row := range l.rows {
		if !slices.ContainsFunc(conditions, func(passes func(*V) bool) bool { return !passes(row) }) {
			rows = append(rows, row)
		}
	}
	total := len(rows)
	if err := l.sort(rows, query); err != nil {
		return nil, 0, err
	}
	limit, offset := 10, 0
	if err := cmp.Or(
		number(query, "limit", &limit, 1, cmp.Or(l.maxLimit, 500)),
		number(query, "offset", &offset, 0, 1<<31),
	); err != nil {
		return nil, 0, err
	}
	if query.Has("starting_after") {
		offset = 1 + slices.IndexFunc(rows, func(row *V) bool { return l.id(row) == query.Get("starting_after") })
		if offset == 0 {
			return nil, 0, errParam("resource_not_found", "starting_after", "no such cursor")
		}
	}
	rows = rows[min(offset, total):]
	return rows[:min(limit, len(rows))], total, nil
}

// conditions are the filters of the query. An unknown one is an error: ignored,
// it would let too many rows through.
func (l listing[V]) conditions(query url.Values) ([]func(*V) bool, error) {
	var conditions []func(*V) bool
	for _, name := range slices.Sorted(maps.Keys(query)) {
		filter, ok := l.filters[strings.TrimSuffix(name, "[]")]
		switch {
		case ok:
			passes, err := filter(query[name])
			if err != nil {
				return nil, err
			}
			conditions = append(conditions, passes)
		case slices.Contains([]string{"limit", "offset", "order_by", "paginated"}, name),
			name == "starting_after" && l.id != nil,
			strings.HasPrefix(name, "include_"):
		default:
			return nil, errParam("form_param_unknown", name, "fakeclerk has no filter "+name)
		}
	}
	return conditions, nil
}

func (l listing[V]) sort(rows []*V, query url.Values) error {
	orderBy := cmp.Or(strings.TrimSpace(query.Get("order_by")), "-created_at") // "+" is a space where it was not escaped
	field, descending := strings.CutPrefix(orderBy, "-")
	field = strings.TrimPrefix(field, "+")
	compare, ok := l.orders[field]
	if !ok && field != "created_at" {
		return errParam("form_param_value_invalid", "order_by", "fakeclerk cannot order by "+orderBy)
	}
	if query.Has("starting_after") && (ok || query.Get("offset") > "0") {
		return errParam("form_param_value_invalid", "starting_after", "starting_after needs the order created_at and no offset")
	}
	if ok {
		slices.SortStableFunc(rows, compare)
	}
	if descending {
		slices.Reverse(rows)
	}
	return nil
}

// number reads a query parameter that is a number from least to most.
func number(query url.Values, name string, value *int, least, most int) error {
	text := query.Get(name)
	if text == "" {
		return nil
	}
	read, err := strconv.Atoi(text)
	if err != nil || read < least || read > most {
		return errParam("form_param_value_invalid", name, fmt.Sprintf("%s must be a number from %d to %d.", name, least, most))
	}
	*value = read
	return nil
}

// anyOf lets a row through that matches any of the values.
func anyOf[V any](matches func(row *V, value string) bool) filter[V] {
	return func(values []string) (func(*V) bool, error) {
		return func(row *V) bool {
			return slices.ContainsFunc(values, func(value string) bool { return matches(row, value) })
		}, nil
	}
}

// equal lets a row through whose field is any of the values.
func equal[V any](field func(*V) string) filter[V] {
	return anyOf(func(row *V, value string) bool { return value != "" && field(row) == value })
}

// oneOf is a filter by at most 100 ids. Each has "+" or nothing before it to
// include the row, or "-" to exclude it. Unknown ids are ignored.
func oneOf[V any](id func(*V) string) filter[V] {
	return func(values []string) (func(*V) bool, error) {
		const most = 100
		if len(values) > most {
			return nil, errParam("form_param_exceeds_allowed_size", "id", fmt.Sprintf("At most %d ids are allowed.", most))
		}
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
		}, nil
	}
}

// when lets a row through whose time compares to the value, in milliseconds
// since 1970, as sign says: -1 before, 1 after.
func when[V any](at func(*V) time.Time, sign int) filter[V] {
	return anyOf(func(row *V, value string) bool {
		milliseconds, err := strconv.ParseInt(value, 10, 64)
		return err == nil && cmp.Compare(at(row).UnixMilli(), milliseconds) == sign
	})
}
