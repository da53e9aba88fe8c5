package clerkauth

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/user"
)

// load asks Clerk for a batch and ends its loads, whatever happens.
func (l *loader) load(batch []*load, t ticket) {
	_, err := guarded(func() (struct{}, error) {
		l.ask(batch, t)
		return struct{}{}, nil
	})
	l.outage.ended(t)
	if err != nil {
		l.finish(batch, err)
	}
}

func (l *loader) ask(batch []*load, t ticket) {
	failure := l.try(batch, t)
	switch {
	case failure == nil:
	case len(batch) > 1:
		l.divide(batch, t)
	case batch[0].odd || batch[0].absent:
		l.failAlone(batch[0], failure)
	default:
		whole := l.outage.failedAlone(t, batch[0].id, failure)
		l.failAlone(batch[0], failure)
		if whole {
			l.drop(failure)
		}
	}
}

// divide finds the record for which a batch failed. Two ids of the batch are
// asked for alone first: if both fail, it is not about a record.
func (l *loader) divide(batch []*load, t ticket) {
	rand.Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
	var failed []*load
	var failure, stop *Error
	for i := range 2 {
		if t, stop = l.further(batch, t); stop != nil {
			l.stop(batch, stop)
			return
		}
		if f := l.try(batch[i:i+1], t); f != nil {
			failed, failure = append(failed, batch[i]), f
		}
	}
	rest := batch[2:]
	switch len(failed) {
	case 0:
		l.halve(rest, t, failure)
	case 1:
		l.failAlone(failed[0], failure)
		if len(rest) == 0 {
			return
		}
		if t, stop = l.further(rest, t); stop != nil {
			l.stop(rest, stop)
		} else if f := l.try(rest, t); f != nil { // most likely the only one
			l.halve(rest, t, f)
		}
	case 2:
		l.failWhole(t, failure)
		l.finish(batch, failure)
	}
}

// halve goes on with each half of a batch that failed.
func (l *loader) halve(batch []*load, t ticket, failure *Error) {
	switch len(batch) {
	case 0:
		return
	case 1:
		if failure != nil {
			l.failAlone(batch[0], failure)
			return
		}
	}
	middle := len(batch) / 2
	for _, half := range [][]*load{batch[:middle], batch[middle:]} {
		if len(half) == 0 {
			continue
		}
		var stop *Error
		if t, stop = l.further(half, t); stop != nil {
			l.stop(half, stop)
		} else if f := l.try(half, t); f != nil {
			l.halve(half, t, f)
		}
	}
}

// further starts a further call for a batch, or tells why it must not go out.
func (l *loader) further(batch []*load, t ticket) (ticket, *Error) {
	wanted := false
	for _, ld := range batch {
		wanted = wanted || ld.wanted.Load()
	}
	if wanted {
		time.Sleep(l.budget.reserve())
	} else if !l.budget.take(classRefresh) {
		return ticket{}, errBudget
	}
	return l.outage.again(t)
}

// stop ends a batch for which no further call goes out.
func (l *loader) stop(batch []*load, why *Error) {
	if why == errBudget {
		l.withdraw(batch)
	} else {
		l.finish(batch, why)
	}
}

// try makes one call for a batch and ends the loads for which that decides. It
// returns a failure only if that may be about a record of the batch.
func (l *loader) try(batch []*load, t ticket) *Error {
	startedAt := l.now()
	var err error
	if len(batch) == 1 {
		err = l.get(batch[0], t, startedAt)
	} else {
		err = l.list(batch, t, startedAt)
	}
	if err == nil {
		return nil
	}
	failure := recordFailure(err)
	switch failure.Reason {
	case ReasonUnreachable:
		if len(batch) == 1 || !errors.Is(failure, context.DeadlineExceeded) {
			return failure
		}
		l.hung(batch, t, failure)
		return nil
	case ReasonRateLimited, ReasonSecretKeyRefused, ReasonInvalidRequest:
		l.failWhole(t, failure)
	default:
		return failure
	}
	l.finish(batch, failure)
	return nil
}

// hung ends a batch that got no answer in time. A record may be the reason. To
// divide the batch step by step would take longer than anybody waits: its ids
// travel in batches of a tenth of the size from now on, until they are
// answered. That is at once if it is not Clerk as a whole that hangs.
func (l *loader) hung(batch []*load, t ticket, failure *Error) {
	limit := max(len(batch)/10, 1)
	for _, ld := range batch {
		l.suspects.Set(ld.id, limit)
	}
	if l.failWhole(t, failure) {
		l.finish(batch, failure)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ld := range batch {
		switch {
		case l.loads[ld.id] != ld: // has ended
		case ld.wanted.Load():
			ld.limit, ld.queuedAt = limit, time.Now()
			l.queue(ld)
		default:
			l.end(ld, userRecord{}, failure)
		}
	}
}

// recordFailure returns the failure of a call for users. Clerk's refusal of the
// request is about a record, since the request is always the same.
func recordFailure(err error) *Error {
	var refused *APIError
	if errors.As(err, &refused) {
		return &Error{Kind: Unavailable, Reason: ReasonRequestRefused, cause: refused}
	}
	return AsError(err)
}

// failWhole reports a failure of Clerk as a whole, and ends everything queued.
// It returns false if a call that began later has succeeded: then it is none.
func (l *loader) failWhole(t ticket, failure *Error) bool {
	if !l.outage.failed(t, failure) {
		return false
	}
	if failure.Reason == ReasonRateLimited {
		l.budget.pauseRefreshes(failure.retryAfter)
	}
	l.drop(failure)
	return true
}

// failAlone ends a load whose failure is about this user's record.
func (l *loader) failAlone(ld *load, failure *Error) {
	l.failures.add(ld.id, failure)
	l.finish([]*load{ld}, failure)
}

// succeed ends a load with a user.
func (l *loader) succeed(ld *load, record userRecord) {
	l.failures.clear(ld.id)
	l.suspects.Invalidate(ld.id)
	// Tokens that were issued later than this answer ask again.
	record.answers = record.checkedAt
	if ld.issuedAt.After(record.answers) {
		record.answers = ld.issuedAt
	}
	record = l.put(ld.id, record)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end(ld, record, nil)
}

// get loads one user. As in list, the outage is over before anybody has the
// answer: who is served has shown that Clerk is back.
func (l *loader) get(ld *load, t ticket, startedAt time.Time) error {
	path, err := clerk.JoinPath("/users", ld.id)
	if err != nil {
		return err
	}
	var body rawBody
	err = l.connection.call(context.Background(), clerk.NewAPIRequest(http.MethodGet, path), &body)
	if errors.Is(err, ErrNotFound) {
		l.outage.succeeded(t)
		l.succeed(ld, userRecord{refusal: ReasonUnknownUser, updatedAt: startedAt, checkedAt: startedAt})
		return nil
	}
	if err != nil {
		return err
	}
	id, record, err := parseUser(json.RawMessage(body))
	if err == nil && id != ld.id {
		err = errors.New("not the user asked for")
	}
	if err != nil {
		return &Error{Kind: Unavailable, Reason: ReasonInvalidResponse, cause: err}
	}
	record.checkedAt = startedAt
	l.outage.succeeded(t)
	l.succeed(ld, record)
	return nil
}

// list loads many users. One whose record cannot be read fails alone. One who
// is left out is asked for alone: Clerk does not promise that a list is
// complete.
func (l *loader) list(batch []*load, t ticket, startedAt time.Time) error {
	req := clerk.NewAPIRequest(http.MethodGet, "/users")
	params := &user.ListParams{ListParams: clerk.ListParams{Limit: clerk.Int64(maxBatch)}}
	waiting := make(map[string]*load, len(batch))
	for _, ld := range batch {
		params.UserIDs = append(params.UserIDs, ld.id)
		waiting[ld.id] = ld
	}
	req.SetParams(params)
	var body rawList
	if err := l.connection.call(context.Background(), req, &body); err != nil {
		return err
	}
	l.outage.succeeded(t)
	for _, raw := range body {
		id, record, err := parseUser(raw)
		ld := waiting[id]
		if ld == nil {
			continue // nobody asked
		}
		delete(waiting, id)
		if err != nil {
			l.failAlone(ld, &Error{Kind: Unavailable, Reason: ReasonInvalidResponse, cause: err})
			continue
		}
		record.checkedAt = startedAt
		l.succeed(ld, record)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ld := range waiting {
		ld.absent = true
		l.queue(ld)
	}
	return nil
}

// rawBody is a body as it came.
type rawBody json.RawMessage

// Read implements [clerk.ResponseReader].
func (*rawBody) Read(*clerk.APIResponse) {}

// UnmarshalJSON implements [json.Unmarshaler].
func (b *rawBody) UnmarshalJSON(data []byte) error {
	*b = append((*b)[:0], data...)
	return nil
}

// rawList is a JSON array whose elements are read one by one.
type rawList []json.RawMessage

// Read implements [clerk.ResponseReader].
func (*rawList) Read(*clerk.APIResponse) {}
