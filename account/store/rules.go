package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"
)

// The functions below are the one rule by which all that Clerk says enters the
// tables, an event's record as well as a page of a list. A record replaces a row
// if Clerk changed it later, and never a tombstone. They return what changed.

// source is where records come from. It only decides between two records that
// Clerk changed in the same millisecond.
type source struct {
	// saidAt is the time of the event, by Clerk's clock; NULL for a list. Of
	// two events the later wins, and of two with the same time the one received
	// last, except that a ban stays.
	saidAt *time.Time
	// askedAt is the time of the call that fetched the list, by the database's
	// clock; NULL for an event. A list wins over a row that was stored before.
	askedAt *time.Time
}

// changes are the ids of rows that were changed in one way or another.
type changes struct{ added, changed, deleted, hidden, restored []string }

// storeUsers stores records of users.
func storeUsers(ctx context.Context, tx pgx.Tx, records []userRecord, from source) (changes, error) {
	return store(ctx, tx, records, from, `
		INSERT INTO users AS old (id, primary_email, email_verified, username, first_name, last_name, external_id,
			banned, created_at, updated_at, public_metadata, said_at)
		SELECT id, primary_email, email_verified, username, first_name, last_name, external_id,
			banned, created_at, updated_at, coalesce(public_metadata, '{}'), $2
		FROM jsonb_to_recordset($1) AS new (id text, primary_email text, email_verified boolean, username text,
			first_name text, last_name text, external_id text, banned boolean, created_at timestamptz, updated_at timestamptz,
			public_metadata jsonb)
		ORDER BY id
		ON CONFLICT (id) DO UPDATE SET
			primary_email = excluded.primary_email, email_verified = excluded.email_verified, username = excluded.username,
			first_name = excluded.first_name, last_name = excluded.last_name, external_id = excluded.external_id,
			banned = excluded.banned, created_at = excluded.created_at, updated_at = excluded.updated_at,
			public_metadata = excluded.public_metadata, said_at = coalesce(excluded.said_at, old.said_at), stored_at = clock_timestamp()
		WHERE old.deleted_at IS NULL AND (
			old.updated_at IS NULL
			OR excluded.updated_at > old.updated_at
			OR excluded.updated_at = old.updated_at
				AND ($3::timestamptz > old.stored_at
					OR $2::timestamptz >= coalesce(old.said_at, '-infinity') AND (excluded.banned OR NOT old.banned))
				AND (excluded.primary_email, excluded.email_verified, excluded.username, excluded.first_name,
					excluded.last_name, excluded.external_id, excluded.banned, excluded.public_metadata)
				IS DISTINCT FROM (old.primary_email, old.email_verified, old.username, old.first_name,
					old.last_name, old.external_id, old.banned, old.public_metadata)
		)
		RETURNING id, xmax = 0`)
}

// storeOrganizations stores records of organizations.
func storeOrganizations(ctx context.Context, tx pgx.Tx, records []organizationRecord, from source) (changes, error) {
	return store(ctx, tx, records, from, `
		INSERT INTO organizations AS old (id, name, slug, created_at, updated_at, said_at)
		SELECT id, name, slug, created_at, updated_at, $2
		FROM jsonb_to_recordset($1) AS new (id text, name text, slug text, created_at timestamptz, updated_at timestamptz)
		ORDER BY id
		ON CONFLICT (id) DO UPDATE SET
			name = excluded.name, slug = excluded.slug, created_at = excluded.created_at, updated_at = excluded.updated_at,
			said_at = coalesce(excluded.said_at, old.said_at), stored_at = clock_timestamp()
		WHERE old.deleted_at IS NULL AND (
			old.updated_at IS NULL
			OR excluded.updated_at > old.updated_at
			OR excluded.updated_at = old.updated_at
				AND ($3::timestamptz > old.stored_at OR $2::timestamptz >= coalesce(old.said_at, '-infinity'))
				AND (excluded.name, excluded.slug) IS DISTINCT FROM (old.name, old.slug)
		)
		RETURNING id, xmax = 0`)
}

// store runs a statement that inserts or updates records, and returns the id of
// each such row and whether it is new (PostgreSQL has no xmax then).
func store[T any](ctx context.Context, tx pgx.Tx, records []T, from source, statement string) (changes, error) {
	var result changes
	if len(records) == 0 {
		return result, nil
	}
	encoded, err := json.Marshal(records)
	if err != nil {
		return result, err
	}
	rows, err := tx.Query(ctx, statement, encoded, from.saidAt, from.askedAt)
	if err != nil {
		return result, err
	}
	var id string
	var added bool
	_, err = pgx.ForEachRow(rows, []any{&id, &added}, func() error {
		if added {
			result.added = append(result.added, id)
		} else {
			result.changed = append(result.changed, id)
		}
		return nil
	})
	return result, err
}

// deleteUsers turns users into tombstones, and removes all that hangs on them.
func deleteUsers(ctx context.Context, tx pgx.Tx, ids []string, at time.Time) (changes, error) {
	var result changes
	if len(ids) == 0 {
		return result, nil
	}
	var err error
	result.deleted, err = collect[string](ctx, tx, `
		INSERT INTO users AS old (id, deleted_at)
		SELECT DISTINCT unnest($1::text[]) AS id, $2::timestamptz ORDER BY id
		ON CONFLICT (id) DO UPDATE SET
			primary_email = '', email_verified = false, username = '', first_name = '', last_name = '', external_id = '',
			banned = false, public_metadata = '{}', created_at = NULL, updated_at = NULL, said_at = NULL,
			deleted_at = excluded.deleted_at, hidden_at = NULL, stored_at = clock_timestamp()
		WHERE old.deleted_at IS NULL OR old.hidden_at IS NOT NULL
		RETURNING id`, ids, at)
	if err != nil || len(result.deleted) == 0 {
		return result, err
	}
	if err := lockOrganizationsOf(ctx, tx, result.deleted); err != nil {
		return result, err
	}
	if _, err := tx.Exec(ctx, "DELETE FROM settings WHERE user_id = ANY($1)", result.deleted); err != nil {
		return result, err
	}
	_, err = tx.Exec(ctx, `
		WITH gone AS (
			DELETE FROM memberships WHERE user_id = ANY($1) RETURNING organization_id, deleted_at
		), lost AS (
			SELECT organization_id, count(*) AS members FROM gone WHERE deleted_at IS NULL GROUP BY 1
		)
		UPDATE organizations SET members = organizations.members - lost.members
		FROM lost WHERE id = organization_id`, result.deleted)
	return result, err
}

// deleteOrganizations turns organizations into tombstones, and removes their
// memberships.
func deleteOrganizations(ctx context.Context, tx pgx.Tx, ids []string, at time.Time) (changes, error) {
	var result changes
	if len(ids) == 0 {
		return result, nil
	}
	var err error
	result.deleted, err = collect[string](ctx, tx, `
		INSERT INTO organizations AS old (id, deleted_at)
		SELECT DISTINCT unnest($1::text[]) AS id, $2::timestamptz ORDER BY id
		ON CONFLICT (id) DO UPDATE SET
			name = '', slug = '', members = 0, created_at = NULL, updated_at = NULL, said_at = NULL,
			deleted_at = excluded.deleted_at, hidden_at = NULL, stored_at = clock_timestamp()
		WHERE old.deleted_at IS NULL OR old.hidden_at IS NOT NULL
		RETURNING id`, ids, at)
	if err != nil || len(result.deleted) == 0 {
		return result, err
	}
	_, err = tx.Exec(ctx, "DELETE FROM memberships WHERE organization_id = ANY($1)", result.deleted)
	return result, err
}

// lockOrganizationsOf locks the organizations of users, who are locked. Rows are
// always locked in one order: users, organizations, memberships, each by its id.
func lockOrganizationsOf(ctx context.Context, tx pgx.Tx, userIDs []string) error {
	_, err := tx.Exec(ctx, `
		SELECT FROM organizations WHERE id IN (SELECT organization_id FROM memberships WHERE user_id = ANY($1))
		ORDER BY id FOR NO KEY UPDATE`, userIDs)
	return err
}

type querier interface {
	Query(context.Context, string, ...any) (pgx.Rows, error)
}

// query returns a statement's rows.
func query[T any](ctx context.Context, tx querier, statement string, args ...any) ([]T, error) {
	rows, err := tx.Query(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[T])
}

// collect returns the one column of a statement's rows.
func collect[T any](ctx context.Context, tx querier, statement string, args ...any) ([]T, error) {
	rows, err := tx.Query(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[T])
}
