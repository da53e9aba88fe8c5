package clerkauth

import (
	"slices"
	"time"
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
	// M2M tokens there are opaque ones and JWTs. An endpoint that is one of several
	// resources of the instance compares [Caller.Audience].
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

	// Organization is the active organization; its ID is "" when none is. For an
	// OAuth access token it is the one that the user chose for the client
	// (org_id), and only its ID is known.
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
	// Audience are the resources that an OAuth access token was issued for (aud),
	// as the client named them (RFC 8707). Many clients name none.
	Audience []string

	// RawClaims are all claims of the token. [Caller.Claims] decodes them.
	RawClaims RawClaims
}

// copyTo makes own a copy that shares nothing that can be changed.
func (c *Caller) copyTo(own *Caller) {
	*own = *c
	own.Organization.Permissions = slices.Clone(c.Organization.Permissions)
	own.Features = slices.Clone(c.Features)
	own.Plans = slices.Clone(c.Plans)
	own.Scopes = slices.Clone(c.Scopes)
	own.Audience = slices.Clone(c.Audience)
	if c.Actor != nil {
		actor := *c.Actor
		own.Actor = &actor
	}
}
