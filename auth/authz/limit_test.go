package authz

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"encore.app/auth/clerkauth"
)

// A flood of refusals writes a bounded number of lines, says how many it left
// out, and hides no refusal of another reason.
func TestRefusalsAreLoggedWithinARate(t *testing.T) {
	now := time.Now()
	old := processLines
	processLines = newLineLimit(func() time.Time { return now })
	defer func() { processLines = old }()
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	refuse := func(reason clerkauth.Reason) {
		_ = Error(&clerkauth.Error{Kind: clerkauth.Unauthenticated, Reason: reason}, log)
	}
	for range 10_000 {
		refuse(clerkauth.ReasonExpired)
	}
	if got := strings.Count(out.String(), "reason=expired"); got != refusalBurst {
		t.Errorf("%d lines of a flood, want %d", got, refusalBurst)
	}
	out.Reset()
	refuse(clerkauth.ReasonUserBanned)
	if !strings.Contains(out.String(), "reason=user_banned\n") {
		t.Errorf("a flood hides another reason: %q", &out)
	}
	out.Reset()
	now = now.Add(time.Second)
	for range 10_000 {
		refuse(clerkauth.ReasonExpired)
	}
	if got := strings.Count(out.String(), "reason=expired"); got != refusalsPerSecond {
		t.Errorf("%d lines a second later, want %d", got, refusalsPerSecond)
	}
	if !strings.Contains(out.String(), "omitted=9900\n") {
		t.Errorf("the lines left out are not counted: %q", &out)
	}
}

func TestLimitLog(t *testing.T) {
	var out bytes.Buffer
	log := LimitLog(slog.New(slog.NewTextHandler(&out, nil)))
	for range 1000 {
		log.Info("webhook refused", "reason", "unsigned")
		log.Warn("webhook refused", "reason", "invalid_signature")
		log.Error("webhook refused", "reason", "not_configured")
	}
	for _, level := range []string{"INFO", "WARN", "ERROR"} {
		if got := strings.Count(out.String(), "level="+level); got < refusalBurst || got > 2*refusalBurst {
			t.Errorf("%d lines of level %s of 1,000", got, level)
		}
	}
}
