package authz

import (
	"sync"
	"sync/atomic"
	"time"

	"encore.app/auth/clerkauth"
)

// warnEvery is how often one reason is warned of. Anybody can cause some reasons
// as often as they like.
const warnEvery = time.Minute

// warnings limits the warnings of one process. It holds one entry a reason, and
// the reasons are constants.
type warnings struct {
	now      func() time.Time
	accepted atomic.Int64 // requests, so far

	mu    sync.Mutex
	known map[clerkauth.Reason]*warned
}

// warned is the state of one reason since its last warning.
type warned struct {
	at       time.Time
	refused  int
	accepted int64 // warnings.accepted then
}

var processWarnings = newWarnings(time.Now)

func newWarnings(now func() time.Time) *warnings {
	return &warnings{now: now, known: map[clerkauth.Reason]*warned{}}
}

// due counts a refusal. It returns true once a minute, with the requests that
// were refused for this reason, and those that were accepted, since it last did.
func (w *warnings) due(reason clerkauth.Reason) (refused int, accepted int64, due bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := w.known[reason]
	if known == nil {
		known = &warned{}
		w.known[reason] = known
	}
	known.refused++
	now, total := w.now(), w.accepted.Load()
	if now.Sub(known.at) < warnEvery {
		return 0, 0, false
	}
	refused, accepted = known.refused, total-known.accepted
	*known = warned{at: now, accepted: total}
	return refused, accepted, true
}

// warn writes the line that names the setting, for a refusal that points at the
// operator. If no caller was accepted since the last warning, the setting is
// most likely wrong; evidence of an unverified token may be a stranger's.
func (w *warnings) warn(e *clerkauth.Error, log Logger) {
	hint := Hint(e)
	if hint == "" {
		return
	}
	refused, accepted, due := w.due(e.Reason)
	if !due {
		return
	}
	line := []any{"reason", e.Reason, "refused", refused, "accepted", accepted}
	if e.Unverified() {
		line = append(line, "unverified", true)
	}
	line = append(line, e.Evidence()...)
	log.Warn("requests are refused", append(line, "hint", hint)...)
}
