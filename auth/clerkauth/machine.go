package clerkauth

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Reasons of the kind Unauthenticated that concern machine tokens.
const (
	ReasonTokenTypeMismatch Reason = "token_type_mismatch" // not a kind of Options.AcceptsToken
	ReasonUnknownSecret     Reason = "unknown_secret"      // Clerk does not know the API key or opaque token
	// Clerk refuses to verify a token for a reason that is not the token's: API keys
	// are switched off, say.
	ReasonVerificationRefused Reason = "verification_refused"
	ReasonRevoked             Reason = "revoked"
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

// setSubject names whom a machine token belongs to. It returns false for a
// subject that a token of the kind cannot have.
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
