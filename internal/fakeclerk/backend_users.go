package fakeclerk

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (s *Server) getUser(r *http.Request) (any, error) {
	user, ok := s.users.get(r.PathValue("id"))
	if !ok {
		return nil, ErrUnknownUser
	}
	return newUserJSON(user), nil
}

// userParams are what a user can be created with and changed to.
type userParams struct {
	User
	EmailAddress []string `json:"email_address"` // only to create one
}

// profile is the user with the fields alone that a request can set.
func (p userParams) profile(user User) User {
	user.FirstName, user.LastName = p.FirstName, p.LastName
	user.Username, user.ExternalID = p.Username, p.ExternalID
	user.PublicMetadata, user.PrivateMetadata, user.UnsafeMetadata = p.PublicMetadata, p.PrivateMetadata, p.UnsafeMetadata
	return user
}

func (s *Server) createUser(_ *http.Request, p userParams) (any, error) {
	user := p.profile(User{})
	for _, address := range p.EmailAddress {
		user.EmailAddresses = append(user.EmailAddresses, EmailAddress{EmailAddress: address})
	}
	user, err := s.addUser(user)
	return newUserJSON(user), err
}

func (s *Server) updateUser(r *http.Request) (any, error) {
	user, ok := s.users.get(r.PathValue("id"))
	if !ok {
		return nil, ErrUnknownUser
	}
	p := userParams{User: user.clone()}
	if err := decode(r, &p); err != nil {
		return nil, err
	}
	user.PrimaryEmailAddressID = p.PrimaryEmailAddressID
	if user.PrimaryEmailAddressID != "" && user.PrimaryEmailAddress() == "" {
		return nil, errNotFound("No email address was found with id " + user.PrimaryEmailAddressID)
	}
	user, err := s.changeUser(user.ID, func(changed *User) { *changed = p.profile(user) })
	return newUserJSON(user), err
}

// listUsers answers GET /v1/users with a plain array. Both SDKs take the total
// from GET /v1/users/count.
func (s *Server) listUsers(r *http.Request) (any, error) {
	users, _, err := s.userListing().page(r.URL.Query())
	return each(users, newUserJSON), err
}

func (s *Server) countUsers(r *http.Request) (any, error) {
	query := r.URL.Query()
	for _, name := range []string{"limit", "offset", "starting_after"} {
		query.Del(name)
	}
	_, total, err := s.userListing().page(query)
	return object{"object": "total_count", "total_count": total}, err
}

func (s *Server) userListing() listing[User] {
	id := func(user *User) string { return user.ID }
	return listing[User]{
		rows: s.users.rows,
		id:   id,
		filters: map[string]filter[User]{
			"user_id":           oneOf(id),
			"external_id":       oneOf(func(user *User) string { return user.ExternalID }),
			"username":          equal(func(user *User) string { return user.Username }),
			"email_address":     anyOf((*User).hasEmailAddress),
			"banned":            equal(func(user *User) string { return strconv.FormatBool(user.Banned) }),
			"query":             anyOf((*User).matchesQuery),
			"created_at_before": when((*User).createdAt, -1),
			"created_at_after":  when((*User).createdAt, 1),
		},
		orders: map[string]func(a, b *User) int{
			"updated_at":    func(a, b *User) int { return a.UpdatedAt.Compare(b.UpdatedAt) },
			"email_address": func(a, b *User) int { return cmp.Compare(a.PrimaryEmailAddress(), b.PrimaryEmailAddress()) },
			"first_name":    func(a, b *User) int { return cmp.Compare(a.FirstName, b.FirstName) },
			"last_name":     func(a, b *User) int { return cmp.Compare(a.LastName, b.LastName) },
			"username":      func(a, b *User) int { return cmp.Compare(a.Username, b.Username) },
		},
	}
}

func (u *User) createdAt() time.Time { return u.CreatedAt }

func (u *User) hasEmailAddress(email string) bool {
	return slices.ContainsFunc(u.EmailAddresses, func(address EmailAddress) bool {
		return strings.EqualFold(address.EmailAddress, email)
	})
}

// matchesQuery is Clerk's "query" filter: a part of any name, id or address, in
// any case.
func (u *User) matchesQuery(query string) bool {
	fields := []string{u.ID, u.FirstName, u.LastName, u.Username, u.ExternalID}
	for _, address := range u.EmailAddresses {
		fields = append(fields, address.EmailAddress)
	}
	return slices.ContainsFunc(fields, func(field string) bool {
		return strings.Contains(strings.ToLower(field), strings.ToLower(query))
	})
}

// named finds the user of a query: user_id=, or email= in any case.
func (s *Server) named(query url.Values) (User, error) {
	id := query.Get("user_id")
	if !query.Has("user_id") {
		id = s.idByEmail[strings.ToLower(query.Get("email"))]
	}
	user, ok := s.users.get(id)
	if !ok {
		return User{}, plainError{http.StatusNotFound, "no such account; there are: " + s.accounts()}
	}
	return user, nil
}

// accounts names the first accounts for a person who mistyped one.
func (s *Server) accounts() string {
	var names []string
	for _, user := range s.users.rows[:min(10, len(s.users.rows))] {
		if email := user.PrimaryEmailAddress(); email != "" {
			names = append(names, "email="+email)
		} else {
			names = append(names, "user_id="+user.ID)
		}
	}
	return strings.Join(names, ", ")
}
