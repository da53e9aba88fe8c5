package account

import (
	"context"

	"encore.dev/cron"

	"encore.app/account/store"
	"encore.app/auth"
	"encore.app/webhooks/clerkevent"
)

// Apply stores what an event of Clerk's says, at any time, in any order and any
// number of times.
//
//encore:api private sensitive
func Apply(ctx context.Context, event *clerkevent.Event) error {
	return users().Apply(ctx, event)
}

// GetUsers returns users by their ids, for other services.
//
//encore:api private
func GetUsers(ctx context.Context, p *store.UserIDs) (*store.Users, error) {
	return users().Users(ctx, p)
}

// ExportUser returns all that the database holds of a user.
//
//encore:api private sensitive method=GET path=/account/users/:userID
func ExportUser(ctx context.Context, userID string) (*store.Export, error) {
	return users().Export(ctx, userID)
}

// EraseUser removes a user's personal data and settings for good. Delete the
// user at Clerk first.
//
//encore:api private method=DELETE path=/account/users/:userID
func EraseUser(ctx context.Context, userID string) error {
	return users().Erase(ctx, userID)
}

// Reconcile compares the database with Clerk and stores what differs, or with
// DryRun only reports it.
//
//encore:api private
func Reconcile(ctx context.Context, p *store.ReconcileParams) (*store.Report, error) {
	return reconcile(ctx, p)
}

// On Encore Cloud this keeps the database reconciled where instances come and
// go. Elsewhere ReconcileEvery does.
var _ = cron.NewJob("reconcile-accounts", cron.JobConfig{
	Title:    "Reconcile users and organizations with Clerk",
	Every:    24 * cron.Hour,
	Endpoint: ReconcileDaily,
})

// ReconcileDaily is [Reconcile] for the cron job.
//
//encore:api private
func ReconcileDaily(ctx context.Context) error {
	_, err := reconcile(ctx, &store.ReconcileParams{})
	return err
}

func reconcile(ctx context.Context, p *store.ReconcileParams) (*store.Report, error) {
	backend, err := auth.Backend()
	if err != nil {
		return nil, err
	}
	return users().Reconcile(ctx, backend.Background(), p)
}
