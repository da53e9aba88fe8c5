package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"encore.app/auth/clerkauth"
	"encore.app/webhooks/clerkevent"
)

const (
	// followEvery is how often an instance looks for new events.
	followEvery = time.Second
	// forgetEvery is how often an instance removes events that none needs any more.
	forgetEvery = time.Hour
	// learnSince is how far back an instance looks that starts. Clerk itself tells
	// it of users who changed before that.
	learnSince = 5 * time.Minute
	// recallSessions is how far back it looks for sessions that ended, at most
	// maxRecalled of them. A token may live longer than the usual minute, and
	// its session is not fetched from Clerk.
	// [clerkauth.Authenticator.RevokeSession] keeps as many refusals for the
	// same time.
	recallSessions = 24 * time.Hour
	maxRecalled    = 100_000
)

// Follow tells the target, which is this instance's own, of all that any
// instance stores in the table of events, within about a second. It returns when
// ctx ends. While the database is down it keeps trying; then it continues where
// it stopped.
func (s *Store) Follow(ctx context.Context, target clerkevent.Target) {
	f := follower{store: s, target: target}
	failing := false
	var forgotten time.Time
	for {
		err := f.poll(ctx)
		if now := time.Now(); err == nil && now.Sub(forgotten) > forgetEvery {
			s.forgetEvents(ctx)
			forgotten = now
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil && !failing {
			s.log.Warn("events of other instances are not followed", describe(err)...)
		}
		failing = err != nil
		if wait(ctx, followEvery) != nil {
			return
		}
	}
}

// followPage is the most events that a follower holds at a time.
const followPage = 1000

// follower reads the table of events without leaving one out. The sequence alone
// would: a row's number is taken when it is written, and a row with a lower
// number may be committed later. So the follower goes from one snapshot of the
// database to a later one, and reads the events of the transactions that ended
// between the two. A transaction that stays open for long, in any database of the
// server, costs it nothing.
type follower struct {
	store  *Store
	target clerkevent.Target

	recalled bool   // the sessions that ended before learnSince were told
	from, to string // snapshots; from is "" at first, to is "" between two rounds
	// In a round: the last event that was told.
	transaction string
	seq         int64
}

// occurrence is a row of events with the user's row of now.
type occurrence struct {
	transaction string
	seq         int64
	sessionID   *string
	at          time.Time
	user        clerkauth.UserRecord
	userUpdated *time.Time
	userDeleted *time.Time
	membership  clerkauth.MembershipRecord
}

// poll tells the target what is new. After an error it begins at the same place.
func (f *follower) poll(ctx context.Context) error {
	if !f.recalled {
		if err := f.recall(ctx); err != nil {
			return err
		}
		f.recalled = true
	}
	if f.to == "" {
		if err := f.begin(ctx); err != nil {
			return err
		}
	}
	for {
		page, err := f.page(ctx)
		if err != nil {
			return err
		}
		for _, o := range page {
			if err := f.tell(ctx, &o); err != nil {
				return err
			}
			f.transaction, f.seq = o.transaction, o.seq
		}
		if len(page) < followPage {
			f.from, f.to = f.to, ""
			return nil
		}
	}
}

// recall tells the target of the sessions that ended before the first round, the
// oldest first. The two overlap by a minute: the later of them begins later.
func (f *follower) recall(ctx context.Context) error {
	ended, err := f.endedSessions(ctx)
	if err != nil {
		return err
	}
	for _, e := range ended {
		if err := f.target.SessionEnded(ctx, e.ID, e.At); err != nil {
			return err
		}
	}
	return nil
}

type endedSession struct {
	ID string
	At time.Time
}

func (f *follower) endedSessions(ctx context.Context) ([]endedSession, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if err := f.store.prepare(ctx); err != nil {
		return nil, err
	}
	rows, err := f.store.pool.Query(ctx, recallStatement, recallSessions, learnSince-time.Minute, maxRecalled)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[endedSession])
}

const recallStatement = `
	SELECT session_id, at FROM (
		SELECT session_id, at, stored_at FROM events
		WHERE session_id IS NOT NULL AND stored_at > now() - $1::interval AND stored_at <= now() - $2::interval
		ORDER BY stored_at DESC LIMIT $3
	) AS newest ORDER BY stored_at`

// begin takes the snapshot to which the next round goes. At first, and when the
// database numbers its transactions from the start, as after a restore, the
// round begins with the transactions that stored events within learnSince.
// OFFSET keeps PostgreSQL from looking for them along the index of all
// transactions.
func (f *follower) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if err := f.store.prepare(ctx); err != nil {
		return err
	}
	return f.store.pool.QueryRow(ctx, snapshotStatement, f.from, learnSince).Scan(&f.to, &f.from, &f.transaction, &f.seq)
}

const snapshotStatement = `
	SELECT latest::text, CASE
		WHEN pg_snapshot_xmax(nullif($1, '')::pg_snapshot) <= pg_snapshot_xmax(latest) THEN $1
		ELSE (
			SELECT first || ':' || first || ':' FROM (
				SELECT coalesce(min(transaction), pg_snapshot_xmax(latest)) AS first
				FROM (SELECT transaction FROM events WHERE stored_at > now() - $2::interval OFFSET 0) AS recent
			) AS oldest
		)
	END, '0', 0
	FROM pg_current_snapshot() AS latest`

// page reads the next events of the round.
func (f *follower) page(ctx context.Context) ([]occurrence, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	rows, err := f.store.pool.Query(ctx, followStatement, f.from, f.to, f.transaction, f.seq, followPage)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (o occurrence, err error) {
		err = row.Scan(&o.transaction, &o.seq, &o.sessionID, &o.at,
			&o.user.ID, &o.user.PrimaryEmail, &o.user.EmailVerified, &o.user.Banned, &o.userUpdated, &o.userDeleted,
			&o.membership.OrganizationID, &o.membership.UserID, &o.membership.Role)
		return o, err
	})
}

// followStatement reads the events of the transactions that were unfinished in
// the first snapshot, one by one or begun later, and ended before the second. Its
// condition names one place to begin at, because an index scan begins at one.
const followStatement = `
	SELECT e.transaction::text, e.seq, e.session_id, e.at,
		coalesce(u.id, ''), coalesce(u.primary_email, ''), coalesce(u.email_verified, false), coalesce(u.banned, false),
		u.updated_at, u.deleted_at,
		coalesce(m.organization_id, e.organization_id, ''), coalesce(m.user_id, ''), CASE WHEN m.deleted_at IS NULL THEN coalesce(m.role, '') ELSE '' END
	FROM (
		SELECT unfinished AS first, unfinished AS last FROM pg_snapshot_xip($1::text::pg_snapshot) AS unfinished
		UNION ALL
		SELECT pg_snapshot_xmax($1::text::pg_snapshot), pg_snapshot_xmax($2::text::pg_snapshot)
	) AS span
	CROSS JOIN LATERAL (
		SELECT * FROM events
		WHERE (transaction, seq) > (greatest(span.first, $3::text::xid8), CASE WHEN span.first > $3::text::xid8 THEN 0 ELSE $4::bigint END)
			AND transaction <= span.last AND pg_visible_in_snapshot(transaction, $2::text::pg_snapshot)
		ORDER BY transaction, seq LIMIT $5
	) AS e
	LEFT JOIN LATERAL (SELECT * FROM users WHERE id = e.user_id LIMIT 1) AS u ON true
	LEFT JOIN LATERAL (SELECT * FROM memberships WHERE id = e.membership_id LIMIT 1) AS m ON true
	ORDER BY e.transaction, e.seq LIMIT $5`

func (f *follower) tell(ctx context.Context, o *occurrence) error {
	switch {
	case o.sessionID != nil:
		return f.target.SessionEnded(ctx, *o.sessionID, o.at)
	case o.membership.OrganizationID != "": // a membership, or all of an organization that was deleted
		o.membership.UpdatedAt = o.at
		return f.target.MembershipChanged(ctx, &o.membership)
	case o.userDeleted != nil:
		return f.target.UserDeleted(ctx, o.user.ID, *o.userDeleted)
	case o.userUpdated != nil:
		o.user.UpdatedAt = *o.userUpdated
		if o.user.Banned && o.at.After(o.user.UpdatedAt) {
			o.user.UpdatedAt = o.at // as clerkevent does: the ban is news
		}
		return f.target.UserUpdated(ctx, &o.user)
	}
	return nil // an organization that was created or changed
}
