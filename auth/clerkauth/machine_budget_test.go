package clerkauth

import (
	"testing"
	"time"
)

// TestMadeUpSecretsComeLast: whatever a flood of unknown secrets takes, there is
// a token left for everybody else.
func TestMadeUpSecretsComeLast(t *testing.T) {
	for _, key := range []string{"sk_test_x", "sk_live_x"} {
		now := time.Now()
		b := newBudget(Options{SecretKey: key, RateLimitShare: defaultRateLimitShare, UnknownTokensPerSecond: 100, Now: func() time.Time { return now }})
		taken := 0
		for b.take(classUnknown) {
			taken++
		}
		if taken == 0 {
			t.Errorf("%s: no unknown secret is verified when nothing else happens", key)
		}
		for _, c := range []class{classOther, classRefresh, classMachine, classSignIn} {
			if !b.take(c) {
				t.Errorf("%s: nothing left of class %s", key, c)
			}
		}
		// Each class leaves something to the one above it.
		order := []class{classUnknown, classOther, classRefresh, classMachine, classSignIn}
		for i, c := range order[1:] {
			if c.leaves(72) >= order[i].leaves(72) || c.leaves(7) >= order[i].leaves(7) {
				t.Errorf("class %s does not come before %s", c, order[i])
			}
		}
	}
}
