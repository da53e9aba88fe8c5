package clerkauth

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/clerk/clerk-sdk-go/v2/jwt"
	"github.com/go-jose/go-jose/v3"
	// encoding/json/v2 for Go before 1.27. Unlike encoding/json it matches member
	// names exactly and refuses repeated ones, as RFC 7515, section 4, and RFC
	// 7519, section 4, want it.
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	// MaxTokenBytes is the longest session token that is looked at. Clerk keeps
	// its tokens below 4 KiB, the limit of a cookie.
	MaxTokenBytes = 16 << 10

	// leeway is the clock skew that Clerk's JavaScript SDK allows, too.
	leeway = 5 * time.Second

	// maxNumericDate is the last second of the year 9999.
	maxNumericDate = 253402300799
)

// Values of the header field cat, which names the kind of a JWT that was signed
// with an instance's key (@clerk/backend, tokens/jwtCategories.ts).
const (
	categorySessionToken = "cl_B7d4PD111AAA"
	categoryM2MToken     = "cl_B7d4PD333AAA"
	categoryAny          = "cl_I7d4PD111III" // the instance does not tell kinds apart
)

// verifiedToken is a session token that Clerk signed and that was in order when
// it was verified. What depends on the time of day is checked on each request.
type verifiedToken struct {
	caller   Caller
	hasEmail bool // caller.Email is the email claim's
	key      *publicKey
	keyID    string
	validity validity
	user     atomic.Pointer[userEntry] // see users.find
}

// validity is when a token counts. Absent dates are zero times.
type validity struct{ expiry, notBefore, issuedAt time.Time }

func (c *claims) validity() validity {
	return validity{expiry: c.Expiry.time(), notBefore: c.NotBefore.time(), issuedAt: c.IssuedAt.time()}
}

// header is the part of the JOSE header that decides. Other fields may come
// and are ignored (RFC 7515, section 4); crit is refused by the SDK.
type header struct {
	Algorithm optionalString `json:"alg"`
	KeyID     optionalString `json:"kid"`
	Type      optionalString `json:"typ"`
	Category  optionalString `json:"cat"`
}

// claims are the claims of a session token that decide.
type claims struct {
	Subject         string         `json:"sub"`
	SessionID       string         `json:"sid"`
	Issuer          string         `json:"iss"`
	AuthorizedParty string         `json:"azp"`
	Status          string         `json:"sts"`
	Expiry          numericDate    `json:"exp"`
	NotBefore       numericDate    `json:"nbf"`
	IssuedAt        numericDate    `json:"iat"`
	Email           jsontext.Value `json:"email"`

	authorizationClaims
}

// verify decides on a JWT that is not remembered: it tells of which kind the
// JWT is, and has it verified as that kind.
func (a *Authenticator) verify(ctx context.Context, until time.Time, token string) (*verifiedToken, error) {
	head, reason := parseHeader(token)
	if reason != "" {
		return nil, refuse(reason)
	}
	kind := a.jwtType(&head, token)
	switch {
	case !a.accepts.has(kind):
		return nil, refuse(ReasonTokenTypeMismatch)
	case kind == SessionToken:
		return a.verifySession(ctx, until, &head, token)
	}
	return a.verifyMachine(ctx, until, kind, &head, token)
}

// verifySession reads as the list of what makes a JWT a session token of this
// application.
func (a *Authenticator) verifySession(ctx context.Context, until time.Time, head *header, token string) (*verifiedToken, error) {
	if reason := head.checkSession(); reason != "" {
		return nil, refuse(reason)
	}
	key, err := a.keys.find(ctx, until, head.KeyID.value)
	if err != nil {
		return nil, err
	}

	_, err = jwt.Verify(ctx, &jwt.VerifyParams{
		Token:       token,
		JWK:         key.jwk,
		Clock:       sdkClock(a.options.Now),
		Leeway:      leeway,
		IsSatellite: true, // the SDK leaves out the issuer: checkClaims is exact
	})
	if errors.Is(err, jose.ErrCryptoFailure) {
		return nil, refuse(ReasonInvalidSignature)
	}

	// Signed by Clerk. The checks that follow go beyond those of the SDK, and
	// find the reason if the SDK refused.
	c, reason := parseClaims(token)
	if reason != "" {
		return nil, refuse(reason)
	}
	if reason := a.checkClaims(&c); reason != "" {
		return nil, refuse(reason)
	}
	if reason := c.validity().check(a.options.Now()); reason != "" {
		return nil, refuse(reason)
	}
	// Clerk's JavaScript SDK cannot read an organization beside such a list.
	if err != nil || c.Organization.set && c.Features.malformed {
		return nil, refuse(ReasonMalformedClaims)
	}
	return newVerifiedToken(&c, key, head.KeyID.value), nil
}

func newVerifiedToken(c *claims, key *publicKey, keyID string) *verifiedToken {
	v := &verifiedToken{
		caller: Caller{
			TokenType:       SessionToken,
			Subject:         c.Subject,
			UserID:          c.Subject,
			SessionID:       c.SessionID,
			AuthorizedParty: c.AuthorizedParty,
			ExpiresAt:       c.Expiry.time(),
		},
		key:      key,
		keyID:    keyID,
		validity: c.validity(),
	}
	v.caller.Email, v.hasEmail = c.email()
	c.authorize(&v.caller)
	return v
}

// parseHeader checks the token's form and reads its header.
func parseHeader(token string) (header, Reason) {
	var h header
	switch {
	case token == "":
		return h, ReasonMissingToken
	case !isCompact(token):
		return h, ReasonMalformed
	}
	encoded, _, _ := strings.Cut(token, ".")
	if err := decode(encoded, &h); err != nil {
		return h, ReasonMalformed
	}
	return h, ""
}

// checkSession checks what the header says of the token's kind.
func (h *header) checkSession() Reason {
	switch {
	case h.Type.set && h.Type.value != typeJWT:
		return ReasonNotSessionToken
	case h.Category.set && h.Category.value != categorySessionToken && h.Category.value != categoryAny:
		return ReasonNotSessionToken
	case h.Algorithm.value != algorithm:
		return ReasonInvalidAlgorithm
	}
	return ""
}

// parseClaims reads the payload of a session token in compact form.
func parseClaims(token string) (claims, Reason) {
	var c claims
	if err := decode(payload(token), &c); err != nil {
		return c, ReasonMalformedClaims
	}
	return c, ""
}

// payload returns the encoded payload of a token in compact form.
func payload(token string) string {
	_, rest, _ := strings.Cut(token, ".")
	encoded, _, _ := strings.Cut(rest, ".")
	return encoded
}

// decode reads one part of a token.
func decode(encoded string, into any) error {
	raw, err := base64url.DecodeString(encoded)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

// base64url is the encoding of RFC 7515, section 2: no padding, and no bits
// left over, so that a token has one spelling.
var base64url = base64.RawURLEncoding.Strict()

// isCompact reports whether the token is three parts of base64url. The JOSE
// library would remove white space and go on.
func isCompact(token string) bool {
	for i := range len(token) {
		if !compactAlphabet[token[i]] {
			return false
		}
	}
	parts := 0
	for part := range strings.SplitSeq(token, ".") {
		// Only a last, shorter group of characters can have bits to spare.
		tail := part[len(part)-len(part)%4:]
		var b [3]byte
		if _, err := base64url.Decode(b[:], []byte(tail)); err != nil || part == "" {
			return false
		}
		parts++
	}
	return parts == 3
}

// compactAlphabet has the characters of base64url and the dot.
var compactAlphabet = func() (set [256]bool) {
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_." {
		set[c] = true
	}
	return set
}()

// checkClaims goes beyond the SDK, which leaves these to its caller.
func (a *Authenticator) checkClaims(c *claims) Reason {
	switch {
	case !c.Expiry.set:
		return ReasonMalformedClaims
	case !isUserID(c.Subject):
		return ReasonInvalidSubject
	case c.SessionID == "":
		return ReasonMissingSession
	case !isIssuer(c.Issuer, a.options.Issuer):
		return ReasonInvalidIssuer
	case !a.parties.accept(c.AuthorizedParty):
		return ReasonInvalidAuthorized
	case c.Status == "pending":
		return ReasonSessionPending
	}
	return ""
}

// check allows the leeway in the same direction as Clerk's JavaScript SDK: a
// token is expired as soon as exp lies the whole leeway back.
func (v validity) check(now time.Time) Reason {
	switch {
	case !v.expiry.After(now.Add(-leeway)):
		return ReasonExpired
	case v.notBefore.After(now.Add(leeway)):
		return ReasonNotActiveYet
	case v.issuedAt.After(now.Add(leeway)):
		return ReasonIssuedInFuture
	}
	return ""
}

// size estimates the bytes that remembering v takes.
func (v *verifiedToken) size() int {
	const fixed = 512 // the structs, the hash and the cache's own book-keeping
	c := &v.caller
	return fixed + len(c.Subject) + len(c.SessionID) + len(c.Email) + len(c.AuthorizedParty) + len(v.keyID) + c.authorizationSize()
}

// isUserID accepts Clerk's user ids. A machine token's sub begins with mch_.
func isUserID(sub string) bool { return isID(sub, "user_") }

func isID(id, prefix string) bool {
	id, ok := strings.CutPrefix(id, prefix)
	if !ok || id == "" {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_':
		default:
			return false
		}
	}
	return true
}

// email gives the claim that a customized session token carries. Anything but
// a string with content counts as no such claim.
func (c *claims) email() (string, bool) {
	var email string
	if len(c.Email) < 3 || c.Email[0] != '"' || json.Unmarshal(c.Email, &email) != nil {
		return "", false
	}
	return email, email != ""
}
