//go:build docs

// Package recipes has the endpoints that docs/recipes.md shows.
package recipes

import (
	"context"
	"errors"

	encoreauth "encore.dev/beta/auth"
	"encore.dev/pubsub"
	"encore.dev/rlog"
	"github.com/clerk/clerk-sdk-go/v2/user"

	"encore.app/auth"
	"encore.app/auth/clerkauth"
	"encore.app/webhooks/clerkevent"
)

// Publish is for editors and admins, by the public metadata of the user.
//
//encore:api auth method=POST path=/drafts/:id/publish
func Publish(ctx context.Context, id string) error {
	caller, err := auth.Require(clerkauth.Claim("metadata.role", "editor", "admin"))
	if err != nil {
		return err
	}
	return audit(ctx, caller, "article.published", id)
}

// Limits answers with what the user's metadata allow.
//
//encore:api auth method=GET path=/limits
func Limits(ctx context.Context) (*LimitsResponse, error) {
	caller, err := auth.Caller()
	if err != nil {
		return nil, err
	}
	var claims struct {
		Metadata struct {
			Projects int `json:"projects"`
		} `json:"metadata"`
	}
	if err := caller.Claims(&claims); err != nil {
		return nil, err
	}
	return &LimitsResponse{Projects: claims.Metadata.Projects}, nil
}

// LimitsResponse is what a user may have.
type LimitsResponse struct {
	Projects int `json:"projects"`
}

// CloseAccount is for users themselves: support may look, and not close.
//
//encore:api auth method=DELETE path=/closing
func CloseAccount(ctx context.Context) error {
	caller, err := auth.Require(clerkauth.InPerson(), clerkauth.Reverify(clerkauth.Strict))
	if err != nil {
		return err
	}
	return audit(ctx, caller, "account.closed", caller.UserID)
}

// audit keeps who did what, and who acted in their place.
func audit(ctx context.Context, caller *clerkauth.Caller, action, object string) error {
	actor := ""
	if caller.Actor != nil {
		actor = caller.Actor.Subject
	}
	return store(ctx, Entry{Action: action, Object: object, User: caller.UserID, Actor: actor})
}

// Entry is a line of the audit log.
type Entry struct{ Action, Object, User, Actor string }

func store(_ context.Context, e Entry) error {
	rlog.Info("audit", "action", e.Action, "object", e.Object, "user", e.User)
	return nil
}

// Report is a job that somebody has asked for.
type Report struct {
	UserID string
}

// Reports are waiting to be written.
var Reports = pubsub.NewTopic[*Report]("reports", pubsub.TopicConfig{DeliveryGuarantee: pubsub.AtLeastOnce})

// OrderReport has a report written later.
//
//encore:api auth method=POST path=/reports
func OrderReport(ctx context.Context) error {
	caller, err := auth.Caller()
	if err != nil {
		return err
	}
	_, err = Reports.Publish(ctx, &Report{UserID: caller.UserID})
	return err
}

var _ = pubsub.NewSubscription(Reports, "write", pubsub.SubscriptionConfig[*Report]{Handler: writeReport})

func writeReport(ctx context.Context, r *Report) error {
	backend, err := auth.Backend()
	if err != nil {
		return err
	}
	users := &user.Client{Backend: backend.Background()}
	u, err := users.Get(ctx, r.UserID)
	if errors.Is(err, clerkauth.ErrNotFound) || err == nil && u.Banned {
		return nil // the user is gone
	}
	if err != nil {
		return err // the message comes again
	}
	return Collect(actFor(ctx, u.ID))
}

// actFor returns a context for calls of other endpoints on a user's behalf. The
// caller there has no organization, no role and no claims.
func actFor(ctx context.Context, userID string) context.Context {
	return encoreauth.WithContext(ctx, encoreauth.UID(userID), &auth.Data{Caller: clerkauth.Caller{
		TokenType: clerkauth.SessionToken, Subject: userID, UserID: userID,
	}})
}

// Collect is called by a job for the user.
//
//encore:api private
func Collect(ctx context.Context) error {
	_, err := auth.Caller()
	return err
}

// ClerkEvent takes an event that this repository has no type for.
//
//encore:api private sensitive
func ClerkEvent(ctx context.Context, event *clerkevent.Event) error {
	if event.Type != "waitlistEntry.created" {
		return nil
	}
	return invite(ctx, event.Data)
}

func invite(context.Context, []byte) error { return nil }
