// Package authtest signs callers in for the tests of an app's endpoints. Under
// encore test it needs no token ([SignIn]); over HTTP it uses the tokens of a
// fake Clerk ([StartClerk]). SignIn is there under the build tag encore_local
// alone, which encore test sets, so that other tests do without Encore.
package authtest

import (
	"testing"

	"encore.app/fakeclerk"
)

// Clerk is a fake Clerk for one test.
type Clerk struct {
	*fakeclerk.Server
	t testing.TB
}

// StartClerk starts a fake Clerk that ends with the test.
func StartClerk(t testing.TB) *Clerk {
	t.Helper()
	server, err := fakeclerk.Start(fakeclerk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return &Clerk{Server: server, t: t}
}

// Token returns a fresh session token of a user, such as user_ada, for the header
// Authorization: Bearer.
func (c *Clerk) Token(userID string, options ...fakeclerk.TokenOption) string {
	c.t.Helper()
	token, err := c.SessionToken(userID, options...)
	if err != nil {
		c.t.Fatal(err)
	}
	return token
}
