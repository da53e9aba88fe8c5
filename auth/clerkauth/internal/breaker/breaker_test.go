package breaker

import (
	"errors"
	"testing"
	"time"
)

type testClock struct{ now time.Time }

func (c *testClock) Now() time.Time { return c.now }

type done = func(Outcome, error, time.Duration) bool

var errDown = errors.New("down")

// TestResults is the table of what a result means, by the results received
// between the beginning of its call and its end.
func TestResults(t *testing.T) {
	unclear := func(n int, begin func() done) {
		for range n {
			begin()(Unclear, errDown, time.Minute)
		}
	}
	for _, test := range []struct {
		name    string
		run     func(begin func() done)
		blocked bool // a second later
	}{
		{"a failure, whose backoff is half a second", func(begin func() done) { begin()(Failed, errDown, 0) }, false},
		{"a failure with Retry-After", func(begin func() done) { begin()(Failed, errDown, time.Minute) }, true},
		{"a straggler's success does not erase Retry-After", func(begin func() done) {
			straggler, call := begin(), begin()
			call(Failed, errDown, time.Minute)
			straggler(Succeeded, nil, 0)
		}, true},
		{"a straggler's failure does not shorten Retry-After", func(begin func() done) {
			straggler, call := begin(), begin()
			call(Failed, errDown, time.Minute)
			straggler(Failed, errDown, 0)
		}, true},
		{"stragglers' failures do not add up", func(begin func() done) {
			for _, call := range []done{begin(), begin(), begin(), begin()} {
				call(Failed, errDown, 0)
			}
		}, false},
		{"a failure is no news once a later call was answered", func(begin func() done) {
			straggler, call := begin(), begin()
			call(Succeeded, nil, 0)
			straggler(Failed, errDown, time.Minute)
		}, false},
		{"four unclear results", func(begin func() done) { unclear(4, begin) }, false},
		{"five unclear results in a row", func(begin func() done) { unclear(5, begin) }, true},
		{"five unclear results with a success between", func(begin func() done) {
			unclear(4, begin)
			begin()(Succeeded, nil, 0)
			unclear(4, begin)
		}, false},
		{"ignored results", func(begin func() done) {
			for range 10 {
				begin()(Ignored, errDown, time.Minute)
			}
		}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			clock := &testClock{now: time.Unix(1e9, 0)}
			b := New(clock.Now)
			test.run(func() done {
				done, blocked := b.Begin()
				if blocked != nil {
					t.Fatal(blocked)
				}
				return done
			})
			clock.now = clock.now.Add(time.Second)
			if got := b.Blocked() != nil; got != test.blocked {
				t.Errorf("blocked: %v, want %v", got, test.blocked)
			}
		})
	}
}

func TestProbe(t *testing.T) {
	clock := &testClock{now: time.Unix(1e9, 0)}
	b := New(clock.Now)
	begin := func() done {
		t.Helper()
		done, blocked := b.Begin()
		if blocked != nil {
			t.Fatal(blocked)
		}
		return done
	}
	wantBlocked := func(want bool) {
		t.Helper()
		if err := b.Blocked(); (err != nil) != want || want && !errors.Is(err, errDown) {
			t.Fatalf("blocked: %v, want %v", err, want)
		}
	}
	old := begin()
	begin()(Failed, errDown, 0)
	wantBlocked(true)
	clock.now = clock.now.Add(FirstBackoff)
	probe := begin()
	wantBlocked(true) // one call at a time
	old(Succeeded, nil, 0)
	wantBlocked(true)
	if opened := probe(Unclear, errDown, 0); !opened {
		t.Error("a probe that fails does not open the circuit again")
	}
	clock.now = clock.now.Add(FirstBackoff)
	wantBlocked(true) // a whole second by now
	clock.now = clock.now.Add(FirstBackoff)
	begin()(Ignored, nil, 0)
	wantBlocked(false)
	begin()(Succeeded, nil, 0)
	first, second := begin(), begin()
	second(Succeeded, nil, 0)
	first(Failed, errDown, 0)
	wantBlocked(false)
}
