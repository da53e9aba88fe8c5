package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"encore.app/webhooks/clerkevent"
)

// eventsKept is how long events are remembered. Clerk repeats one for about 28
// hours; a person can send one again in Clerk's dashboard. One that comes later
// still is judged by its time alone.
const eventsKept = 7 * 24 * time.Hour

// Apply stores what an event says. It is safe at any time, in any order and any
// number of times: in one transaction it remembers the event's id and stores the
// record by the rule of this package. After an error nothing of it is stored,
// and the event has to come again. Without a database (a nil Store) there is
// nothing to do, nor is there for an event of another type. The error is not for a client.
func (s *Store) Apply(ctx context.Context, e *clerkevent.Event) error {
	if s == nil || !concerns(e) {
		return nil
	}
	if field := unstorable(e); field != "" { // and never will be
		s.log.Warn("an event is skipped", "event", e.ID, "type", e.Type, "subject", fmt.Sprintf("%.64q", e.Subject), "field", field)
		return nil
	}
	err := s.use(ctx, writeTimeout, func(ctx context.Context) error {
		return s.transact(ctx, func(tx pgx.Tx) error { return apply(ctx, tx, e) })
	})
	if e, ok := forClient(err); ok {
		return errors.New(e.Message) // callers without Encore's runtime log it
	}
	return err
}

// concerns reports whether the database stores what the event says.
func concerns(e *clerkevent.Event) bool {
	return e.User != nil || e.Organization != nil || e.Membership != nil || e.Session != nil && e.Type != clerkevent.SessionCreated
}

func apply(ctx context.Context, tx pgx.Tx, e *clerkevent.Event) error {
	if err := checkInstance(ctx, tx, e.InstanceID); err != nil {
		return err
	}
	var userID, sessionID, membershipID, organizationID *string
	switch {
	case e.User != nil:
		userID = &e.User.ID
	case e.Session != nil:
		userID, sessionID = &e.Session.UserID, &e.Session.ID
	case e.Membership != nil:
		membershipID = &e.Membership.ID
	case e.Type == clerkevent.OrganizationDeleted:
		organizationID = &e.Organization.ID
	}
	result, err := tx.Exec(ctx, `
		INSERT INTO events (id, type, user_id, session_id, membership_id, organization_id, at) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (id) DO NOTHING`, e.ID, e.Type, userID, sessionID, membershipID, organizationID, e.At)
	if err != nil || result.RowsAffected() == 0 {
		return err
	}
	from := source{saidAt: &e.At}
	switch e.Type {
	case clerkevent.UserCreated, clerkevent.UserUpdated:
		_, err = storeUsers(ctx, tx, []userRecord{userOf(e.User, e.At)}, from)
	case clerkevent.UserDeleted:
		_, err = deleteUsers(ctx, tx, []string{e.User.ID}, e.At)
	case clerkevent.OrganizationCreated, clerkevent.OrganizationUpdated:
		_, err = storeOrganizations(ctx, tx, []organizationRecord{organizationOf(e.Organization, e.At)}, from)
	case clerkevent.OrganizationDeleted:
		_, err = deleteOrganizations(ctx, tx, []string{e.Organization.ID}, e.At)
	case clerkevent.MembershipCreated, clerkevent.MembershipUpdated:
		_, err = storeMemberships(ctx, tx, []membershipRecord{membershipOf(e.Membership, e.At)}, from)
	case clerkevent.MembershipDeleted:
		_, err = deleteMemberships(ctx, tx, []membershipRecord{membershipOf(e.Membership, e.At)}, e.At)
	}
	return err
}

// announce tells the application's instances of users that changed or were
// deleted without an event of Clerk's.
func announce(ctx context.Context, tx pgx.Tx, c changes) error {
	for eventType, ids := range map[clerkevent.Type][]string{
		clerkevent.UserUpdated: slices.Concat(c.changed, c.restored), clerkevent.UserDeleted: slices.Concat(c.hidden, c.deleted),
	} {
		if len(ids) == 0 {
			continue
		}
		if _, err := tx.Exec(ctx, `
			INSERT INTO events (type, user_id, at) SELECT $1, unnest($2::text[]), clock_timestamp()`, eventType, ids); err != nil {
			return err
		}
	}
	return nil
}

// forgetEvents removes events that no instance needs any more.
func (s *Store) forgetEvents(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	if _, err := s.pool.Exec(ctx, "DELETE FROM events WHERE stored_at < clock_timestamp() - $1::interval", eventsKept); err != nil {
		s.log.Warn("old events are not removed", "reason", Reason(err))
	}
}
