package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"encore.app/auth/authz"
	"encore.app/auth/clerkauth"
)

// check is a step of [clerkauth.Authenticator.Authenticate], known by the reasons
// with which it refuses.
type check struct {
	name    string
	reasons []clerkauth.Reason
	calls   string // the call to Clerk that the step may make
}

// The steps, in the order of Authenticate.
var (
	form      = check{name: "form", reasons: []clerkauth.Reason{clerkauth.ReasonMissingToken, clerkauth.ReasonTooLarge, clerkauth.ReasonMalformed}}
	kind      = check{name: "kind of token", reasons: []clerkauth.Reason{clerkauth.ReasonTokenTypeMismatch, clerkauth.ReasonNotSessionToken, clerkauth.ReasonInvalidAlgorithm}}
	key       = check{name: "key", reasons: []clerkauth.Reason{clerkauth.ReasonUnknownKey}, calls: "GET /jwks"}
	signature = check{name: "signature", reasons: []clerkauth.Reason{clerkauth.ReasonInvalidSignature}}
	claims    = check{name: "claims", reasons: []clerkauth.Reason{clerkauth.ReasonMalformedClaims, clerkauth.ReasonInvalidSubject, clerkauth.ReasonMissingSession}}
	issuer    = check{name: "issuer", reasons: []clerkauth.Reason{clerkauth.ReasonInvalidIssuer}}
	party     = check{name: "authorized party", reasons: []clerkauth.Reason{clerkauth.ReasonInvalidAuthorized, clerkauth.ReasonMissingAuthorized}}
	session   = check{name: "session", reasons: []clerkauth.Reason{clerkauth.ReasonSessionPending, clerkauth.ReasonSessionRevoked}}
	lifetime  = check{name: "time", reasons: []clerkauth.Reason{clerkauth.ReasonExpired, clerkauth.ReasonNotActiveYet, clerkauth.ReasonIssuedInFuture}}
	verified  = check{name: "verified by Clerk", calls: "POST /", reasons: []clerkauth.Reason{
		clerkauth.ReasonUnknownSecret, clerkauth.ReasonVerificationRefused, clerkauth.ReasonRevoked, clerkauth.ReasonExpired, clerkauth.ReasonInvalidSubject,
	}}
	user = check{name: "user", calls: "GET /users", reasons: []clerkauth.Reason{
		clerkauth.ReasonUnknownUser, clerkauth.ReasonUserDeleted, clerkauth.ReasonUserBanned, clerkauth.ReasonUserRevoked,
	}}

	sessionChecks    = []check{form, kind, key, signature, claims, issuer, party, session, lifetime, user}
	machineJWTChecks = []check{form, kind, key, signature, claims, issuer, lifetime, user}
	opaqueChecks     = []check{kind, form, verified, user}
)

func checksOf(a *clerkauth.Authenticator, token string) []check {
	switch kind := a.TokenType(token); {
	case kind == clerkauth.SessionToken, kind == "":
		return sessionChecks
	case strings.Contains(token, "."):
		return machineJWTChecks
	}
	return opaqueChecks
}

// refuses reports whether an error is one of the step's.
func (c *check) refuses(e *clerkauth.Error) bool {
	if e.Kind == clerkauth.Unauthenticated {
		return slices.Contains(c.reasons, e.Reason)
	}
	call, _ := e.Lookup("call").(string)
	return c.calls != "" && strings.HasPrefix(call, c.calls)
}

// explain authenticates a token and prints the steps.
func explain(ctx context.Context, a *clerkauth.Authenticator, o clerkauth.Options, token string, out io.Writer) error {
	checks := checksOf(a, token)
	caller, err := a.Authenticate(ctx, token)
	if err == nil {
		for i := range checks {
			passed(out, &checks[i], o)
		}
		fmt.Fprintf(out, "\nAccepted: %s of %s.\n", caller.TokenType, caller.Subject)
		if caller.TokenType != clerkauth.SessionToken {
			fmt.Fprintf(out, "Endpoints take it only with tag:%s (docs/authorization.md#machine-callers).\n", caller.TokenType)
		}
		return nil
	}
	e := clerkauth.AsError(err)
	failed := slices.IndexFunc(checks, func(c check) bool { return c.refuses(e) })
	for i := range max(failed, 0) {
		passed(out, &checks[i], o)
	}
	name := "Clerk"
	if failed >= 0 {
		name = checks[failed].name
	}
	refused(out, name, e, o)
	if ago, ok := e.Lookup("seconds_ago").(int); ok && failed >= 0 {
		goOn(ctx, o, token, time.Duration(ago+1)*time.Second, checks[failed+1:], out)
	}
	fmt.Fprintf(out, "\nRefused: the backend answers %d.\n", e.HTTPStatus())
	return errRefused
}

// goOn tells of the checks after the time, as they were before the token expired.
// Session tokens live for a minute, so most are older when somebody looks.
func goOn(ctx context.Context, o clerkauth.Options, token string, ago time.Duration, rest []check, out io.Writer) {
	o.Now = func() time.Time { return time.Now().Add(-ago) }
	a, err := clerkauth.New(o)
	if err == nil {
		_, err = a.Authenticate(ctx, token)
	}
	fmt.Fprintln(out, "          Before it expired:")
	e, failed := clerkauth.AsError(err), len(rest)
	if err != nil {
		failed = slices.IndexFunc(rest, func(c check) bool { return c.refuses(e) })
	}
	for i := range max(failed, 0) {
		passed(out, &rest[i], o)
	}
	switch {
	case failed < 0:
		refused(out, "Clerk", e, o)
	case failed < len(rest):
		refused(out, rest[failed].name, e, o)
	}
}

func passed(out io.Writer, c *check, o clerkauth.Options) {
	note := ""
	switch {
	case c.name == party.name && len(o.AuthorizedParties) == 0:
		note = "not compared: there are no AuthorizedParties"
	case c.name == issuer.name && o.Issuer == "":
		note = "one of Clerk's; no Issuer is set to compare it with"
	case c.name == key.name && o.JWTKey != "":
		note = "JWTKey, whatever the token's key id is"
	}
	fmt.Fprintln(out, strings.TrimRight(fmt.Sprintf("  ok      %-18s %s", c.name, note), " "))
}

func refused(out io.Writer, name string, e *clerkauth.Error, o clerkauth.Options) {
	line := string(e.Reason)
	evidence := e.Evidence()
	for i := 1; i < len(evidence); i += 2 {
		line += fmt.Sprintf(", %v: %v", evidence[i-1], evidence[i])
	}
	fmt.Fprintf(out, "  REFUSED %-18s %s\n", name, line)
	if e.Kind != clerkauth.Unauthenticated {
		fmt.Fprintf(out, "          %s\n", e)
	}
	hint := cmp.Or(authz.Hint(e), meanings[e.Reason])
	if e.Reason == clerkauth.ReasonUnreachable && o.APIURL == fakeClerkURL {
		hint = "the fake Clerk does not run: start `go run ./cmd/dev`, or set CLERK_SECRET_KEY to the secret key of your Clerk instance"
	}
	if hint != "" {
		fmt.Fprintf(out, "          -> %s\n", hint)
	}
}

// meanings has what to do about refusals that point at no setting.
var meanings = map[clerkauth.Reason]string{
	clerkauth.ReasonExpired:          "take a fresh token: a session token lives for a minute. If even a fresh one has expired, synchronize this machine's clock",
	clerkauth.ReasonMalformed:        "this is no token: take what getToken() returns",
	clerkauth.ReasonTooLarge:         "this is no token of Clerk's: they are below 4 KiB",
	clerkauth.ReasonInvalidSignature: "the token was altered, or cut off, or somebody else signed it",
	clerkauth.ReasonSessionPending:   "the user has tasks left in Clerk's sign-in, such as choosing an organization: show them in your frontend",
	clerkauth.ReasonUnknownUser:      "Clerk does not have this user: they were deleted",
	clerkauth.ReasonUserBanned:       "the user is banned in Clerk's dashboard",
	clerkauth.ReasonUnknownSecret:    "Clerk does not know this token: it was deleted, or belongs to another instance than the secret ClerkSecretKey (CLERK_SECRET_KEY)",
	clerkauth.ReasonRevoked:          "the token was revoked: create another",
}
