package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// A refusal by the auth handler is logged with its reason, and one that points at a
// setting with that. Encore answers a request without the header before the auth
// handler is called: it leaves no such line.
func TestRefusalsAreLogged(t *testing.T) {
	if w.log == nil {
		t.Skip("the log of a backend that was not started here cannot be read")
	}
	logged := func(parts ...string) bool {
		for line := range strings.SplitSeq(w.log(), "\n") {
			all := true
			for _, part := range parts {
				all = all && strings.Contains(line, part)
			}
			if all {
				return true
			}
		}
		return false
	}
	before := strings.Count(w.log(), "not signed in")
	want(t, ask(t, "/user/profile", ""), http.StatusUnauthorized, noAuthorization)
	want(t, ask(t, "/user/profile", "Bearer "+token(t, url.Values{"user_id": {"user_ada"}, "azp": {"https://logged.example"}})), http.StatusUnauthorized, notSignedIn)
	eventually(t, "the refusal is logged", func() bool { return logged("not signed in", "invalid_authorized_party") })
	if lines := strings.Count(w.log(), "not signed in") - before; lines > 1 {
		t.Errorf("%d lines for one refusal by the auth handler", lines)
	}
	eventually(t, "the setting is logged", func() bool {
		return logged("requests are refused", "invalid_authorized_party", "AuthorizedParties", "auth/config.cue")
	})
	if strings.Contains(w.log(), "eyJ") {
		t.Error("a token is logged")
	}
}
