package clerkauth

import (
	"math/big"
	"slices"
	"strconv"
	"strings"
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
	// M2MToken belongs to a machine, that is a service. The instance's secret
	// key verifies the tokens of all its machines, for all receivers. So a
	// service requires that it is one of a token's receivers ([Scope]). An
	// opaque one is verified by Clerk; a JWT is verified here, and counts until
	// it expires.
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
	// Subject is the id of the token's owner: a user (user_…), or for machine
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
	// ExpiresAt is the token's expiry, zero for a token that does not expire.
	ExpiresAt time.Time
	// IssuedAt is the time at which the token was issued. It is zero for an
	// opaque token.
	IssuedAt time.Time

	// Organization is the active organization; its ID is "" if no organization
	// is active. For an OAuth access token it is the organization that the user
	// chose for the client (org_id), and only its ID is set.
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

// Organization is the organization that is active in the caller's session.
type Organization struct {
	// ID is Clerk's id, org_…, or "" when no organization is active.
	ID string
	// Slug is the organization's name in URLs, "" where an instance has none.
	Slug string
	// Role is the caller's role in the organization, such as org:admin.
	Role string
	// Permissions are the caller's custom permissions in the organization, such
	// as org:teams:manage. Clerk puts no system permission (org:sys_…) into a
	// session token: ask for a role in its place.
	Permissions []string
}

// Actor is who acts in the caller's place: somebody who impersonates the user
// from Clerk's dashboard, or an agent (RFC 8693, section 4.1).
type Actor struct {
	// Subject is the actor's id. It is "" where the act claim names none that
	// could be read; the caller is impersonated even then.
	Subject string
	// Type is "agent" for an agent, and "" otherwise.
	Type string
}

// FactorVerificationAge is how long ago the session's user last proved each factor,
// in minutes: the ages in the token, with the age of the token. It is -1 for never.
type FactorVerificationAge struct {
	// Known is false for a token without the ages (fva). Then the ages mean
	// nothing, and no reverification counts as done.
	Known                     bool
	FirstFactor, SecondFactor int
}

// add makes both ages older by the whole minutes of d. Clerk's SDKs take them as of
// the time the token was made, which is less than a minute ago for most tokens.
func (age *FactorVerificationAge) add(d time.Duration) {
	minutes := int(max(d, 0) / time.Minute)
	for _, factor := range []*int{&age.FirstFactor, &age.SecondFactor} {
		if *factor >= 0 {
			*factor += minutes
		}
	}
}

// authorizationClaims are the claims that say what a caller may do. They hardly
// ever keep a caller from signing in: what cannot be read counts as not there,
// and grants nothing.
type authorizationClaims struct {
	Version               lenient[int]               `json:"v"`
	Organization          lenient[organizationClaim] `json:"o"`
	Features              scopedList                 `json:"fea"`
	Plans                 scopedList                 `json:"pla"`
	Actor                 lenient[actorClaim]        `json:"act"`
	FactorVerificationAge lenient[[]*int]            `json:"fva"` // null must not read as 0, "just now"

	// Version 1 of Clerk's session tokens, which has no claim v.
	OrganizationID          lenient[string]   `json:"org_id"`
	OrganizationSlug        lenient[string]   `json:"org_slug"`
	OrganizationRole        lenient[string]   `json:"org_role"`
	OrganizationPermissions lenient[[]string] `json:"org_permissions"`
}

type organizationClaim struct {
	ID          string `json:"id"`
	Slug        string `json:"slg"`
	Role        string `json:"rol"` // without org:
	Permissions string `json:"per"` // names without org: and feature
	Map         string `json:"fpm"` // a bit mask over Permissions for each of the organization's features
}

type actorClaim struct {
	Subject string `json:"sub"`
	Type    string `json:"type"`
}

// lenient is a claim that may be absent or null, which leaves it unset, or of
// the wrong type.
type lenient[T any] struct {
	set, malformed bool
	value          T
}

// UnmarshalJSON implements [json.Unmarshaler].
func (l *lenient[T]) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	l.set = true
	var value T
	if json.Unmarshal(data, &value) != nil {
		l.malformed = true
		return nil
	}
	l.value = value
	return nil
}

// authorize copies the authorization claims into caller.
func (c *authorizationClaims) authorize(caller *Caller) {
	caller.Features = c.Features.elements
	caller.Plans = c.Plans.elements
	caller.Organization = c.organization()
	if c.Actor.set {
		caller.Actor = &Actor{Subject: c.Actor.value.Subject, Type: c.Actor.value.Type}
	}
	age := c.FactorVerificationAge.value
	if len(age) == 2 && age[0] != nil && age[1] != nil && *age[0] >= -1 && *age[1] >= -1 {
		caller.FactorVerificationAge = FactorVerificationAge{Known: true, FirstFactor: *age[0], SecondFactor: *age[1]}
	}
}

// organization is all or nothing: with one malformed claim, no organization is
// active.
func (c *authorizationClaims) organization() Organization {
	switch {
	case c.Version.malformed:
	case c.Version.value == 2:
		o := c.Organization.value
		if c.Organization.malformed || c.Features.malformed || o.ID == "" {
			break
		}
		active := Organization{ID: o.ID, Slug: o.Slug, Permissions: o.permissions(c.Features.elements)}
		if o.Role != "" {
			active.Role = "org:" + o.Role
		}
		return active
	case !c.Version.set || c.Version.value == 1:
		if c.OrganizationID.malformed || c.OrganizationSlug.malformed || c.OrganizationRole.malformed ||
			c.OrganizationPermissions.malformed || c.OrganizationID.value == "" {
			break
		}
		return Organization{
			ID:          c.OrganizationID.value,
			Slug:        c.OrganizationSlug.value,
			Role:        c.OrganizationRole.value,
			Permissions: c.OrganizationPermissions.value,
		}
	}
	return Organization{}
}

// permissions reads fpm: its n-th number belongs to the n-th feature of the
// organization, and its lowest bit to the first name of per.
func (o *organizationClaim) permissions(features []string) []string {
	if o.Permissions == "" || o.Map == "" {
		return nil
	}
	names := strings.Split(o.Permissions, ",")
	masks := strings.Split(o.Map, ",")
	var permissions []string
	n := 0
	for _, scoped := range features {
		scope, feature, _ := strings.Cut(scoped, ":")
		if !isOrganizationScope(scope) {
			continue
		}
		if n == len(masks) {
			break
		}
		mask, ok := parseMask(trim(masks[n]))
		n++
		if !ok || feature == "" {
			continue
		}
		for bit, name := range names {
			if name = trim(name); mask.Bit(bit) == 1 && name != "" {
				permissions = append(permissions, "org:"+feature+":"+name)
			}
		}
	}
	return permissions
}

// parseMask reads a decimal number of any length: an organization may have more
// than 64 permissions.
func parseMask(decimal string) (*big.Int, bool) {
	for i := range len(decimal) {
		if decimal[i] < '0' || decimal[i] > '9' {
			return nil, false // SetString would take a sign and underscores
		}
	}
	if mask, err := strconv.ParseUint(decimal, 10, 64); err == nil {
		return new(big.Int).SetUint64(mask), true
	}
	return new(big.Int).SetString(decimal, 10)
}

// scopedList is a list such as "o:dashboard,u:export". A list with an element
// that has no scope is malformed and has no elements.
type scopedList struct {
	malformed bool
	elements  []string
}

// UnmarshalJSON implements [json.Unmarshaler].
func (l *scopedList) UnmarshalJSON(data []byte) error {
	var text lenient[string]
	if err := text.UnmarshalJSON(data); err != nil {
		return err
	}
	*l = scopedList{malformed: text.malformed}
	if text.value == "" {
		return nil
	}
	elements := strings.Split(text.value, ",")
	for i, element := range elements {
		elements[i] = trim(element)
		if !strings.Contains(elements[i], ":") {
			l.malformed = true
			return nil
		}
	}
	l.elements = elements
	return nil
}

// The scopes of features and plans in a token: the organization's (o), the
// user's own (u), or both.
func isOrganizationScope(scope string) bool { return scope == "o" || scope == "ou" || scope == "uo" }
func isUserScope(scope string) bool         { return scope == "u" || scope == "ou" || scope == "uo" }

func trim(s string) string { return strings.Trim(s, " \t\n\v\f\r") }

// authorizationSize estimates the bytes that authorize keeps alive.
func (c *Caller) authorizationSize() int {
	const header = 16 // of a string
	size := len(c.Organization.ID) + len(c.Organization.Slug) + len(c.Organization.Role) + len(c.ClientID)
	for _, list := range [][]string{c.Organization.Permissions, c.Features, c.Plans, c.Scopes, c.Audience} {
		for _, element := range list {
			size += header + len(element)
		}
	}
	if c.Actor != nil {
		size += 2*header + len(c.Actor.Subject) + len(c.Actor.Type)
	}
	return size
}
