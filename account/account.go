// Package account keeps the application's data about its users: a copy of
// Clerk's users, organizations and memberships that is right whatever happens
// to the webhooks, and the users' own settings. The rules are in the package
// store.
//
// To do without it, see docs/database.md.
package account

import (
	"context"
	"fmt"
	"sync"

	"encore.dev"
	"encore.dev/config"
	"encore.dev/storage/sqldb"
	"github.com/jackc/pgx/v5/pgxpool"

	"encore.app/account/store"
	"encore.app/auth"
	"encore.app/auth/clerkauth/setting"
	"encore.app/auth/preflight"
)

var db = sqldb.NewDatabase("account", sqldb.DatabaseConfig{
	Migrations: "./migrations",
})

// Config is what config.cue sets.
type Config struct {
	ReconcileEvery config.String
	EraseAfter     config.String
}

var cfg = config.Load[*Config]()

// users is the database. While it is down the endpoints of this service answer
// Unavailable, and every other service continues to work.
var users = sync.OnceValue(func() *store.Store {
	s := store.New(sqldb.Driver[*pgxpool.Pool](db), auth.Log{})
	if d, err := store.ParseEraseAfter(cfg.EraseAfter()); err == nil { // initService has checked it
		s.EraseAfter = d
	}
	return s
})

// Service follows what other instances store, and reconciles.
//
//encore:service
type Service struct {
	stop context.CancelFunc
}

// initService is run by Encore when the service starts. It does not wait for the
// database. An error stops the app.
func initService() (*Service, error) {
	every, err := setting.Duration(cfg.ReconcileEvery())
	if err != nil {
		return nil, preflight.ExitIfDeployed(fmt.Errorf("account/config.cue: ReconcileEvery %w", err), auth.Log{})
	}
	if _, err := store.ParseEraseAfter(cfg.EraseAfter()); err != nil {
		return nil, preflight.ExitIfDeployed(fmt.Errorf("account/config.cue: EraseAfter %w", err), auth.Log{})
	}
	backend, err := auth.Backend()
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	if encore.Meta().Environment.Type != encore.EnvTest {
		go users().Follow(ctx, auth.Events{})
		if every > 0 {
			go users().KeepReconciled(ctx, backend.Background(), every)
		}
	}
	return &Service{stop: stop}, nil
}

// Shutdown is run by Encore when the app stops.
func (s *Service) Shutdown(context.Context) { s.stop() }

// GetAccount returns the user as stored by this application.
//
//encore:api auth method=GET path=/account
func GetAccount(ctx context.Context) (*store.Account, error) {
	caller, err := auth.Caller()
	if err != nil {
		return nil, err
	}
	return users().Account(ctx, caller)
}

// SaveSettings replaces the user's settings. It answers Aborted (409) if they
// have changed since the version that the caller knows.
//
//encore:api auth method=PUT path=/account/settings
func SaveSettings(ctx context.Context, settings *store.Settings) (*store.Settings, error) {
	caller, err := auth.Caller()
	if err != nil {
		return nil, err
	}
	return users().SaveSettings(ctx, caller, settings)
}

// ListMembers lists the members of the active organization to its admins.
//
//encore:api auth method=GET path=/organization/members
func ListMembers(ctx context.Context, p *store.MembersParams) (*store.Members, error) {
	caller, err := auth.Require(store.ToListMembers...)
	if err != nil {
		return nil, err
	}
	return users().Members(ctx, caller, p)
}
