package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"encore.app/account/store"
	"encore.app/auth/clerkauth"
	"encore.app/internal/postgres"
	"encore.app/internal/standalone"
	"encore.app/webhooks/clerkevent"
)

// reconcileEvery is how often the standalone backend asks for what lost events
// would have said.
const reconcileEvery = 10 * time.Minute

// temporary is what describe prints of a Postgres that ends with this command.
const temporary = "a temporary Postgres; its data go when this command ends"

func init() {
	services = append(services, func(flags *flag.FlagSet) service {
		var a accountService
		flags.StringVar(&a.database, "database", "", "URL of a Postgres database for the standalone backend (default: a temporary one)")
		return &a
	})
}

// accountService is the service account: it needs a Postgres.
type accountService struct{ database string } // -database

func (a *accountService) check(s settings) error {
	if !s.given["database"] {
		return nil
	}
	if s.backend == "encore" || s.backend == "none" {
		return errors.New("-database is for the standalone backend: Encore makes a database of its own")
	}
	a.database = strings.TrimSpace(a.database)
	if problem := urlProblem(a.database); problem != "" {
		return errors.New("-database " + problem + ": write a URL alone, such as " + exampleURL)
	}
	return nil
}

const exampleURL = "postgres://user:password@127.0.0.1:5432/name"

// urlProblem says what is wrong with the URL of a database. What is no URL would
// be read as keywords and values, and pgx repeats those. A password with a / has
// its end behind what looks like the host.
func urlProblem(value string) string {
	_, rest, isURL := strings.Cut(value, "://")
	scheme := strings.HasPrefix(value, "postgres://") || strings.HasPrefix(value, "postgresql://")
	afterHost := rest[strings.IndexAny(rest+"/", "/?#"):]
	u, err := url.Parse(value)
	switch {
	case value == "":
		return "is empty"
	case strings.Trim(value, "\"'`“”‘’„«»") != value:
		return "is in quotes"
	case !scheme && isURL && strings.Contains(value, "=postgres"):
		return "begins with a name, as in NAME=value"
	case !scheme:
		return "does not begin with postgres:// or postgresql://"
	case strings.Contains(afterHost, "@"), err != nil, strings.ContainsFunc(u.Hostname(), notOfHost):
		return "has a host that cannot be one: percent-encode the password"
	}
	return ""
}

// notOfHost reports whether a host, or a list of hosts, does not have the
// character.
func notOfHost(r rune) bool {
	return !(unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-._:%,/", r))
}

// standalone opens the database of the standalone backend: that of -database, or
// a temporary one, or none where there can be none. Variables such as
// DATABASE_URL do not name it, because the fake Clerk has no user of a real
// database, and its reconciliation would hide them.
func (a *accountService) standalone(ctx context.Context, s settings, authenticator *clerkauth.Authenticator, logger *slog.Logger) (addition, error) {
	databaseURL, description, stopServer, err := a.postgres(ctx, s)
	if err != nil {
		return addition{}, err
	}
	if databaseURL == "" {
		return addition{name: "Database", note: description, extension: standalone.Account(nil)}, nil
	}
	users, err := store.Open(databaseURL, logger)
	if err != nil {
		stopServer()
		return addition{}, fmt.Errorf("database: %w", err)
	}
	following, cancel := context.WithCancel(context.Background())
	go users.Follow(following, clerkevent.Direct{Authenticator: authenticator})
	go users.KeepReconciled(following, authenticator.Backend().Background(), reconcileEvery)
	return addition{name: "Database", note: description, extension: standalone.Account(users), stop: func() {
		cancel()
		users.Close()
		stopServer()
	}}, nil
}

// postgres returns the URL of the database, and "" where there is no Postgres.
func (a *accountService) postgres(ctx context.Context, s settings) (url, description string, stop func(), err error) {
	if a.database != "" {
		if description, err = a.checkDatabase(ctx, s.instance); err != nil {
			return "", "", nil, fmt.Errorf("-database: %w", err)
		}
		return a.database, description, func() {}, nil
	}
	server, err := postgres.Start(ctx)
	if err != nil {
		return "", fmt.Sprintf("none: %v. /account and /organization/members answer 503", err), nil, ctx.Err()
	}
	return server.URL(), temporary, server.Stop, nil
}

// checkDatabase describes the database of -database. With the fake Clerk, it
// refuses one that holds the users of another Clerk instance, or does not say of
// which. The fake Clerk's instance is "" with real Clerk.
func (a *accountService) checkDatabase(ctx context.Context, instance string) (description string, err error) {
	pool, err := pgxpool.ParseConfig(a.database)
	if err != nil {
		return "", errors.New("a parameter of the URL is wrong: write one such as " + exampleURL)
	}
	config := pool.ConnConfig
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	connection, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return "", connectError(config, err)
	}
	defer connection.Close(ctx)
	description = fmt.Sprintf("%s on %s:%d, as -database says", config.Database, config.Host, config.Port)
	if instance == "" {
		return description, nil
	}
	var stored string
	var users bool
	for _, q := range []struct {
		table, query string
		into         any
	}{
		{"clerk_instance", "SELECT coalesce((SELECT id FROM clerk_instance), '')", &stored},
		{"users", "SELECT EXISTS (SELECT FROM users)", &users},
	} {
		var exists bool
		err := connection.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", q.table).Scan(&exists)
		if err == nil && exists {
			err = connection.QueryRow(ctx, q.query).Scan(q.into)
		}
		if err != nil {
			return "", err
		}
	}
	if stored != instance && (stored != "" || users) {
		return "", fmt.Errorf("%s holds users of another Clerk instance (%s): the fake Clerk knows none of them. "+
			"Name an empty database, or set CLERK_SECRET_KEY", config.Database, cmp.Or(stored, "it does not say which"))
	}
	return description, nil
}

// connectError says why there is no connection. Of the URL it has host and port
// alone: pgx adds the user and the database, and the server's messages repeat
// them.
func connectError(config *pgx.ConnConfig, err error) error {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return fmt.Errorf("%s:%d: %s", config.Host, config.Port, store.Reason(err))
	}
	return fmt.Errorf("%s:%d: %w", config.Host, config.Port, cmp.Or(errors.Unwrap(err), err))
}
