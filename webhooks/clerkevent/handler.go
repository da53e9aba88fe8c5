package clerkevent

import (
	"context"
	"errors"
)

// Handler takes an event. An error makes Clerk send the event again.
type Handler func(ctx context.Context, event *Event) error

// All returns a handler that calls every handler, also after one has failed.
func All(handlers ...Handler) Handler {
	return func(ctx context.Context, event *Event) error {
		var failed []error
		for _, handle := range handlers {
			failed = append(failed, handle(ctx, event))
		}
		return errors.Join(failed...)
	}
}
