package fakeclerk

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// User is an account. Its JSON form, by Clerk's names, is what POST /fakeclerk/users reads.
type User struct {
	// ID is "user_…". [Server.AddUser] makes one up where it is empty.
	ID             string         `json:"id"`
	FirstName      string         `json:"first_name"`
	LastName       string         `json:"last_name"`
	Username       string         `json:"username"`
	ExternalID     string         `json:"external_id"`
	EmailAddresses []EmailAddress `json:"email_addresses"`
	// PrimaryEmailAddressID is the ID of one of EmailAddresses, or "" for none. It is not checked, so
	// that a test can let it dangle.
	PrimaryEmailAddressID string         `json:"primary_email_address_id"`
	Banned                bool           `json:"banned"`
	Locked                bool           `json:"locked"`
	PublicMetadata        map[string]any `json:"public_metadata"`
	PrivateMetadata       map[string]any `json:"private_metadata"`
	UnsafeMetadata        map[string]any `json:"unsafe_metadata"`

	CreatedAt time.Time `json:"-"` // set by AddUser
	UpdatedAt time.Time `json:"-"` // set by AddUser and UpdateUser

	number int // in order of creation
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

func (u *User) hasEmailAddress(email string) bool {
	return slices.ContainsFunc(u.EmailAddresses, func(address EmailAddress) bool {
		return strings.EqualFold(address.EmailAddress, email)
	})
}

// Errors of the methods that change users and sessions.
var (
	ErrUnknownUser    = errors.New("unknown user")
	ErrUserExists     = errors.New("user id or email address is taken")
	ErrUnknownSession = errors.New("unknown session")
)

// AddUser adds an account and returns it with its ids. As when Clerk creates a user, the first address
// becomes the primary one if none is named. It fails with [ErrUserExists] for a taken id or address.
func (s *Server) AddUser(user User) (User, error) {
	user.ID = cmp.Or(user.ID, newID("user"))
	user = withAddressIDs(user)
	if user.PrimaryEmailAddressID == "" && len(user.EmailAddresses) > 0 {
		user.PrimaryEmailAddressID = user.EmailAddresses[0].ID
	}
	user.CreatedAt = s.now()
	user.UpdatedAt = user.CreatedAt
	if err := s.store.addUser(user); err != nil {
		return User{}, fmt.Errorf("add user: %w", err)
	}
	s.announce("user.created", newUserJSON(user))
	return user, nil
}

// User returns an account.
func (s *Server) User(id string) (User, bool) { return s.store.user(id) }

// UpdateUser lets change edit an account; change must not call the Server. It fails with [ErrUnknownUser],
// and with [ErrUserExists] for an address that another user has. To ban a user call [Server.BanUser],
// which ends the user's sessions too.
func (s *Server) UpdateUser(id string, change func(*User)) error {
	_, err := s.changeUser(id, change)
	return err
}

func (s *Server) changeUser(id string, change func(*User)) (User, error) {
	user, err := s.store.changeUser(id, func(user *User) {
		change(user)
		user.ID = id
		*user = withAddressIDs(*user)
		user.UpdatedAt = s.now()
	})
	if err != nil {
		return User{}, fmt.Errorf("update user: %w", err)
	}
	s.announce("user.updated", newUserJSON(user))
	return user, nil
}

// DeleteUser removes an account and its sessions. It fails with [ErrUnknownUser].
func (s *Server) DeleteUser(id string) error {
	user, _ := s.store.user(id)
	if err := s.store.deleteUser(id); err != nil {
		return fmt.Errorf("delete user: %w", err)
	}
	s.organizations.removeUser(id)
	s.announce("user.deleted", deletedJSON{Object: "user", ID: id, ExternalID: user.ExternalID, Deleted: true})
	return nil
}

// BanUser bans an account and revokes its sessions. Tokens already signed stay valid until they expire.
// It fails with [ErrUnknownUser].
func (s *Server) BanUser(id string) error {
	_, err := s.setBanned(id, true)
	return err
}

// UnbanUser ends a ban; the sessions stay revoked. It fails with [ErrUnknownUser].
func (s *Server) UnbanUser(id string) error {
	_, err := s.setBanned(id, false)
	return err
}

func (s *Server) setBanned(id string, banned bool) (User, error) {
	user, err := s.changeUser(id, func(user *User) { user.Banned = banned })
	if err == nil && banned {
		s.store.revokeSessionsOf(id, s.now())
	}
	return user, err
}

func withAddressIDs(user User) User {
	user.EmailAddresses = slices.Clone(user.EmailAddresses)
	for i := range user.EmailAddresses {
		if user.EmailAddresses[i].ID == "" {
			user.EmailAddresses[i].ID = newID("idn")
		}
	}
	return user
}
