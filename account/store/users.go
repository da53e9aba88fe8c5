package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"encore.app/webhooks/clerkevent"
)

// maxUserIDs is the most users that [Store.Users] returns at a time.
const maxUserIDs = 100

// User is a user, for other services.
type User struct {
	ID            string `json:"id"`
	Email         string `json:"email" encore:"sensitive"`
	EmailVerified bool   `json:"emailVerified"`
	Username      string `json:"username" encore:"sensitive"`
	FirstName     string `json:"firstName" encore:"sensitive"`
	LastName      string `json:"lastName" encore:"sensitive"`
	ExternalID    string `json:"externalId"`
	Banned        bool   `json:"banned"`
	DisplayName   string `json:"displayName" encore:"sensitive"` // of the user's settings

	PublicMetadata json.RawMessage `json:"publicMetadata" encore:"sensitive"` // an object
}

// UserIDs name users, at most 100.
type UserIDs struct {
	IDs []string `json:"ids"`
}

// Users is a list of users.
type Users struct {
	Users []*User `json:"users"`
}

const usersStatement = `
	SELECT u.id, u.primary_email, u.email_verified, u.username, u.first_name, u.last_name, u.external_id, u.banned,
		coalesce(s.display_name, ''), u.public_metadata
	FROM users u LEFT JOIN settings s ON s.user_id = u.id
	WHERE u.id = ANY($1) AND u.deleted_at IS NULL ORDER BY u.id`

// Users returns the users of the ids, sorted by id. Users who are not known or
// deleted are left out.
func (s *Store) Users(ctx context.Context, p *UserIDs) (*Users, error) {
	if len(p.IDs) > maxUserIDs {
		return nil, invalid("at most 100 ids")
	}
	ids := make([]string, 0, len(p.IDs))
	for _, id := range p.IDs {
		ids = append(ids, storable(id))
	}
	users := &Users{Users: make([]*User, 0, len(ids))}
	err := s.use(ctx, requestTimeout, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, usersStatement, ids)
		if err != nil {
			return err
		}
		users.Users, err = pgx.AppendRows(users.Users, rows, pgx.RowToAddrOfStructByPos[User])
		return err
	})
	if err != nil {
		return nil, err
	}
	return users, nil
}

// Export is all that the database holds of one user.
type Export struct {
	User        User               `json:"user"`
	CreatedAt   *time.Time         `json:"createdAt"` // at Clerk
	UpdatedAt   *time.Time         `json:"updatedAt"` // at Clerk
	DeletedAt   *time.Time         `json:"deletedAt"` // of a deleted user, nothing else is left unless they are hidden
	HiddenAt    *time.Time         `json:"hiddenAt"`  // of a user who is missing at Clerk and is not erased yet
	Settings    *Settings          `json:"settings"`  // null if never saved
	Memberships []ExportMembership `json:"memberships"`
	Events      []ExportEvent      `json:"events"` // of the last seven days
}

// ExportMembership is a membership of the user's.
type ExportMembership struct {
	OrganizationID string     `json:"organizationId"`
	Role           string     `json:"role"`
	Identifier     string     `json:"identifier" encore:"sensitive"` // what Clerk calls the member by
	CreatedAt      time.Time  `json:"createdAt"`
	DeletedAt      *time.Time `json:"deletedAt"`
}

// ExportEvent is an event of the user's.
type ExportEvent struct {
	Type string    `json:"type"`
	At   time.Time `json:"at"`
}

// Export returns all that the database holds of a user, as the law asks for. It
// is not for the endpoints of users: who may call it is for its caller to decide.
func (s *Store) Export(ctx context.Context, userID string) (*Export, error) {
	var export *Export
	err := s.use(ctx, requestTimeout, func(ctx context.Context) error {
		return s.transact(ctx, func(tx pgx.Tx) (err error) {
			if _, err := tx.Exec(ctx, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"); err != nil {
				return err
			}
			export, err = readExport(ctx, tx, storable(userID))
			return err
		})
	})
	return export, err
}

func readExport(ctx context.Context, tx pgx.Tx, userID string) (*Export, error) {
	e := &Export{User: User{ID: userID}}
	u := &e.User
	err := tx.QueryRow(ctx, `
		SELECT primary_email, email_verified, username, first_name, last_name, external_id, banned, public_metadata, created_at, updated_at, deleted_at, hidden_at
		FROM users WHERE id = $1`, userID).Scan(&u.Email, &u.EmailVerified, &u.Username, &u.FirstName, &u.LastName,
		&u.ExternalID, &u.Banned, &u.PublicMetadata, &e.CreatedAt, &e.UpdatedAt, &e.DeletedAt, &e.HiddenAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, errUnknown()
	}
	if err != nil {
		return nil, err
	}
	var set Settings
	err = tx.QueryRow(ctx, "SELECT version, display_name, locale, time_zone, theme FROM settings WHERE user_id = $1", userID).
		Scan(&set.Version, &set.DisplayName, &set.Locale, &set.TimeZone, &set.Theme)
	switch {
	case err == nil:
		e.Settings, u.DisplayName = &set, set.DisplayName
	case !errors.Is(err, pgx.ErrNoRows):
		return nil, err
	}
	rows, err := tx.Query(ctx, `
		SELECT organization_id, role, identifier, created_at, deleted_at FROM memberships WHERE user_id = $1 ORDER BY created_at, id`, userID)
	if err != nil {
		return nil, err
	}
	if e.Memberships, err = pgx.CollectRows(rows, pgx.RowToStructByPos[ExportMembership]); err != nil {
		return nil, err
	}
	rows, err = tx.Query(ctx, "SELECT type, at FROM events WHERE user_id = $1 ORDER BY seq", userID)
	if err != nil {
		return nil, err
	}
	e.Events, err = pgx.CollectRows(rows, pgx.RowToStructByPos[ExportEvent])
	return e, err
}

// Erase removes the personal data and the settings of a user for good. The row
// becomes a tombstone, as after a deletion at Clerk, and no event or
// reconciliation fills it again. Delete the user at Clerk first, or they can
// sign in and have no account here.
func (s *Store) Erase(ctx context.Context, userID string) error {
	return s.use(ctx, writeTimeout, func(ctx context.Context) error {
		return s.transact(ctx, func(tx pgx.Tx) error {
			var now time.Time
			if err := tx.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&now); err != nil {
				return err
			}
			erased, err := deleteUsers(ctx, tx, []string{storable(userID)}, now)
			if err != nil {
				return err
			}
			// The user's events have been applied; the deletion has to reach
			// every instance.
			if _, err := tx.Exec(ctx, "DELETE FROM events WHERE user_id = $1 AND type <> $2", storable(userID), clerkevent.UserDeleted); err != nil {
				return err
			}
			return announce(ctx, tx, erased)
		})
	})
}
