package clerkauth_test

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
)

func TestOneSecretCostsOneCall(t *testing.T) {
	f := newFixture(t, acceptEvery)
	key := f.issue(t, fakeclerk.MachineToken{Type: fakeclerk.TypeAPIKey, Subject: "org_analytical"}).Token
	var group sync.WaitGroup
	for range 1000 {
		group.Go(func() {
			if _, err := f.authenticator.Authenticate(context.Background(), key); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := f.verifications(); n != 1 {
		t.Errorf("%d verifications for 1,000 requests at once", n)
	}
	// In use, it is renewed before its time is over: no request waits.
	f.clock.Advance(50 * time.Second)
	for range 1000 {
		if _, err := f.authenticator.Authenticate(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the answer is renewed", func() bool { return f.verifications() == 2 })
	if n := f.verifications(); n != 2 {
		t.Errorf("%d verifications", n)
	}
}

func TestRevokedSecretIsRefusedInTime(t *testing.T) {
	f := newFixture(t, acceptEvery)
	key := f.issue(t, fakeclerk.MachineToken{Type: fakeclerk.TypeAPIKey, Subject: "org_analytical"})
	authenticate := func() error {
		_, err := f.authenticator.Authenticate(t.Context(), key.Token)
		return err
	}
	if err := authenticate(); err != nil {
		t.Fatal(err)
	}
	if err := f.clerk.RevokeMachineToken(key.ID, "leaked"); err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(time.Minute)
	for range 2 {
		wantError(t, authenticate(), clerkauth.Unauthenticated, clerkauth.ReasonRevoked)
	}
	if n := f.verifications(); n != 2 {
		t.Errorf("%d verifications", n)
	}
}

func TestSecretIsRefusedFromItsExpiryOn(t *testing.T) {
	f := newFixture(t, acceptEvery)
	expiry := f.clock.Now().Add(20 * time.Second)
	for _, tokenType := range []string{fakeclerk.TypeAPIKey, fakeclerk.TypeM2MToken, fakeclerk.TypeOAuthToken} {
		subject := map[string]string{fakeclerk.TypeM2MToken: "mch_1"}[tokenType]
		if subject == "" {
			subject = "user_ada"
		}
		f.issue(t, fakeclerk.MachineToken{Type: tokenType, Token: opaqueSecret(tokenType), Subject: subject, ExpiresAt: expiry})
		if _, err := f.authenticator.Authenticate(t.Context(), opaqueSecret(tokenType)); err != nil {
			t.Fatal(err)
		}
	}
	f.clock.Advance(20 * time.Second)
	before := f.verifications()
	for _, tokenType := range []string{fakeclerk.TypeAPIKey, fakeclerk.TypeM2MToken, fakeclerk.TypeOAuthToken} {
		_, err := f.authenticator.Authenticate(t.Context(), opaqueSecret(tokenType))
		wantError(t, err, clerkauth.Unauthenticated, clerkauth.ReasonExpired)
	}
	if n := f.verifications(); n != before {
		t.Errorf("%d calls about tokens that have expired", n-before)
	}
}

func opaqueSecret(tokenType string) string {
	return map[string]string{fakeclerk.TypeAPIKey: "ak_", fakeclerk.TypeM2MToken: "mt_", fakeclerk.TypeOAuthToken: "oat_"}[tokenType] +
		"0123456789abcdefghijklmnop"
}

func TestSecretsWhileClerkIsDown(t *testing.T) {
	f := newFixture(t, acceptEvery)
	known := f.issue(t, fakeclerk.MachineToken{Type: fakeclerk.TypeAPIKey, Subject: "user_ada"}).Token
	unknown := f.issue(t, fakeclerk.MachineToken{Type: fakeclerk.TypeAPIKey, Subject: "user_ada"}).Token
	jwt := f.issue(t, fakeclerk.MachineToken{Type: fakeclerk.TypeM2MToken, Subject: "mch_1", JWT: true}).Token
	for _, token := range []string{known, jwt} {
		if _, err := f.authenticator.Authenticate(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	f.clerk.SetFault("", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 500})
	f.clock.Advance(59 * time.Second)
	for _, token := range []string{known, jwt} {
		if _, err := f.authenticator.Authenticate(t.Context(), token); err != nil {
			t.Errorf("within the time: %v", err)
		}
	}
	_, err := f.authenticator.Authenticate(t.Context(), unknown)
	wantError(t, err, clerkauth.Unavailable, clerkauth.ReasonInvalidResponse)
	f.clock.Advance(time.Second)
	_, err = f.authenticator.Authenticate(t.Context(), known)
	if e := clerkauth.AsError(err); e.Kind != clerkauth.Unavailable {
		t.Errorf("after the time: %v", err)
	}

	f.clerk.ClearFaults()
	f.clock.Advance(time.Minute)
	for _, token := range []string{known, unknown} {
		if _, err := f.authenticator.Authenticate(t.Context(), token); err != nil {
			t.Errorf("after Clerk is back: %v", err)
		}
	}
}

func TestNoOpaqueTokenMaxAgeAsksEachTime(t *testing.T) {
	f := newFixture(t, acceptEvery, func(o *clerkauth.Options) { o.OpaqueTokenMaxAge = -1 })
	key := f.issue(t, fakeclerk.MachineToken{Type: fakeclerk.TypeAPIKey, Subject: "org_analytical"})
	for range 3 {
		if _, err := f.authenticator.Authenticate(t.Context(), key.Token); err != nil {
			t.Fatal(err)
		}
	}
	if n := f.verifications(); n != 3 {
		t.Errorf("%d verifications", n)
	}
	if err := f.clerk.RevokeMachineToken(key.ID, ""); err != nil {
		t.Fatal(err)
	}
	_, err := f.authenticator.Authenticate(t.Context(), key.Token)
	wantError(t, err, clerkauth.Unauthenticated, clerkauth.ReasonRevoked)
}

// A secret that is not known yet may be created in the next moment.
func TestSecretIsAcceptedSoonAfterItsCreation(t *testing.T) {
	f := newFixture(t, acceptEvery)
	secret := opaqueSecret(fakeclerk.TypeAPIKey)
	_, err := f.authenticator.Authenticate(t.Context(), secret)
	wantError(t, err, clerkauth.Unauthenticated, clerkauth.ReasonUnknownSecret)
	f.issue(t, fakeclerk.MachineToken{Type: fakeclerk.TypeAPIKey, Token: secret, Subject: "org_analytical"})
	f.clock.Advance(10 * time.Second)
	if _, err := f.authenticator.Authenticate(t.Context(), secret); err != nil {
		t.Error(err)
	}
}

// Clerk refuses our own key, or has the feature turned off: the operator's
// fault, not that of a secret.
func TestVerificationThatClerkRefuses(t *testing.T) {
	for status, want := range map[int]clerkauth.Kind{401: clerkauth.Misconfigured, 429: clerkauth.Unavailable, 500: clerkauth.Unavailable} {
		f := newFixture(t, acceptEvery)
		key := f.issue(t, fakeclerk.MachineToken{Type: fakeclerk.TypeAPIKey, Subject: "org_analytical"}).Token
		f.clerk.SetFault("", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: status})
		_, err := f.authenticator.Authenticate(t.Context(), key)
		if e := clerkauth.AsError(err); err == nil || e.Kind != want || strings.Contains(err.Error(), key) {
			t.Errorf("status %d: %v", status, err)
		}
	}
}

// Made-up secrets cost accepted secrets and users who sign in nothing. The
// clock stands still, so that the budget that the flood uses does not refill.
func TestFloodOfMadeUpSecrets(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *clerkauth.Options) { o.AcceptsToken, o.RateLimitShare = everyType, 0.8 })
	known := f.issue(t, fakeclerk.MachineToken{Type: fakeclerk.TypeAPIKey, Subject: "org_analytical"}).Token
	if _, err := f.authenticator.Authenticate(t.Context(), known); err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(61 * time.Second) // the budget is full, and the known key has to be verified again

	var group sync.WaitGroup
	var refused, unavailable atomic.Int64
	for range 2000 {
		group.Go(func() {
			_, err := f.authenticator.Authenticate(context.Background(), "ak_"+rand.Text())
			switch e := clerkauth.AsError(err); {
			case e.Reason == clerkauth.ReasonUnknownSecret:
				refused.Add(1)
			case e.Reason == clerkauth.ReasonRateLimitShare:
				unavailable.Add(1)
			default:
				t.Errorf("a made up secret: %v", err)
			}
		})
	}
	group.Wait()
	t.Logf("%d refused, %d unavailable", refused.Load(), unavailable.Load())
	if _, err := f.authenticator.Authenticate(t.Context(), known); err != nil {
		t.Errorf("the key that Clerk knew: %v", err)
	}
	for range 3 {
		if _, err := f.authenticate(t, f.newUser(t)); err != nil {
			t.Errorf("somebody who signs in: %v", err)
		}
	}
	if n := f.verifications(); n > 4 {
		t.Errorf("%d verifications", n)
	}
}
