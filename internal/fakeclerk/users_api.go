package fakeclerk

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// getUser answers GET /v1/users/{id}.
func (s *Server) getUser(r *http.Request) (any, error) {
	id := r.PathValue("id")
	user, ok := s.store.user(id)
	if !ok {
		return nil, errNotFound("user", id)
	}
	return newUserJSON(user), nil
}

// createUser answers POST /v1/users.
func (s *Server) createUser(r *http.Request) (any, error) {
	var user User
	var addresses []string
	p, err := readParams(r)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(readProfile(p, &user), p.read("email_address", &addresses)); err != nil {
		return nil, err
	}
	for _, address := range addresses {
		user.EmailAddresses = append(user.EmailAddresses, EmailAddress{EmailAddress: address})
	}
	user, err = s.AddUser(user)
	if errors.Is(err, ErrUserExists) {
		return nil, errParam("form_identifier_exists", "email_address", "That email address is taken. Please try another.")
	}
	if err != nil {
		return nil, err
	}
	return newUserJSON(user), nil
}

// updateUser answers PATCH /v1/users/{id}.
func (s *Server) updateUser(r *http.Request) (any, error) {
	p, err := readParams(r)
	if err != nil {
		return nil, err
	}
	id := r.PathValue("id")
	var invalid error
	user, err := s.changeUser(id, func(user *User) {
		changed := *user
		invalid = errors.Join(readProfile(p, &changed), p.read("primary_email_address_id", &changed.PrimaryEmailAddressID))
		if invalid == nil && changed.PrimaryEmailAddressID != "" && changed.PrimaryEmailAddress() == "" {
			invalid = errNotFound("email address", changed.PrimaryEmailAddressID)
		}
		if invalid == nil {
			*user = changed
		}
	})
	switch {
	case errors.Is(err, ErrUnknownUser):
		return nil, errNotFound("user", id)
	case err != nil:
		return nil, err
	case invalid != nil:
		return nil, invalid
	}
	return newUserJSON(user), nil
}

// readProfile reads what a user can be created with and changed to.
func readProfile(p params, user *User) error {
	return errors.Join(
		p.read("first_name", &user.FirstName),
		p.read("last_name", &user.LastName),
		p.read("username", &user.Username),
		p.read("external_id", &user.ExternalID),
		p.read("public_metadata", &user.PublicMetadata),
		p.read("private_metadata", &user.PrivateMetadata),
		p.read("unsafe_metadata", &user.UnsafeMetadata),
	)
}

// deleteUser answers DELETE /v1/users/{id}.
func (s *Server) deleteUser(r *http.Request) (any, error) {
	id := r.PathValue("id")
	if err := s.DeleteUser(id); err != nil {
		return nil, errNotFound("user", id)
	}
	return map[string]any{"object": "user", "id": id, "deleted": true}, nil
}

// banUser answers POST /v1/users/{id}/ban.
func (s *Server) banUser(r *http.Request) (any, error) { return s.answerBan(r, true) }

// unbanUser answers POST /v1/users/{id}/unban.
func (s *Server) unbanUser(r *http.Request) (any, error) { return s.answerBan(r, false) }

func (s *Server) answerBan(r *http.Request, banned bool) (any, error) {
	id := r.PathValue("id")
	user, err := s.setBanned(id, banned)
	if err != nil {
		return nil, errNotFound("user", id)
	}
	return newUserJSON(user), nil
}

// listUsers answers GET /v1/users with a plain array. Both SDKs take the total from GET /v1/users/count.
func (s *Server) listUsers(r *http.Request) (any, error) {
	query := r.URL.Query()
	users, err := s.filterUsers(query)
	if err != nil {
		return nil, err
	}
	if err := sortUsers(users, query.Get("order_by")); err != nil {
		return nil, err
	}
	users, err = page(users, query)
	if err != nil {
		return nil, err
	}
	list := make([]userJSON, len(users))
	for i, user := range users {
		list[i] = newUserJSON(user)
	}
	return list, nil
}

// countUsers answers GET /v1/users/count.
func (s *Server) countUsers(r *http.Request) (any, error) {
	users, err := s.filterUsers(r.URL.Query())
	if err != nil {
		return nil, err
	}
	return map[string]any{"object": "total_count", "total_count": len(users)}, nil
}

// filterUsers returns the users, oldest first, that pass every filter of the query. A filter that it does
// not know is an error: ignored, it would let too many users through.
func (s *Server) filterUsers(query url.Values) ([]User, error) {
	var filters []func(*User) bool
	for name, values := range query {
		var matches func(*User, string) bool
		switch strings.TrimSuffix(name, "[]") {
		case "limit", "offset", "order_by", "user_id":
			continue
		case "email_address":
			matches = (*User).hasEmailAddress
		case "username":
			matches = func(user *User, value string) bool { return value != "" && user.Username == value }
		case "external_id":
			matches = func(user *User, value string) bool { return value != "" && user.ExternalID == value }
		case "banned":
			matches = func(user *User, value string) bool { return strconv.FormatBool(user.Banned) == value }
		case "query":
			matches = (*User).matchesQuery
		default:
			return nil, errParam("form_param_unknown", name, "fakeclerk has no filter "+name)
		}
		filters = append(filters, func(user *User) bool {
			return slices.ContainsFunc(values, func(value string) bool { return matches(user, value) })
		})
	}
	include, exclude, err := splitIDs(slices.Concat(query["user_id"], query["user_id[]"]))
	if err != nil {
		return nil, err
	}
	return s.store.filterUsers(include, func(user *User) bool {
		return !slices.Contains(exclude, user.ID) &&
			!slices.ContainsFunc(filters, func(passes func(*User) bool) bool { return !passes(user) })
	}), nil
}

// splitIDs reads the values of user_id: at most 100 ids, each with "+" or
// nothing before it to include the user, or "-" to exclude it.
func splitIDs(values []string) (include, exclude []string, err error) {
	const most = 100
	if len(values) > most {
		return nil, nil, errParam("form_param_exceeds_allowed_size", "user_id", fmt.Sprintf("user_id should not exceed %d values.", most))
	}
	for _, value := range values {
		id, excluded := strings.CutPrefix(value, "-")
		if excluded {
			exclude = append(exclude, id)
		} else {
			include = append(include, strings.TrimLeft(id, "+ ")) // "+" is a space where it was not escaped
		}
	}
	return include, exclude, nil
}

// matchesQuery is Clerk's "query" filter: a part of any name, id or address, in any case.
func (u *User) matchesQuery(query string) bool {
	query = strings.ToLower(query)
	fields := []string{u.ID, u.FirstName, u.LastName, u.Username, u.ExternalID}
	for _, address := range u.EmailAddresses {
		fields = append(fields, address.EmailAddress)
	}
	return slices.ContainsFunc(fields, func(field string) bool {
		return strings.Contains(strings.ToLower(field), query)
	})
}

// sortUsers sorts by Clerk's order_by, which is "-created_at" by default: the newest first.
func sortUsers(users []User, orderBy string) error {
	orderBy = cmp.Or(strings.TrimSpace(orderBy), "-created_at") // "+" is a space where it was not escaped
	field, descending := strings.CutPrefix(orderBy, "-")
	var compare func(a, b User) int
	switch strings.TrimPrefix(field, "+") {
	case "created_at": // as the store holds them
		compare = func(User, User) int { return 0 }
	case "updated_at":
		compare = func(a, b User) int { return a.UpdatedAt.Compare(b.UpdatedAt) }
	case "email_address":
		compare = func(a, b User) int { return cmp.Compare(a.PrimaryEmailAddress(), b.PrimaryEmailAddress()) }
	case "first_name":
		compare = func(a, b User) int { return cmp.Compare(a.FirstName, b.FirstName) }
	case "last_name":
		compare = func(a, b User) int { return cmp.Compare(a.LastName, b.LastName) }
	case "username":
		compare = func(a, b User) int { return cmp.Compare(a.Username, b.Username) }
	default:
		return errParam("form_param_value_invalid", "order_by", "fakeclerk cannot order by "+orderBy)
	}
	slices.SortStableFunc(users, compare)
	if descending {
		slices.Reverse(users)
	}
	return nil
}

// page cuts out limit items (default 10, at most 500) from offset on.
func page[T any](items []T, query url.Values) ([]T, error) {
	limit, offset := 10, 0
	for _, bound := range []struct {
		name     string
		value    *int
		min, max int
	}{{"limit", &limit, 1, 500}, {"offset", &offset, 0, len(items)}} {
		text := query.Get(bound.name)
		if text == "" {
			continue
		}
		value, err := strconv.Atoi(text)
		if err != nil || value < bound.min {
			return nil, errParam("form_param_value_invalid", bound.name, bound.name+" is not a number in its range")
		}
		*bound.value = min(value, bound.max)
	}
	items = items[min(offset, len(items)):]
	return items[:min(limit, len(items))], nil
}
