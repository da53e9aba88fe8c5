package clerkauth_test

import (
	"context"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
)

// TestNoGoroutineIsLeft: neither hostile tokens, nor callers who left, nor a
// Clerk that hangs leave anything running.
func TestNoGoroutineIsLeft(t *testing.T) {
	f := newFixture(t, func(o *clerkauth.Options) {
		o.HTTPClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // whose idle connections have goroutines
	})
	if _, err := f.authenticate(t, "user_ada"); err != nil {
		t.Fatal(err)
	}
	good := f.token(t, "user_ada")
	var before int
	eventually(t, "the first calls are over", func() bool {
		now := runtime.NumGoroutine()
		settled := now == before
		before = now
		return settled
	})
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	f.clerk.SetFault(userRoute, fakeclerk.Fault{Kind: fakeclerk.FaultHang})
	for range 3 {
		_, err := f.authenticator.Authenticate(ended, f.token(t, f.newUser(t)))
		wantError(t, err, clerkauth.Canceled, clerkauth.ReasonCanceled)
		f.clock.Advance(time.Second)
	}
	for i := range good {
		_, _ = f.authenticator.Authenticate(context.Background(), good[:i])
		_, _ = f.authenticator.Authenticate(context.Background(), good[:i]+"A"+good[i+1:])
		_, _ = f.authenticator.Authenticate(context.Background(), strings.Repeat(".", i))
	}
	eventually(t, "all goroutines have ended", func() bool { return runtime.NumGoroutine() <= before })
}
