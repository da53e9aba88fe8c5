package clerkauth

import (
	"context"
	"errors"
	"time"
)

// patience is how long one request waits for Clerk, all its waits together.
const patience = 2500 * time.Millisecond

// await waits for something that is shared with other requests and goes on
// without this one, until it is there, the request is over or its patience is.
func await[T any](ctx context.Context, until time.Time, shared <-chan T) (T, error) {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	var none T
	select {
	case result := <-shared:
		return result, nil
	case <-ctx.Done():
		return none, &Error{Kind: Canceled, Reason: ReasonCanceled, cause: ctx.Err()}
	case <-timer.C:
		return none, &Error{Kind: Unavailable, Reason: ReasonUnreachable, cause: errors.New("no answer in time")}
	}
}
