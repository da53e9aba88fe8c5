//go:build encore_local

package authtest

import (
	"maps"
	"strings"
	"testing"
	"time"

	"encore.dev/beta/auth"
	"encore.dev/et"

	appauth "encore.app/auth"
	"encore.app/auth/clerkauth"
)

// Claims are further claims of a token, such as metadata.
type Claims map[string]any

// SignIn makes caller the one who calls in the current test, as the auth handler
// does for a request. It works under encore test only.
//
// A caller needs few fields. A test names a TokenType other than
// [clerkauth.SessionToken], and a Subject other than the user. An organization
// with a role or with permissions gets an ID if the test gives none.
func SignIn(t testing.TB, caller clerkauth.Caller, claims ...Claims) {
	t.Helper()
	complete(&caller)
	all := Claims{"sub": caller.Subject}
	for _, more := range claims {
		maps.Copy(all, more)
	}
	raw, err := clerkauth.NewClaims(all)
	if err != nil {
		t.Fatalf("authtest: claims: %v", err)
	}
	caller.RawClaims = raw
	et.OverrideAuthInfo(auth.UID(caller.Subject), &appauth.Data{Caller: caller})
}

// complete fills in what follows from the rest.
func complete(c *clerkauth.Caller) {
	if c.TokenType == "" {
		c.TokenType = clerkauth.SessionToken
	}
	if c.Subject == "" {
		c.Subject = c.UserID
	}
	if c.UserID == "" && strings.HasPrefix(c.Subject, "user_") {
		c.UserID = c.Subject
	}
	if o := &c.Organization; o.ID == "" && (o.Role != "" || len(o.Permissions) > 0) {
		o.ID = "org_test"
	}
	if c.TokenType == clerkauth.SessionToken {
		if c.SessionID == "" {
			c.SessionID = "sess_test"
		}
		if c.IssuedAt.IsZero() {
			c.IssuedAt = time.Now()
			c.ExpiresAt = c.IssuedAt.Add(time.Minute)
		}
	}
}
