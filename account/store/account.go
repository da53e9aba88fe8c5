package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"encore.dev/beta/errs"
	"github.com/jackc/pgx/v5"

	"encore.app/auth/clerkauth"
)

// Account is a user as stored by this application.
type Account struct {
	UserID        string `json:"userId"`
	Email         string `json:"email" encore:"sensitive"` // "" for a user without a primary address
	EmailVerified bool   `json:"emailVerified"`
	Username      string `json:"username" encore:"sensitive"`
	FirstName     string `json:"firstName" encore:"sensitive"`
	LastName      string `json:"lastName" encore:"sensitive"`
	// PublicMetadata is an object. Only the backend changes it, at Clerk.
	PublicMetadata json.RawMessage `json:"publicMetadata" encore:"sensitive"`

	Settings Settings `json:"settings"`
}

// Account returns the caller's account. Of a caller whose first event has not
// come yet, it stores what the session token tells.
func (s *Store) Account(ctx context.Context, caller *clerkauth.Caller) (*Account, error) {
	if caller.UserID == "" {
		return nil, errNoUser()
	}
	var account *Account
	err := s.use(ctx, requestTimeout, func(ctx context.Context) (err error) {
		account, err = s.account(ctx, caller)
		return err
	})
	return account, err
}

func (s *Store) account(ctx context.Context, caller *clerkauth.Caller) (*Account, error) {
	account, known, err := s.findAccount(ctx, caller)
	if err != nil || known {
		return account, err
	}
	// Clerk has not described the user to this database. The row of an event that
	// comes at this moment stays. So does the row of a token that was issued later.
	_, err = s.pool.Exec(ctx, `
		INSERT INTO users AS old (id, primary_email, email_verified, said_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (id) DO UPDATE SET
			primary_email = excluded.primary_email, email_verified = excluded.email_verified, said_at = excluded.said_at
		WHERE old.updated_at IS NULL AND old.deleted_at IS NULL
			AND coalesce(excluded.said_at, '-infinity') >= coalesce(old.said_at, '-infinity')`,
		caller.UserID, storable(caller.Email), caller.EmailVerified, orNil(caller.IssuedAt))
	if err != nil {
		return nil, err
	}
	account, _, err = s.findAccount(ctx, caller)
	return account, err
}

const accountStatement = `
	SELECT u.primary_email, u.email_verified, u.username, u.first_name, u.last_name, u.public_metadata,
		u.updated_at IS NOT NULL, u.said_at, u.deleted_at IS NOT NULL,
		coalesce(s.version, 0), coalesce(s.display_name, ''), coalesce(s.locale, ''), coalesce(s.time_zone, ''),
		coalesce(s.theme, $2)
	FROM users u LEFT JOIN settings s ON s.user_id = u.id WHERE u.id = $1`

// findAccount returns nil for a user who is not known, and reports whether the
// caller's token has nothing to add: Clerk has described the user, or a token
// that was not issued earlier said the same.
func (s *Store) findAccount(ctx context.Context, caller *clerkauth.Caller) (account *Account, known bool, err error) {
	a := Account{UserID: caller.UserID}
	var described, deleted bool
	var saidAt *time.Time
	err = s.pool.QueryRow(ctx, accountStatement, caller.UserID, defaultTheme).Scan(
		&a.Email, &a.EmailVerified, &a.Username, &a.FirstName, &a.LastName, &a.PublicMetadata, &described, &saidAt, &deleted,
		&a.Settings.Version, &a.Settings.DisplayName, &a.Settings.Locale, &a.Settings.TimeZone, &a.Settings.Theme)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, false, nil
	case err != nil:
		return nil, false, err
	case deleted:
		return nil, false, errDeleted()
	}
	age := caller.IssuedAt.Compare(orZero(saidAt))
	known = described || age < 0 || age == 0 && a.Email == storable(caller.Email) && a.EmailVerified == caller.EmailVerified
	return &a, known, nil
}

func errNoUser() error {
	return &errs.Error{Code: errs.PermissionDenied, Message: "requires a user"}
}

// errDeleted is for a token that outlives its user.
func errDeleted() error {
	return &errs.Error{Code: errs.NotFound, Message: "the account is deleted"}
}

// errUnknown is for a user who has no row in the database.
func errUnknown() error {
	return &errs.Error{Code: errs.NotFound, Message: "no such user"}
}
