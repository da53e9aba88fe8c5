package authz

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"

	"encore.app/auth/clerkauth"
)

// These stand where several causes have one remedy.
const (
	setSecretKey = "set the secret ClerkSecretKey (CLERK_SECRET_KEY on a developer's machine) to the secret key of the Clerk instance that your frontends use"
	noTemplate   = "call getToken() without a template in your frontend: a token of a JWT template is no session token"
	setAPIURL    = "what answers at CLERK_API_URL is not Clerk's Backend API: unset CLERK_API_URL, or correct it"
	divideShare  = "divide RateLimitShare in auth/config.cue by the number of instances, and look for other programs with the same secret key"
	sendBearer   = "send the header as `Authorization: Bearer ${await getToken()}` from your frontend"
)

// advice has what to change for each reason that can point at the operator, if it
// is always the same.
var advice = map[clerkauth.Reason]string{
	clerkauth.ReasonInvalidAuthorized: "if azp is a frontend of yours, add it to AuthorizedParties in auth/config.cue (CLERK_AUTHORIZED_PARTIES on a developer's machine)",
	clerkauth.ReasonMissingAuthorized: "native apps, and some server-rendered frontends, have tokens without azp: if you have one, set AllowMissingAuthorizedParty in auth/config.cue (docs/frontends.md)",
	clerkauth.ReasonUnknownKey:        "if no user can sign in, frontend and backend use different Clerk instances: " + setSecretKey,
	clerkauth.ReasonNotSessionToken:   noTemplate,
	clerkauth.ReasonInvalidAlgorithm:  noTemplate,
	clerkauth.ReasonInvalidSubject:    noTemplate,
	clerkauth.ReasonMissingSession:    noTemplate,
	clerkauth.ReasonMalformedClaims:   "remove the claim from \"Customize session token\" in Clerk's dashboard, or correct its value",
	clerkauth.ReasonNotActiveYet:      "this machine's clock is behind: synchronize it (NTP)",
	clerkauth.ReasonIssuedInFuture:    "this machine's clock is behind: synchronize it (NTP)",
	clerkauth.ReasonTokenTypeMismatch: "if the app is to take this kind of token, add it to AcceptsToken in auth/config.cue",
	clerkauth.ReasonSecretKeyRefused:  setSecretKey,
	clerkauth.ReasonRateLimited:       divideShare,
	clerkauth.ReasonRateLimitShare:    "raise RateLimitShare in auth/config.cue, or put the email address into the session token (docs/cost.md)",
}

// Hint says what to change, and names the setting. It is "" for a refusal that
// does not point at the operator.
func Hint(e *clerkauth.Error) string {
	switch e.Reason {
	case clerkauth.ReasonInvalidIssuer:
		if e.Lookup("configured") == "" {
			return "set Issuer in auth/config.cue (CLERK_ISSUER on a developer's machine) to the Frontend API URL of your Clerk instance"
		}
		return "correct Issuer in auth/config.cue (CLERK_ISSUER on a developer's machine): if iss is your Clerk instance, write what iss says"
	case clerkauth.ReasonInvalidSignature:
		if e.Lookup("verified_with") == "JWTKey" {
			return "if no user can sign in, JWTKey in auth/config.cue (CLERK_JWT_KEY) is the public key of another Clerk instance: replace it, or remove it"
		}
	case clerkauth.ReasonUnknownUser:
		if e.Lookup("verified_with") == "JWTKey" {
			return "JWTKey and the secret ClerkSecretKey may belong to two Clerk instances: take both from one; otherwise the user was deleted a moment ago"
		}
	case clerkauth.ReasonExpired:
		return clockHint(e)
	case clerkauth.ReasonMissingToken, clerkauth.ReasonMalformed:
		return sentHint(e)
	case clerkauth.ReasonVerificationRefused:
		return fmt.Sprintf("switch this kind of token on in Clerk's dashboard, or remove %q from AcceptsToken in auth/config.cue", e.Lookup("token_type"))
	case clerkauth.ReasonInvalidRequest:
		return setAPIURL
	case clerkauth.ReasonRequestRefused:
		if e.Lookup("status") == http.StatusNotFound {
			return setAPIURL
		}
	case clerkauth.ReasonInvalidResponse:
		return answerHint(e)
	case clerkauth.ReasonUnreachable:
		return networkHint(e)
	}
	return advice[e.Reason]
}

func clockHint(e *clerkauth.Error) string {
	if e.Lookup("clock_ahead_seconds") == nil {
		return "" // tokens live for a minute
	}
	return "this machine's clock differs from Clerk's: synchronize it (NTP)"
}

func sentHint(e *clerkauth.Error) string {
	switch e.Lookup("sent") {
	case nil:
		return ""
	case "a secret key", "a webhook signing secret":
		return "a secret is in your frontend: replace it in Clerk's dashboard, and send `Bearer ${await getToken()}`"
	case "Bearer undefined", "Bearer null":
		return "getToken() gave your frontend nothing: wait until Clerk is loaded and the user is signed in, then " + sendBearer
	}
	return sendBearer
}

// answerHint is for an answer that differs from Clerk's documentation. One of
// 500 and above is Clerk's own failure.
func answerHint(e *clerkauth.Error) string {
	if status, ok := e.Lookup("status").(int); ok && status < http.StatusInternalServerError {
		return setAPIURL
	}
	return ""
}

func networkHint(e *clerkauth.Error) string {
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var name *net.DNSError
	switch {
	case errors.As(e, &certificate):
		return "install root certificates (ca-certificates) that cover Clerk and your proxy, and look at this machine's clock"
	case errors.As(e, &record), errors.As(e, &name):
		return "look at CLERK_API_URL, HTTPS_PROXY and this machine's DNS"
	}
	return ""
}
