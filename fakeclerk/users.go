package fakeclerk

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// User is an account. Its JSON form, by Clerk's names, is what POST
// /fakeclerk/users reads.
type User struct {
	// ID is "user_…". [Server.AddUser] makes one up where it is empty.
	ID             string         `json:"id"`
	FirstName      string         `json:"first_name"`
	LastName       string         `json:"last_name"`
	Username       string         `json:"username"`
	ExternalID     string         `json:"external_id"`
	EmailAddresses []EmailAddress `json:"email_addresses"`
	// PrimaryEmailAddressID is the ID of one of EmailAddresses, or "" for none.
	// It is not checked, so that a test can let it dangle.
	PrimaryEmailAddressID string         `json:"primary_email_address_id"`
	Banned                bool           `json:"banned"`
	Locked                bool           `json:"locked"`
	PublicMetadata        map[string]any `json:"public_metadata"`
	PrivateMetadata       map[string]any `json:"private_metadata"`
	UnsafeMetadata        map[string]any `json:"unsafe_metadata"`

	CreatedAt time.Time `json:"-"` // set by AddUser
	UpdatedAt time.Time `json:"-"` // set by AddUser and UpdateUser

	tokenSession string // the session of [Server.SessionToken]
}

// EmailAddress is one address of a [User].
type EmailAddress struct {
	// ID is "idn_…". Made up where it is empty.
	ID           string `json:"id"`
	EmailAddress string `json:"email_address"`
	// Unverified is true for an address that its user has not proved to own.
	Unverified bool `json:"unverified"`
}

// PrimaryEmailAddress is the primary address, or "" where the user has none.
func (u User) PrimaryEmailAddress() string {
	for _, address := range u.EmailAddresses {
		if address.ID == u.PrimaryEmailAddressID {
			return address.EmailAddress
		}
	}
	return ""
}

// clone copies what a caller could change, except what lies inside the values of
// metadata.
func (u User) clone() User {
	u.EmailAddresses = slices.Clone(u.EmailAddresses)
	u.PublicMetadata = maps.Clone(u.PublicMetadata)
	u.PrivateMetadata = maps.Clone(u.PrivateMetadata)
	u.UnsafeMetadata = maps.Clone(u.UnsafeMetadata)
	return u
}

// AddUser adds an account and returns it with its ids. As when Clerk creates a
// user, the first address becomes the primary address if the request names no
// other. It fails with [ErrUserExists] for a taken id or address.
func (s *Server) AddUser(user User) (User, error) {
	return locked(s, func() (*User, error) { return s.addUser(user) })
}

func (s *Server) addUser(user User) (*User, error) {
	user = user.clone()
	user.ID = cmp.Or(user.ID, newID("user"))
	if _, err := s.users.find(user.ID); err == nil {
		return nil, ErrUserExists
	}
	if err := s.claimAddresses(&user, nil); err != nil {
		return nil, err
	}
	if user.PrimaryEmailAddressID == "" && len(user.EmailAddresses) > 0 {
		user.PrimaryEmailAddressID = user.EmailAddresses[0].ID
	}
	user.CreatedAt = s.now()
	user.UpdatedAt = user.CreatedAt
	s.users.add(user.ID, &user)
	s.announce("user.created", &user)
	return &user, nil
}

// claimAddresses gives the addresses of a user their ids and makes them, in the
// place of the user's old ones, find the user.
func (s *Server) claimAddresses(user *User, old []EmailAddress) error {
	for i, address := range user.EmailAddresses {
		if id, taken := s.idByEmail[strings.ToLower(address.EmailAddress)]; taken && id != user.ID {
			return ErrUserExists
		}
		user.EmailAddresses[i].ID = cmp.Or(address.ID, newID("idn"))
	}
	s.releaseAddresses(old)
	for _, address := range user.EmailAddresses {
		s.idByEmail[strings.ToLower(address.EmailAddress)] = user.ID
	}
	return nil
}

func (s *Server) releaseAddresses(addresses []EmailAddress) {
	for _, address := range addresses {
		delete(s.idByEmail, strings.ToLower(address.EmailAddress))
	}
}

// User returns an account.
func (s *Server) User(id string) (User, bool) {
	user, err := locked(s, func() (*User, error) { return s.users.find(id) })
	return user, err == nil
}

// Users returns all accounts, the oldest first.
func (s *Server) Users() []User {
	s.mu.Lock()
	defer s.mu.Unlock()
	users := make([]User, len(s.users.rows))
	for i, row := range s.users.rows {
		users[i] = *row
	}
	return users
}

// UpdateUser lets change edit an account; change must not call the Server. It
// fails with [ErrUnknownUser], and with [ErrUserExists] for an address that
// another user has. To ban a user call [Server.BanUser], which ends the user's
// sessions too.
func (s *Server) UpdateUser(id string, change func(*User)) error {
	_, err := locked(s, func() (*User, error) { return s.changeUser(id, change) })
	return err
}

func (s *Server) changeUser(id string, change func(*User)) (*User, error) {
	row, err := s.users.find(id)
	if err != nil {
		return nil, err
	}
	changed := row.clone()
	change(&changed)
	changed.ID, changed.CreatedAt, changed.UpdatedAt = id, row.CreatedAt, s.later(row.UpdatedAt)
	if err := s.claimAddresses(&changed, row.EmailAddresses); err != nil {
		return nil, err
	}
	*row = changed
	s.announce("user.updated", row)
	return row, nil
}

// later returns the time of a change to something that was last changed at the
// given time: now, and at least a millisecond after it. That is the unit of
// Clerk's times, and at Clerk no two changes are so close.
func (s *Server) later(last time.Time) time.Time {
	if next := last.Add(time.Millisecond); next.After(s.now()) {
		return next
	}
	return s.now()
}

// DeleteUser removes an account with its sessions and memberships, even those of
// a last admin. It fails with [ErrUnknownUser].
func (s *Server) DeleteUser(id string) error {
	_, err := locked(s, func() (*deletion, error) { return s.removeUser(id) })
	return err
}

func (s *Server) removeUser(id string) (*deletion, error) {
	user, err := s.users.find(id)
	if err != nil {
		return nil, err
	}
	s.releaseAddresses(user.EmailAddresses)
	for _, session := range s.sessions.where(func(session *Session) bool { return session.UserID == id }) {
		s.sessions.delete(session.ID)
	}
	for _, m := range s.membershipsOf(id) {
		s.dropMembership(m)
	}
	s.users.delete(id)
	deleted := &deletion{Object: "user", ID: id, Deleted: true, ExternalID: user.ExternalID}
	s.announce("user.deleted", deleted)
	return deleted, nil
}

// BanUser bans an account and revokes its sessions. Tokens already signed stay
// valid until they expire. It fails with [ErrUnknownUser].
func (s *Server) BanUser(id string) error {
	_, err := locked(s, func() (*User, error) { return s.ban(id) })
	return err
}

func (s *Server) ban(id string) (*User, error) {
	for _, session := range s.sessions.rows {
		if session.UserID == id && session.Status == SessionActive {
			session.Status, session.UpdatedAt = SessionRevoked, s.now()
		}
	}
	return s.changeUser(id, func(user *User) { user.Banned = true })
}

// UnbanUser ends a ban; the sessions stay revoked. It fails with
// [ErrUnknownUser].
func (s *Server) UnbanUser(id string) error {
	_, err := locked(s, func() (*User, error) { return s.unban(id) })
	return err
}

func (s *Server) unban(id string) (*User, error) {
	return s.changeUser(id, func(user *User) { user.Banned = false })
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
	return s.addUser(user)
}

func (s *Server) updateUser(r *http.Request) (any, error) {
	user, err := s.users.find(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	p := userParams{User: user.clone()}
	if err := decode(r, &p); err != nil {
		return nil, err
	}
	changed := p.profile(user.clone())
	changed.PrimaryEmailAddressID = p.PrimaryEmailAddressID
	if changed.PrimaryEmailAddressID != "" && changed.PrimaryEmailAddress() == "" {
		return nil, errNotFound("No email address was found with id " + changed.PrimaryEmailAddressID)
	}
	return s.changeUser(user.ID, func(user *User) { *user = changed })
}

// listUsers answers GET /v1/users with a plain array. Both SDKs take the total
// from GET /v1/users/count.
func (s *Server) listUsers(r *http.Request) (any, error) {
	users, _, err := s.userListing().page(r.URL.Query())
	return users, err
}

func (s *Server) countUsers(r *http.Request) (any, error) {
	users, err := s.userListing().filtered(r.URL.Query())
	return object{"object": "total_count", "total_count": len(users)}, err
}

func (s *Server) userListing() listing[User] {
	return listing[User]{
		rows: s.users.rows,
		filters: map[string]filter[User]{
			"user_id":       oneOf(func(user *User) string { return user.ID }),
			"external_id":   oneOf(func(user *User) string { return user.ExternalID }),
			"username":      equal(func(user *User) string { return user.Username }),
			"email_address": anyOf((*User).hasEmailAddress),
			"banned":        equal(func(user *User) string { return strconv.FormatBool(user.Banned) }),
			"query":         anyOf((*User).matchesQuery),
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
	return strings.Contains(strings.ToLower(strings.Join(fields, "\n")), strings.ToLower(query))
}

// named finds the user of a query: user_id=, or email= in any case.
func (s *Server) named(query url.Values) (*User, error) {
	id := query.Get("user_id")
	if !query.Has("user_id") {
		id = s.idByEmail[strings.ToLower(query.Get("email"))]
	}
	if user, err := s.users.find(id); err == nil {
		return user, nil
	}
	var accounts []string // the first, for a person who mistyped one
	for _, user := range s.users.rows[:min(10, len(s.users.rows))] {
		if email := user.PrimaryEmailAddress(); email != "" {
			accounts = append(accounts, "email="+email)
		} else {
			accounts = append(accounts, "user_id="+user.ID)
		}
	}
	return nil, newError(http.StatusNotFound, "", "no such account; there are: "+strings.Join(accounts, ", "))
}
