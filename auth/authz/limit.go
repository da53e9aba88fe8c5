package authz

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Anybody can be refused as often as they like. Of each kind of refusal one
// process logs refusalBurst lines at once and refusalsPerSecond after that.
const (
	refusalsPerSecond = 10
	refusalBurst      = 100
)

// lineLimit limits log lines by their message and reason, which are constants. A
// flood of one kind hides no line of another.
type lineLimit struct {
	now func() time.Time

	mu    sync.Mutex
	kinds map[string]*limitedKind
}

type limitedKind struct {
	limiter *rate.Limiter
	omitted int // lines since the last one that was written
}

var processLines = newLineLimit(time.Now)

func newLineLimit(now func() time.Time) *lineLimit {
	return &lineLimit{now: now, kinds: map[string]*limitedKind{}}
}

// write writes a line if its kind has not used up its rate. The next line that
// is written has the number of those that were omitted.
func (l *lineLimit) write(write func(string, ...any), message string, keysAndValues ...any) {
	kind := message
	if len(keysAndValues) > 1 && keysAndValues[0] == "reason" {
		kind += fmt.Sprint(" ", keysAndValues[1])
	}
	omitted, ok := l.admit(kind)
	if !ok {
		return
	}
	if omitted > 0 {
		keysAndValues = append(keysAndValues[:len(keysAndValues):len(keysAndValues)], "omitted", omitted)
	}
	write(message, keysAndValues...)
}

func (l *lineLimit) admit(kind string) (omitted int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.kinds[kind]
	if known == nil {
		known = &limitedKind{limiter: rate.NewLimiter(refusalsPerSecond, refusalBurst)}
		l.kinds[kind] = known
	}
	if !known.limiter.AllowN(l.now(), 1) {
		known.omitted++
		return 0, false
	}
	omitted, known.omitted = known.omitted, 0
	return omitted, true
}

// LimitLog returns a Logger that limits lines by message and reason, for refusals
// that anybody can cause. Both must be constants.
func LimitLog(log Logger) Logger {
	return limitedLog{log: log, limit: newLineLimit(time.Now)}
}

type limitedLog struct {
	log   Logger
	limit *lineLimit
}

func (l limitedLog) Info(message string, keysAndValues ...any) {
	l.limit.write(l.log.Info, message, keysAndValues...)
}

func (l limitedLog) Warn(message string, keysAndValues ...any) {
	l.limit.write(l.log.Warn, message, keysAndValues...)
}

func (l limitedLog) Error(message string, keysAndValues ...any) {
	l.limit.write(l.log.Error, message, keysAndValues...)
}
