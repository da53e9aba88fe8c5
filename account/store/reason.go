package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// A fault is an error of PostgreSQL's that points at the operator.
type fault struct{ reason, hint string }

const (
	urlSetting     = "-database of cmd/dev, or sql_servers of Encore's infra config"
	ownHint        = "give this application a database of its own: " + urlSetting
	poolHint       = "a proxy such as PgBouncer must pool sessions, not transactions"
	incompleteHint = "the schema is incomplete, or schema_migrations belongs to something else: " + ownHint
	dirtyHint      = "a migration failed halfway: repair the tables, then set dirty to false in schema_migrations"
	grantHint      = "the role must own the database, or have CREATE on the schema and all rights on its tables: docs/database.md"
)

// faults are by SQLSTATE.
var faults = map[string]fault{
	"25006": {"the server is read-only", "name the primary server: " + urlSetting},
	"26000": {"a prepared statement is missing", poolHint},
	"28000": {"the role may not log in", "look at the role, TLS and pg_hba.conf: " + urlSetting},
	"28P01": {"wrong role or password", urlSetting},
	"3D000": {"no such database", "create the database, or name another: " + urlSetting},
	"3F000": {"no schema to create tables in", grantHint},
	"42501": {"permission denied", grantHint},
	"42701": {"a column of the same name exists", incompleteHint},
	"42703": {"a column is missing", "a table of the same name belongs to something else, or to another version: " + ownHint},
	"42809": {"not a table of this application", ownHint},
	"42883": {"a function is missing", incompleteHint},
	"42P01": {"a table is missing", incompleteHint},
	"42P05": {"a prepared statement exists already", poolHint},
	"42P07": {"a table of the same name exists", ownHint},
	"42710": {"an object of the same name exists", ownHint},
	"42723": {"a function of the same name exists", ownHint},
	"53100": {"the disk of the server is full", "free space on the server"},
	"53300": {"too many connections", "lower pool_max_conns of " + urlSetting + ", or raise max_connections of the server: docs/database.md"},
	"57P03": {"the server is starting or stopping", "wait for the server"},
}

// describe returns an error of the database as attributes for the log. They hold
// no value of a row: PostgreSQL repeats values in its messages.
func describe(err error) []any {
	values := []any{"reason", Reason(err)}
	var refused *pgconn.PgError
	var unfit *unfitError
	var migration *migrationError
	switch {
	case errors.As(err, &unfit):
		return append(values, "hint", unfit.hint)
	case !errors.As(err, &refused):
		return values
	}
	hint := faults[refused.Code].hint
	if errors.As(err, &migration) && migration.dirty {
		hint = dirtyHint
	}
	if strings.HasPrefix(refused.Code, "42") { // its messages have names of tables and columns alone
		values = append(values, "detail", refused.Message)
	}
	if hint != "" {
		values = append(values, "hint", hint)
	}
	return values
}

// Reason describes an error of the database in a few words, none of which are the
// server's: its messages repeat names and values.
func Reason(err error) string {
	var refused *pgconn.PgError
	var connect *pgconn.ConnectError
	var network net.Error
	var unfit *unfitError
	switch {
	case errors.As(err, &unfit):
		return unfit.reason
	case errors.As(err, &refused):
		if known := faults[refused.Code].reason; known != "" {
			return known + " (SQLSTATE " + refused.Code + ")"
		}
		return "SQLSTATE " + refused.Code
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return "no answer in time"
	case errors.As(err, &connect), errors.As(err, &network):
		return "no connection"
	}
	return fmt.Sprintf("%T", err)
}

// unfitError is for a server or database on which the schema cannot be.
type unfitError struct{ fault }

func (e *unfitError) Error() string { return e.reason }

// migrationError is logged by [Store.prepare].
type migrationError struct {
	number int
	dirty  bool // it has failed before, outside of a transaction
	err    error
}

func (e *migrationError) Error() string { return fmt.Sprintf("migration %d: %v", e.number, e.err) }
func (e *migrationError) Unwrap() error { return e.err }
