package directory

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"encore.app/auth/clerkauth"
)

const (
	// followEvery is how often an instance looks for new events.
	followEvery = time.Second
	// learnSince is how far back an instance looks that starts. A session token
	// lives for a minute, so what happened before that is known from Clerk.
	learnSince = 5 * time.Minute
)

// Target is told of users and sessions that changed. Its methods may be called
// twice, late and in any order.
type Target interface {
	UserUpdated(context.Context, *clerkauth.UserRecord) error
	UserDeleted(ctx context.Context, userID string, at time.Time) error
	SessionEnded(ctx context.Context, sessionID string, at time.Time) error
}

// Follow tells the target, which is this instance's own, of all that any
// instance stores in the table of events, within about a second. It returns when
// ctx ends. While the database is down it keeps trying; then it goes on from
// where it was.
func (s *Store) Follow(ctx context.Context, target Target) {
	f := follower{store: s, target: target}
	failing := false
	for {
		err := f.poll(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !failing {
			s.log.Warn("events of other instances are not followed", "reason", reason(err))
		}
		failing = err != nil
		if wait(ctx, followEvery) != nil {
			return
		}
	}
}

// follower reads the table of events without leaving one out. The sequence alone
// would: a row's number is taken when it is written, and a row with a lower
// number may be committed later. So the follower reads from the oldest
// transaction that was unfinished when it last looked, and skips what it has
// told of already.
type follower struct {
	store  *Store
	target Target

	oldest string         // the oldest unfinished transaction; "" at first
	told   map[int64]bool // events of that transaction and later ones
}

// occurrence is a row of events with the user's row of now.
type occurrence struct {
	seq         *int64
	sessionID   *string
	at          *time.Time
	unfinished  bool // whether its transaction is not older than the oldest
	user        clerkauth.UserRecord
	userUpdated *time.Time
	userDeleted *time.Time
}

// poll tells the target what is new. After an error it begins at the same place.
func (f *follower) poll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if err := f.store.prepare(ctx); err != nil {
		return err
	}
	from, args := "e.stored_at > clock_timestamp() - $1::interval", []any{learnSince}
	if f.oldest != "" {
		from, args = "e.transaction >= $1::text::xid8", []any{f.oldest}
	}
	// The snapshot is that of the statement, so it belongs to the rows. Without
	// rows there is one of NULLs.
	rows, err := f.store.pool.Query(ctx, `
		SELECT pg_snapshot_xmin(now.snapshot)::text, e.seq, e.session_id, e.at,
			coalesce(e.transaction >= pg_snapshot_xmin(now.snapshot), false),
			coalesce(u.id, ''), coalesce(u.primary_email, ''), coalesce(u.email_verified, false), coalesce(u.banned, false),
			u.updated_at, u.deleted_at
		FROM (SELECT pg_current_snapshot() AS snapshot) AS now
		LEFT JOIN events e ON `+from+`
		LEFT JOIN users u ON u.id = e.user_id
		ORDER BY e.seq`, args...)
	if err != nil {
		return err
	}
	var oldest string
	var o occurrence
	var all []occurrence
	_, err = pgx.ForEachRow(rows, []any{&oldest, &o.seq, &o.sessionID, &o.at, &o.unfinished,
		&o.user.ID, &o.user.PrimaryEmail, &o.user.EmailVerified, &o.user.Banned, &o.userUpdated, &o.userDeleted}, func() error {
		if o.seq != nil {
			all = append(all, o)
		}
		return nil
	})
	if err != nil {
		return err
	}
	told := make(map[int64]bool)
	for _, o := range all {
		if !f.told[*o.seq] {
			if err := f.tell(ctx, &o); err != nil {
				return err
			}
		}
		if o.unfinished {
			told[*o.seq] = true
		}
	}
	f.oldest, f.told = oldest, told
	return nil
}

func (f *follower) tell(ctx context.Context, o *occurrence) error {
	switch {
	case o.sessionID != nil:
		return f.target.SessionEnded(ctx, *o.sessionID, *o.at)
	case o.userDeleted != nil:
		return f.target.UserDeleted(ctx, o.user.ID, *o.userDeleted)
	case o.userUpdated != nil:
		o.user.UpdatedAt = *o.userUpdated
		return f.target.UserUpdated(ctx, &o.user)
	}
	return nil // an organization's event
}
