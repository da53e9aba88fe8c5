package authz_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"encore.dev/beta/errs"

	"encore.app/auth/authz"
	"encore.app/auth/clerkauth"
)

// refusal returns the error as the client sees it.
func refusal(t *testing.T, err error) (code errs.ErrCode, message, details string) {
	t.Helper()
	var refused *errs.Error
	if err == nil || !errors.As(err, &refused) {
		return errs.OK, "", ""
	}
	encoded, err := json.Marshal(refused.Details)
	if err != nil {
		t.Fatal(err)
	}
	return refused.Code, refused.Message, string(encoded)
}

func TestRequire(t *testing.T) {
	admin, strict := clerkauth.Role("org:admin"), clerkauth.Reverify(clerkauth.Strict)
	caller := func(role string, minutes int) *clerkauth.Caller {
		return &clerkauth.Caller{
			TokenType:             clerkauth.SessionToken,
			Subject:               "user_ada",
			UserID:                "user_ada",
			Organization:          clerkauth.Organization{ID: "org_1", Role: role},
			FactorVerificationAge: clerkauth.FactorVerificationAge{Known: true, FirstFactor: minutes, SecondFactor: -1},
		}
	}
	const hint = `{"clerk_error":{"type":"forbidden","reason":"reverification-error","metadata":{"reverification":"strict"}}}`
	for _, test := range []struct {
		name         string
		caller       *clerkauth.Caller
		requirements []clerkauth.Requirement
		code         errs.ErrCode
		message      string
		details      string
	}{
		{"all that is required", caller("org:admin", 0), []clerkauth.Requirement{admin, strict}, errs.OK, "", ""},
		{"another role", caller("org:member", 0), []clerkauth.Requirement{admin}, errs.PermissionDenied, "requires the role org:admin", "null"},
		{"a stale factor", caller("org:admin", 20), []clerkauth.Requirement{admin, strict}, errs.PermissionDenied, "verify again that it is you", hint},
		{"another role and a stale factor", caller("org:member", 20), []clerkauth.Requirement{strict, admin}, errs.PermissionDenied, "requires the role org:admin", "null"},
		{"no requirement", caller("org:admin", 0), nil, errs.PermissionDenied, "requires the nothing", "null"},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, message, details := refusal(t, authz.Require(test.caller, slog.New(slog.DiscardHandler), test.requirements...))
			if code != test.code || message != test.message || details != test.details {
				t.Errorf("got %v %q %s", code, message, details)
			}
		})
	}
}

func TestDeniedLineNamesTheActor(t *testing.T) {
	for subject, want := range map[string]string{
		"user_support": " actor=user_support", "agent_1": " actor=agent_1", "": " actor=unknown",
		"support@example.com": " actor=unknown", "user_a@example.com": " actor=unknown",
	} {
		var log bytes.Buffer
		caller := &clerkauth.Caller{TokenType: clerkauth.SessionToken, UserID: "user_ada", Actor: &clerkauth.Actor{Subject: subject}}
		code, message, _ := refusal(t, authz.Require(caller, slog.New(slog.NewTextHandler(&log, nil)), clerkauth.InPerson()))
		if code != errs.PermissionDenied || message != "requires the user in person" {
			t.Errorf("got %v %q", code, message)
		}
		if line := strings.TrimSpace(log.String()); !strings.HasSuffix(line, `msg="permission denied" missing="user in person"`+want) {
			t.Errorf("%q: got %s", subject, line)
		}
	}
}

func TestClaimThatDidNotTravel(t *testing.T) {
	var caller clerkauth.Caller
	if err := json.Unmarshal([]byte(`{"TokenType":"session_token","UserID":"user_ada","RawClaims":{"claims":{},"omitted":["tier"]}}`), &caller); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	code, message, _ := refusal(t, authz.Require(&caller, slog.New(slog.NewTextHandler(&log, nil)), clerkauth.Claim("tier", 3)))
	if code != errs.PermissionDenied || message != "permission denied" {
		t.Errorf("got %v %q", code, message)
	}
	if line := log.String(); !strings.Contains(line, "level=ERROR") || !strings.Contains(line, "hint=") || !strings.Contains(line, "CarryClaims") {
		t.Errorf("got %s", line)
	}
}

func TestError(t *testing.T) {
	for _, test := range []struct {
		err     error
		code    errs.ErrCode
		message string
		log     string
	}{
		{&clerkauth.Error{Kind: clerkauth.Unauthenticated, Reason: clerkauth.ReasonExpired}, errs.Unauthenticated, "not signed in", "level=INFO msg=\"not signed in\" reason=expired"},
		{&clerkauth.Error{Kind: clerkauth.Unavailable, Reason: clerkauth.ReasonUnreachable}, errs.Unavailable, "temporarily unavailable, try again shortly", "level=WARN msg=\"Clerk is unavailable\" reason=clerk_unreachable"},
		{&clerkauth.Error{Kind: clerkauth.Misconfigured, Reason: clerkauth.ReasonSecretKeyRefused}, errs.Internal, "internal error", "level=ERROR msg=\"Clerk refuses this backend\" reason=secret_key_refused"},
		{&clerkauth.Error{Kind: clerkauth.Canceled, Reason: clerkauth.ReasonCanceled}, errs.Canceled, "request canceled", ""},
		{errors.New("not an error of clerkauth"), errs.Internal, "internal error", "level=ERROR msg=\"a fault in this process\""},
	} {
		var log bytes.Buffer
		code, message, _ := refusal(t, authz.Error(test.err, slog.New(slog.NewTextHandler(&log, nil))))
		if code != test.code || message != test.message || !strings.Contains(log.String(), test.log) || (test.log == "") != (log.Len() == 0) {
			t.Errorf("%v: got %v %q, logged %q", test.err, code, message, &log)
		}
	}
}
