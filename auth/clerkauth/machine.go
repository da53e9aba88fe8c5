package clerkauth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v3"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Values of the header field typ.
const (
	typeJWT = "JWT"
	// RFC 9068, section 2.1, allows an access token both names.
	typeAccessToken     = "at+jwt"
	typeAccessTokenLong = "application/at+jwt"
)

// machinePrefix begins Clerk's id of a machine, the subject of M2M tokens.
const machinePrefix = "mch_"

// opaquePrefixes tell the kind of a token that is not a JWT (@clerk/backend,
// tokens/machine.ts).
var opaquePrefixes = []struct {
	prefix string
	kind   TokenType
}{
	{"ak_", APIKey},
	{"mt_", M2MToken},
	{"oat_", OAuthToken},
}

// opaqueType returns the kind of a token that Clerk alone can verify, and false
// for anything else. No JWT begins like one: its first bytes encode a "{".
func opaqueType(token string) (TokenType, bool) {
	for _, known := range opaquePrefixes {
		if strings.HasPrefix(token, known.prefix) {
			return known.kind, true
		}
	}
	return "", false
}

// jwtType tells of which kind a JWT claims to be, before anything of it is
// verified. Whatever the answer, the token is then verified as that kind alone.
func (a *Authenticator) jwtType(h *header, token string) TokenType {
	switch {
	case h.Type.value == typeAccessToken, h.Type.value == typeAccessTokenLong:
		return OAuthToken
	case h.Category.value == categorySessionToken:
		return SessionToken
	case a.accepts.has(M2MToken) && hasMachineSubject(token):
		return M2MToken
	}
	return SessionToken
}

// hasMachineSubject reads as little as tells: the payload is unverified.
func hasMachineSubject(token string) bool {
	raw, err := base64url.DecodeString(payload(token))
	if err != nil {
		return false
	}
	decoder := jsontext.NewDecoder(bytes.NewBuffer(raw), jsontext.AllowDuplicateNames(true))
	if start, err := decoder.ReadToken(); err != nil || start.Kind() != '{' {
		return false
	}
	for {
		name, err := decoder.ReadToken()
		if err != nil || name.Kind() != '"' {
			return false
		}
		if name.String() == "sub" {
			subject, err := decoder.ReadToken()
			return err == nil && subject.Kind() == '"' && strings.HasPrefix(subject.String(), machinePrefix)
		}
		if decoder.SkipValue() != nil {
			return false
		}
	}
}

// tokenTypes is a set of kinds.
type tokenTypes []TokenType

func newTokenTypes(kinds []TokenType) (tokenTypes, error) {
	if len(kinds) == 0 {
		return tokenTypes{SessionToken}, nil
	}
	for _, kind := range kinds {
		switch kind {
		case SessionToken, APIKey, M2MToken, OAuthToken:
		default:
			return nil, fmt.Errorf("%q is not a kind of token", kind)
		}
	}
	return slices.Clone(kinds), nil
}

func (t tokenTypes) has(kind TokenType) bool { return slices.Contains(t, kind) }

// setSubject sets the owner of a machine token. It returns false for a subject
// that a token of the kind cannot have.
func (c *Caller) setSubject(kind TokenType, subject string) bool {
	user, organization, machine := isUserID(subject), isID(subject, "org_"), isID(subject, machinePrefix)
	switch kind {
	case APIKey:
		if !user && !organization && !machine {
			return false
		}
	case M2MToken:
		if !machine {
			return false
		}
	case OAuthToken:
		if !user {
			return false
		}
	default:
		return false
	}
	c.TokenType, c.Subject = kind, subject
	if user {
		c.UserID = subject
	}
	if organization {
		c.Organization.ID = subject
	}
	return true
}

// isMachine reports whether the caller presented anything but a session token.
func (c *Caller) isMachine() bool { return c.TokenType != SessionToken && c.TokenType != "" }

// TokenType returns the kind that a token claims to be, before anything of it is
// verified, and "" for what is no token.
func (a *Authenticator) TokenType(token string) TokenType {
	if kind, opaque := opaqueType(token); opaque || len(token) > MaxTokenBytes {
		return kind
	}
	head, refusal := parseHeader(token)
	if refusal != nil {
		return ""
	}
	return a.jwtType(&head, token)
}

// machineClaims are the claims of an OAuth access token or M2M token in the
// form of a JWT. An M2M token has the claims that its machine put into it.
// Claims that decide nothing are not read.
type machineClaims struct {
	Subject   string      `json:"sub"`
	Issuer    string      `json:"iss"`
	Expiry    numericDate `json:"exp"`
	NotBefore numericDate `json:"nbf"`
	IssuedAt  numericDate `json:"iat"`

	// Of an OAuth access token.
	ClientID  lenient[string]   `json:"client_id"`
	Scope     lenient[string]   `json:"scope"` // names with spaces between them (RFC 9068, section 2.2.3)
	ScopeList lenient[[]string] `json:"scp"`
	oauthClaims

	// Of an M2M token. The machines that it is for are its scopes.
	Scopes lenient[string] `json:"scopes"`
}

// oauthClaims are the claims of an OAuth access token except its scopes, in a
// JWT and in Clerk's answer about an opaque token. A claim that cannot be read
// grants nothing.
type oauthClaims struct {
	Audience       lenient[stringList] `json:"aud"`
	OrganizationID lenient[string]     `json:"org_id"`
	Actor          lenient[actorClaim] `json:"act"`
}

func (c *oauthClaims) describe(caller *Caller) {
	caller.Audience = c.Audience.value
	caller.Organization.ID = c.OrganizationID.value
	if c.Actor.set {
		caller.Actor = &Actor{Subject: c.Actor.value.Subject, Type: c.Actor.value.Type}
	}
}

// verifyMachine reads as the list of what makes a JWT an OAuth access token or
// M2M token of the instance. There is no session and no authorized party, and
// what such a token may do is for the endpoint to require ([Scope]).
func (a *Authenticator) verifyMachine(ctx context.Context, kind TokenType, head *header, token string) (*verifiedToken, error) {
	if refusal := head.checkMachine(kind); refusal != nil {
		return nil, refusal
	}
	key, err := a.keys.find(ctx, head.KeyID.value)
	if err != nil {
		return nil, err
	}
	a.cpu <- struct{}{}
	defer func() { <-a.cpu }()

	// The SDK's jwt.Verify reads the claims of a session token, which an M2M
	// token may use in its own way.
	signed, err := jose.ParseSigned(token)
	if err != nil {
		return nil, refuse(ReasonMalformed)
	}
	if _, err := signed.Verify(key.jwk.Key); err != nil {
		return nil, a.refuseSignature(head)
	}

	// Signed by Clerk.
	var c machineClaims
	if err := decode(payload(token), &c); err != nil {
		return nil, refuse(ReasonMalformedClaims, "claim", malformedClaim(err))
	}
	if !c.Expiry.set {
		return nil, refuse(ReasonMalformedClaims, "claim", "exp")
	}
	caller := Caller{ExpiresAt: c.Expiry.time(), IssuedAt: c.IssuedAt.time()}
	switch {
	case !caller.setSubject(kind, c.Subject):
		return nil, refuse(ReasonInvalidSubject)
	case !isIssuer(c.Issuer, a.options.Issuer):
		return nil, a.refuseIssuer(c.Issuer)
	}
	if !c.authorize(&caller) {
		return nil, refuse(ReasonMalformedClaims, "claim", "scopes")
	}
	valid := validity{expiry: c.Expiry.time(), notBefore: c.NotBefore.time(), issuedAt: c.IssuedAt.time()}
	if refusal := a.checkTime(valid); refusal != nil {
		return nil, refusal
	}
	return &verifiedToken{caller: caller, key: key, keyID: head.KeyID.value, validity: valid}, nil
}

// checkMachine checks what the header says of the token's kind. The category of
// an OAuth access token is not looked at: its type says what it is.
func (h *header) checkMachine(kind TokenType) *Error {
	switch {
	case kind == M2MToken && h.Type.set && h.Type.value != typeJWT:
		return refuse(ReasonTokenTypeMismatch, "typ", h.Type.value)
	case kind == M2MToken && h.Category.set && h.Category.value != categoryM2MToken:
		return refuse(ReasonTokenTypeMismatch, "cat", h.Category.value)
	case h.Algorithm.value != algorithm:
		return refuse(ReasonInvalidAlgorithm, "alg", h.Algorithm.value)
	}
	return nil
}

// authorize copies what the token may be used for into caller. It returns false
// if the scopes cannot be read.
func (c *machineClaims) authorize(caller *Caller) bool {
	if caller.TokenType == M2MToken {
		caller.Scopes = splitScopes(c.Scopes.value)
		if !c.Scopes.set {
			caller.Scopes = scopeNames(c.Audience.value)
		}
		return !c.Scopes.malformed
	}
	caller.Scopes = splitScopes(c.Scope.value)
	if c.ScopeList.set {
		caller.Scopes = scopeNames(c.ScopeList.value)
	}
	caller.ClientID = c.ClientID.value
	c.describe(caller)
	return !c.Scope.malformed && !c.ScopeList.malformed
}

func splitScopes(names string) []string { return scopeNames(strings.Split(names, " ")) }

// scopeNames leaves out empty names.
func scopeNames(names []string) []string {
	names = slices.DeleteFunc(names, func(name string) bool { return name == "" })
	if len(names) == 0 {
		return nil
	}
	return names
}

// stringList is a claim that is a string or a list of strings, as aud is
// (RFC 7519, section 4.1.3).
type stringList []string

// UnmarshalJSON implements [json.Unmarshaler].
func (l *stringList) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*l = stringList{one}
		return nil
	}
	var list []*string
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	for _, element := range list {
		if element == nil {
			return errors.New("null is not a string")
		}
		*l = append(*l, *element)
	}
	return nil
}
