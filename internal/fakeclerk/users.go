package fakeclerk

import (
	"cmp"
	"maps"
	"slices"
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
// user, the first address becomes the primary one if none is named. It fails
// with [ErrUserExists] for a taken id or address.
func (s *Server) AddUser(user User) (User, error) {
	return locked(s, func() (User, error) { return s.addUser(user) })
}

func (s *Server) addUser(user User) (User, error) {
	user = user.clone()
	user.ID = cmp.Or(user.ID, newID("user"))
	user.addAddressIDs()
	if user.PrimaryEmailAddressID == "" && len(user.EmailAddresses) > 0 {
		user.PrimaryEmailAddressID = user.EmailAddresses[0].ID
	}
	user.CreatedAt = s.now()
	user.UpdatedAt = user.CreatedAt
	if s.addressTaken(user) || !s.users.add(user.ID, user) {
		return User{}, ErrUserExists
	}
	s.indexAddresses(user)
	s.announce("user.created", func() any { return newUserJSON(user) })
	return user.clone(), nil
}

func (u *User) addAddressIDs() {
	for i := range u.EmailAddresses {
		if u.EmailAddresses[i].ID == "" {
			u.EmailAddresses[i].ID = newID("idn")
		}
	}
}

// addressTaken reports whether another user has one of the addresses.
func (s *Server) addressTaken(user User) bool {
	return slices.ContainsFunc(user.EmailAddresses, func(address EmailAddress) bool {
		id, taken := s.idByEmail[strings.ToLower(address.EmailAddress)]
		return taken && id != user.ID
	})
}

func (s *Server) indexAddresses(user User) {
	for _, address := range user.EmailAddresses {
		s.idByEmail[strings.ToLower(address.EmailAddress)] = user.ID
	}
}

func (s *Server) unindexAddresses(user User) {
	for _, address := range user.EmailAddresses {
		delete(s.idByEmail, strings.ToLower(address.EmailAddress))
	}
}

// User returns an account.
func (s *Server) User(id string) (User, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	user, ok := s.users.get(id)
	return user.clone(), ok
}

// Users returns all accounts, the oldest first.
func (s *Server) Users() []User {
	s.mu.Lock()
	defer s.mu.Unlock()
	users := make([]User, len(s.users.rows))
	for i, row := range s.users.rows {
		users[i] = row.clone()
	}
	return users
}

// UpdateUser lets change edit an account; change must not call the Server. It
// fails with [ErrUnknownUser], and with [ErrUserExists] for an address that
// another user has. To ban a user call [Server.BanUser], which ends the user's
// sessions too.
func (s *Server) UpdateUser(id string, change func(*User)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.changeUser(id, change)
	return err
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

func (s *Server) changeUser(id string, change func(*User)) (User, error) {
	row, ok := s.users.byKey[id]
	if !ok {
		return User{}, ErrUnknownUser
	}
	changed := row.clone()
	change(&changed)
	changed.ID, changed.CreatedAt, changed.UpdatedAt = id, row.CreatedAt, s.later(row.UpdatedAt)
	changed.addAddressIDs()
	if s.addressTaken(changed) {
		return User{}, ErrUserExists
	}
	s.unindexAddresses(*row)
	*row = changed.clone()
	s.indexAddresses(changed)
	s.announce("user.updated", func() any { return newUserJSON(changed) })
	return changed, nil
}

// DeleteUser removes an account with its sessions and memberships, even those of
// a last admin. It fails with [ErrUnknownUser].
func (s *Server) DeleteUser(id string) error {
	_, err := locked(s, func() (any, error) { return s.removeUser(id) })
	return err
}

func (s *Server) removeUser(id string) (any, error) {
	user, ok := s.users.get(id)
	if !ok {
		return nil, ErrUnknownUser
	}
	s.unindexAddresses(user)
	s.users.delete(id)
	for _, session := range slices.Clone(s.sessions.rows) {
		if session.UserID == id {
			s.sessions.delete(session.ID)
		}
	}
	for _, m := range slices.Clone(s.memberships.rows) {
		if m.UserID == id {
			s.dropMembership(*m)
		}
	}
	data := object{"object": "user", "id": id, "deleted": true}
	if user.ExternalID != "" {
		data["external_id"] = user.ExternalID
	}
	s.announce("user.deleted", func() any { return data })
	return data, nil
}

// BanUser bans an account and revokes its sessions. Tokens already signed stay
// valid until they expire. It fails with [ErrUnknownUser].
func (s *Server) BanUser(id string) error {
	_, err := locked(s, func() (any, error) { return s.setBanned(id, true) })
	return err
}

// UnbanUser ends a ban; the sessions stay revoked. It fails with
// [ErrUnknownUser].
func (s *Server) UnbanUser(id string) error {
	_, err := locked(s, func() (any, error) { return s.setBanned(id, false) })
	return err
}

func (s *Server) setBanned(id string, banned bool) (any, error) {
	user, err := s.changeUser(id, func(user *User) { user.Banned = banned })
	if err != nil {
		return nil, err
	}
	for _, session := range s.sessions.rows {
		if banned && session.UserID == id && session.Status == SessionActive {
			session.Status, session.UpdatedAt = SessionRevoked, s.now()
		}
	}
	return newUserJSON(user), nil
}
