package clerkauth

import "time"

// sendSignIns makes one call for those who wait.
func (l *loader) sendSignIns() {
	time.Sleep(l.budget.reserve())
	l.mu.Lock()
	l.signInNext = false
	l.endOverdue()
	n, limit := batchSize(l.signIns)
	batch := take(&l.signIns, n)
	if n > 0 && limit == maxBatch {
		batch = append(batch, unwanted(take(&l.refreshes, maxBatch-n))...)
	}
	t, failure := ticket{}, (*Error)(nil)
	if len(batch) > 0 {
		t, failure = l.outage.begin()
	}
	leave(batch)
	l.startSignIns()
	l.mu.Unlock()
	l.send(batch, t, failure, string(classSignIn))
	l.mu.Lock()
	l.signInCalls--
	l.startSignIns()
	l.mu.Unlock()
}

// sendAlone makes one call for one id. Who failed lately waits behind all
// others.
func (l *loader) sendAlone() {
	l.mu.Lock()
	one := take(&l.alone, 1)
	l.mu.Unlock()
	var t ticket
	var failure *Error
	if len(one) > 0 {
		if one[0].odd || !one[0].wanted.Load() {
			if !l.budget.take(classRefresh) {
				failure = errBudget
			}
		} else {
			time.Sleep(l.budget.reserve())
		}
		if failure == nil {
			t, failure = l.outage.aside()
		}
	}
	l.mu.Lock()
	l.aloneNext = false
	leave(one)
	l.startAlone()
	l.mu.Unlock()
	l.send(one, t, failure, "alone")
	l.mu.Lock()
	l.aloneCalls--
	l.startAlone()
	l.mu.Unlock()
}

// sendRefreshes makes one call for refreshes, or drops them if the budget has
// nothing to spare. Their users are served as before, and are refreshed when
// they come back some seconds later.
func (l *loader) sendRefreshes() {
	l.mu.Lock()
	batch := unwanted(take(&l.refreshes, maxBatch))
	leave(batch)
	l.mu.Unlock()
	if len(batch) > 0 {
		t, failure := l.outage.begin()
		if failure == nil && !l.budget.take(classRefresh) {
			l.outage.ended(t)
			failure = errBudget
		}
		l.send(batch, t, failure, string(classRefresh))
	}
	l.mu.Lock()
	l.refreshCalls--
	if len(l.refreshes) >= maxBatch || !l.lingering {
		l.startRefreshes()
	}
	l.mu.Unlock()
}

// send makes the call for a batch, unless there is a failure that forbids it.
func (l *loader) send(batch []*load, t ticket, failure *Error, why string) {
	switch {
	case len(batch) == 0:
	case failure == errBudget:
		l.withdraw(batch)
	case failure != nil:
		l.finish(batch, failure)
		l.drop(failure)
	default:
		l.counts.add(CountUserBatches, why, 1)
		l.load(batch, t)
	}
}

// withdraw ends loads for which the budget has no token. Refreshes that are
// wanted by now join the sign-ins.
func (l *loader) withdraw(batch []*load) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ld := range batch {
		if l.loads[ld.id] == ld && !ld.odd && ld.wanted.Load() {
			ld.queuedAt = time.Now()
			l.queue(ld)
		} else {
			l.end(ld, userRecord{}, errBudget)
		}
	}
}

// endOverdue ends sign-ins that have been queued for long, and whose requests no
// longer wait.
func (l *loader) endOverdue() {
	overdue := time.Now().Add(-maxQueueTime)
	for len(l.signIns) > 0 && l.signIns[0].queuedAt.Before(overdue) && l.signIns[0].asking.Load() <= 0 {
		l.counts.add(CountRateLimit, string(classSignIn), 1)
		l.end(take(&l.signIns, 1)[0], userRecord{}, errNoAnswer)
	}
}

// batchSize returns how many loads at the front of a queue may travel together,
// and how many could.
func batchSize(queue []*load) (n, limit int) {
	limit = maxBatch
	for _, ld := range queue {
		if n >= min(limit, ld.limit) {
			break
		}
		limit = min(limit, ld.limit)
		n++
	}
	return n, limit
}

// take cuts at most n loads from the front of a queue.
func take(queue *[]*load, n int) []*load {
	n = min(n, len(*queue))
	front := append([]*load(nil), (*queue)[:n]...)
	clear((*queue)[:n]) // for the garbage collector
	*queue = (*queue)[n:]
	return front
}

// unwanted returns the loads that are still no more than refreshes.
func unwanted(refreshes []*load) []*load {
	kept := refreshes[:0]
	for _, ld := range refreshes {
		if !ld.wanted.Load() {
			kept = append(kept, ld)
		}
	}
	return kept
}

func leave(batch []*load) {
	for _, ld := range batch {
		if !ld.taken {
			ld.taken = true
			close(ld.left)
		}
	}
}

// drop ends everything that is queued while Clerk as a whole is failing.
func (l *loader) drop(failure *Error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.outage.blocked() == nil {
		return // it is back: who is queued by now came later
	}
	for _, queue := range []*[]*load{&l.signIns, &l.alone, &l.refreshes} {
		for _, ld := range *queue {
			l.end(ld, userRecord{}, failure)
		}
		*queue = nil
	}
}

// finish ends loads with an error.
func (l *loader) finish(batch []*load, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ld := range batch {
		l.end(ld, userRecord{}, err)
	}
}

// end hands the result to all who wait, unless the load has ended. The caller
// holds mu.
func (l *loader) end(ld *load, record userRecord, err error) {
	if l.loads[ld.id] != ld {
		return
	}
	delete(l.loads, ld.id)
	ld.taken = true // nobody changes it from here on
	switch {
	case err != nil:
		l.counts.add(CountUsers, failed(err), 1)
	case record.refusal != "":
		l.counts.add(CountUsers, "refused", 1)
	default:
		l.counts.add(CountUsers, "loaded", 1)
	}
	ld.flight.finish(record, err)
}
