package webhooks

import (
	"context"

	"encore.app/account"
	"encore.app/webhooks/clerkevent"
)

// The service account keeps the database up to date.
func init() {
	handlers = append(handlers, func(ctx context.Context, event *clerkevent.Event) error {
		return account.Apply(ctx, event)
	})
}
