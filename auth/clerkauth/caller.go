package clerkauth

import (
	"errors"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
)

// TokenType is a kind of token, by the name that Clerk's SDKs give it.
type TokenType string

// The kinds of token that Clerk issues for requests to a backend.
const (
	// SessionToken belongs to a user who signed in.
	SessionToken TokenType = "session_token"
	// APIKey was created by a user, for themselves or for an organization, and
	// may be used until it is revoked. Clerk verifies it ([Options].OpaqueTokenMaxAge).
	APIKey TokenType = "api_key"
	// M2MToken belongs to a machine, that is a service. The instance's secret key
	// verifies the tokens of all its machines for whatever machines they are
	// meant: a service requires that it is one of them ([Scope]). An opaque one
	// is verified by Clerk; a JWT is verified here, and counts until it expires.
	M2MToken TokenType = "m2m_token"
	// OAuthToken lets an OAuth client act for a user, within its scopes. As with
	// M2M tokens there are opaque ones and JWTs. An aud claim is not compared.
	OAuthToken TokenType = "oauth_token"
)

// Caller is who makes a request: a user with a session, or a machine. Each
// request has its own copy.
type Caller struct {
	// TokenType is the kind of token that the caller presented.
	TokenType TokenType
	// Subject is whom the token belongs to: a user (user_…), or for machine
	// tokens possibly an organization (org_…) or a machine (mch_…).
	Subject string
	// UserID is Clerk's id of the user, user_…. It is "" where the subject is
	// not a user.
	UserID string
	// SessionID is Clerk's id of the session, sess_…, "" for a machine.
	SessionID string
	// Email is the user's primary email address, "" if there is none.
	Email string
	// EmailVerified reports whether Clerk lists Email as verified. It is false
	// where that is not known: an email claim does not include it.
	EmailVerified bool
	// AuthorizedParty is the origin of the frontend that obtained the token, ""
	// for a native app or a machine.
	AuthorizedParty string
	// ExpiresAt is when the token expires, zero for one that does not.
	ExpiresAt time.Time
	// IssuedAt is when a session token was issued. It is zero for a machine.
	IssuedAt time.Time

	// Organization is the active organization; its ID is "" when none is.
	Organization Organization
	// Features and Plans are what the user and the active organization may use,
	// each with its scope: "u:export", "o:dashboard", "uo:…" for both.
	Features, Plans []string
	// Actor acts in the user's place. It is nil for users themselves.
	Actor *Actor
	// FactorVerificationAge tells how recently the user proved who they are.
	FactorVerificationAge FactorVerificationAge

	// Scopes are what a machine token may be used for. Session tokens have none.
	Scopes []string
	// ClientID is the OAuth client that obtained an OAuth access token.
	ClientID string

	claims rawClaims
}

// copyTo makes own a copy that shares nothing that can be changed.
func (c *Caller) copyTo(own *Caller) {
	*own = *c
	own.Organization.Permissions = slices.Clone(c.Organization.Permissions)
	own.Features = slices.Clone(c.Features)
	own.Plans = slices.Clone(c.Plans)
	own.Scopes = slices.Clone(c.Scopes)
	if c.Actor != nil {
		actor := *c.Actor
		own.Actor = &actor
	}
}

// rawClaims are the claims of a token, undecoded.
type rawClaims struct {
	text    string
	encoded bool // text is base64url, as in a JWT
}

// encodedClaims returns the claims of a JWT in the compact serialization.
func encodedClaims(token string) rawClaims {
	return rawClaims{text: payload(token), encoded: true}
}

// Claims decodes the claims of the caller's token into a value that a JSON
// object can be decoded into: a pointer to a struct or a map. Member names match
// exactly, upper and lower case included. For an opaque machine token, the
// claims are those that it was created with.
//
// Claims fails for a Caller that did not come from [Authenticator.Authenticate]
// directly, such as one that was encoded and decoded on the way. The error
// holds no value of a claim.
func (c *Caller) Claims(into any) error {
	raw := []byte(c.claims.text)
	if c.claims.encoded {
		decoded, err := base64url.DecodeString(c.claims.text)
		if err != nil {
			return errNoClaims
		}
		raw = decoded
	}
	if len(raw) == 0 {
		return errNoClaims
	}
	err := json.Unmarshal(raw, into)
	var mismatch *json.SemanticError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &mismatch):
		return &ClaimTypeError{Claim: string(mismatch.JSONPointer)}
	}
	return errNoClaims
}

var errNoClaims = errors.New("clerkauth: the caller has no claims")

// ClaimTypeError is returned by [Caller.Claims] for a claim that cannot be
// decoded into the value given for it.
type ClaimTypeError struct {
	// Claim is a JSON Pointer (RFC 6901) to the claim, such as "/metadata/level".
	Claim string
}

// Error implements error.
func (e *ClaimTypeError) Error() string {
	return "clerkauth: claim " + e.Claim + " does not fit the Go value for it"
}
