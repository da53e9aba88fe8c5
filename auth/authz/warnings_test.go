package authz

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
)

func TestOneWarningAMinute(t *testing.T) {
	now := time.Now()
	w := newWarnings(func() time.Time { return now })
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	refuse := func(reason clerkauth.Reason, times int) string {
		log.Reset()
		for range times {
			w.warn(&clerkauth.Error{Kind: clerkauth.Unauthenticated, Reason: reason}, logger)
		}
		if lines := strings.Count(log.String(), "\n"); lines > 1 {
			t.Errorf("%d lines for %d refusals", lines, times)
		}
		return log.String()
	}
	wantIn := func(got string, want ...string) {
		t.Helper()
		for _, part := range append(want, "level=WARN") {
			if !strings.Contains(got, part) {
				t.Errorf("got %q, want %q in it", got, part)
			}
		}
	}
	unknown, party := clerkauth.ReasonUnknownKey, clerkauth.ReasonInvalidAuthorized
	wantIn(refuse(unknown, 1000), "reason=unknown_key refused=1 accepted=0 unverified=true", "ClerkSecretKey")
	// A flood of one reason hides no other.
	wantIn(refuse(party, 1), "reason=invalid_authorized_party refused=1 accepted=0 hint=")
	if got := refuse(unknown, 1); got != "" {
		t.Errorf("within a minute: %s", got)
	}
	w.accepted.Add(7)
	now = now.Add(time.Minute)
	wantIn(refuse(unknown, 3), "refused=1001 accepted=7")
	if got := refuse(clerkauth.ReasonExpired, 3) + refuse(clerkauth.ReasonUserBanned, 3); got != "" {
		t.Errorf("nobody's setting: %s", got)
	}
}

// TestHints goes through what an operator can do wrong and names the setting. Each
// is a real refusal.
func TestHints(t *testing.T) {
	clerk, err := fakeclerk.Start(fakeclerk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer clerk.Close()
	elsewhere, err := fakeclerk.Start(fakeclerk.Options{KeyID: "ins_elsewhere"})
	if err != nil {
		t.Fatal(err)
	}
	defer elsewhere.Close()
	type set = func(*clerkauth.Options)
	claim, head := fakeclerk.Claim, fakeclerk.Header
	now := time.Now().Unix()
	for _, test := range []struct {
		reason clerkauth.Reason
		token  []fakeclerk.TokenOption
		set    set
		want   string
	}{
		{clerkauth.ReasonInvalidAuthorized, []fakeclerk.TokenOption{claim("azp", "https://app.example.com")}, nil, "AuthorizedParties"},
		{clerkauth.ReasonMissingAuthorized, []fakeclerk.TokenOption{claim("azp", nil)}, nil, "AllowMissingAuthorizedParty"},
		{clerkauth.ReasonInvalidIssuer, []fakeclerk.TokenOption{claim("iss", "https://example.com")}, nil, "set Issuer"},
		{clerkauth.ReasonInvalidIssuer, nil, func(o *clerkauth.Options) { o.Issuer = "https://clerk.example.com" }, "correct Issuer"},
		{clerkauth.ReasonUnknownKey, []fakeclerk.TokenOption{head("kid", "ins_other")}, nil, "ClerkSecretKey"},
		{clerkauth.ReasonNotSessionToken, []fakeclerk.TokenOption{head("cat", fakeclerk.CategoryJWTTemplate)}, nil, "template"},
		{clerkauth.ReasonInvalidAlgorithm, []fakeclerk.TokenOption{head("alg", "HS256")}, nil, "template"},
		{clerkauth.ReasonMissingSession, []fakeclerk.TokenOption{claim("sid", nil)}, nil, "template"},
		{clerkauth.ReasonInvalidSubject, []fakeclerk.TokenOption{claim("sub", "42")}, nil, "template"},
		{clerkauth.ReasonMalformedClaims, []fakeclerk.TokenOption{claim("exp", "soon")}, nil, "Customize session token"},
		{clerkauth.ReasonIssuedInFuture, []fakeclerk.TokenOption{claim("iat", now+60)}, nil, "clock"},
		{clerkauth.ReasonNotActiveYet, []fakeclerk.TokenOption{claim("nbf", now+60)}, nil, "clock"},
		{clerkauth.ReasonTokenTypeMismatch, []fakeclerk.TokenOption{head("typ", "at+jwt")}, nil, "AcceptsToken"},
		{clerkauth.ReasonSecretKeyRefused, nil, func(o *clerkauth.Options) { o.SecretKey = "sk_test_another" }, "ClerkSecretKey"},
		{clerkauth.ReasonRequestRefused, nil, func(o *clerkauth.Options) { o.APIURL += "/nowhere" }, "CLERK_API_URL"},
	} {
		options := clerkauth.Options{SecretKey: clerk.SecretKey(), APIURL: clerk.URL(), AuthorizedParties: []string{fakeclerk.DefaultAuthorizedParty}}
		if test.set != nil {
			test.set(&options)
		}
		a, err := clerkauth.New(options)
		if err != nil {
			t.Fatal(err)
		}
		token, err := clerk.SessionToken("user_ada", test.token...)
		if err != nil {
			t.Fatal(err)
		}
		_, err = a.Authenticate(t.Context(), token)
		e := clerkauth.AsError(err)
		if err == nil || e.Reason != test.reason || !strings.Contains(Hint(e), test.want) {
			t.Errorf("%s: %v, hint %q; want %q", test.reason, err, Hint(e), test.want)
		}
	}
}
