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

	"encore.app/auth/clerkauth/internal/usercache"
)

const (
	// MaxTokenBytes is the longest session token that is looked at. Clerk keeps
	// its tokens below 4 KiB, the limit of a cookie.
	MaxTokenBytes = 16 << 10

	// maxHeaderBytes is the longest header of a JWT that is looked at, encoded.
	// Clerk's have about 140 bytes.
	maxHeaderBytes = 1 << 10

	// A JWT within these bounds, encoded, goes to the SDK unchanged. The
	// signature of a larger JWT is checked first. The SDK copies and parses the
	// token before it checks the signature, which for a large forgery costs
	// several times as much as the check.
	plainTokenBytes  = 4 << 10
	plainHeaderBytes = 192

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

// verifiedToken is a session token that Clerk signed and that was valid when it
// was verified. Claims that depend on the time of day are checked on each
// request.
type verifiedToken struct {
	caller   Caller
	hasEmail bool // caller.Email is the email claim's
	key      *publicKey
	keyID    string
	validity validity
	user     atomic.Pointer[usercache.Entry] // see usercache.Cache.Find
}

// validity is the period in which a token counts. Absent dates are zero times.
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
func (a *Authenticator) verify(ctx context.Context, token string) (*verifiedToken, error) {
	head, refusal := parseHeader(token)
	if refusal != nil {
		return nil, refusal
	}
	if !isPlain(token) {
		key, err := a.keys.find(ctx, head.KeyID.value)
		if err != nil {
			return nil, err
		}
		a.cpu <- struct{}{}
		signed := key.signed(token)
		<-a.cpu
		if !signed {
			return nil, a.refuseSignature(&head)
		}
	}
	kind := a.jwtType(&head, token)
	switch {
	case !a.accepts.has(kind):
		return nil, refuse(ReasonTokenTypeMismatch, "token_type", string(kind))
	case kind == SessionToken:
		return a.verifySession(ctx, &head, token)
	}
	return a.verifyMachine(ctx, kind, &head, token)
}

// verifySession reads as the list of what makes a JWT a session token of this
// application.
func (a *Authenticator) verifySession(ctx context.Context, head *header, token string) (*verifiedToken, error) {
	if refusal := head.checkSession(); refusal != nil {
		return nil, refusal
	}
	key, err := a.keys.find(ctx, head.KeyID.value)
	if err != nil {
		return nil, err
	}
	// In a crowd, thousands of goroutines that could run would keep the answers of
	// Clerk from being read before their deadline.
	a.cpu <- struct{}{}
	defer func() { <-a.cpu }()

	_, err = jwt.Verify(ctx, &jwt.VerifyParams{
		Token:       token,
		JWK:         key.jwk,
		Clock:       sdkClock(a.options.Now),
		Leeway:      leeway,
		IsSatellite: true, // the SDK leaves out the issuer: checkClaims is exact
	})
	switch {
	case errors.Is(err, jose.ErrCryptoFailure):
		return nil, a.refuseSignature(head)
	case err != nil && !key.signed(token): // the SDK refused before it came to the signature
		return nil, refuse(ReasonMalformed)
	}

	// Signed by Clerk. The checks that follow go beyond those of the SDK, and
	// find the reason if the SDK refused.
	c, refusal := parseClaims(token)
	if refusal != nil {
		return nil, refusal
	}
	if refusal := a.checkClaims(&c); refusal != nil {
		return nil, refusal
	}
	if refusal := a.checkTime(c.validity()); refusal != nil {
		return nil, refusal
	}
	if err != nil {
		return nil, refuse(ReasonMalformedClaims, "claim", malformedClaim(err))
	}
	// Clerk's JavaScript SDK cannot read an organization in a token with such a
	// list.
	if c.Organization.set && c.Features.malformed {
		return nil, refuse(ReasonMalformedClaims, "claim", "fea")
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
			IssuedAt:        c.IssuedAt.time(),
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
func parseHeader(token string) (header, *Error) {
	var h header
	switch {
	case token == "":
		return h, refuse(ReasonMissingToken)
	case !isCompact(token):
		return h, refuseMalformed(token)
	}
	encoded, _, _ := strings.Cut(token, ".")
	if len(encoded) > maxHeaderBytes {
		return h, refuse(ReasonTooLarge)
	}
	if err := decode(encoded, &h); err != nil {
		return h, refuse(ReasonMalformed)
	}
	return h, nil
}

// checkSession checks what the header says of the token's kind.
func (h *header) checkSession() *Error {
	switch {
	case h.Type.set && h.Type.value != typeJWT:
		return refuse(ReasonNotSessionToken, "typ", h.Type.value)
	case h.Category.set && h.Category.value != categorySessionToken && h.Category.value != categoryAny:
		return refuse(ReasonNotSessionToken, "cat", h.Category.value)
	case h.Algorithm.value != algorithm:
		return refuse(ReasonInvalidAlgorithm, "alg", h.Algorithm.value)
	}
	return nil
}

// refuseSignature refuses a token whose signature is not that of the key.
func (a *Authenticator) refuseSignature(h *header) *Error {
	with := "the key of this kid that Clerk lists"
	if a.keys.local != nil {
		with = "JWTKey"
	}
	return refuse(ReasonInvalidSignature, "kid", h.KeyID.value, "verified_with", with)
}

// parseClaims reads the payload of a session token in compact form.
func parseClaims(token string) (claims, *Error) {
	var c claims
	if err := decode(payload(token), &c); err != nil {
		return c, refuse(ReasonMalformedClaims, "claim", malformedClaim(err))
	}
	return c, nil
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

// isPlain reports whether the token, in compact form, is as large as Clerk's
// usually are.
func isPlain(token string) bool {
	return len(token) <= plainTokenBytes && strings.IndexByte(token, '.') <= plainHeaderBytes
}

// base64url is the encoding of RFC 7515, section 2: no padding, and no bits
// left over, so that a token has one spelling.
var base64url = base64.RawURLEncoding.Strict()

// isCompact reports whether the token is three parts of base64url. The JOSE
// library would remove white space and go on.
func isCompact(token string) bool {
	if strings.Count(token, ".") != 2 {
		return false
	}
	if !isAlphanumeric(token, "-_.") {
		return false
	}
	for part := range strings.SplitSeq(token, ".") {
		// Only a last, shorter group of characters can have bits to spare.
		tail := part[len(part)-len(part)%4:]
		var b [3]byte
		if _, err := base64url.Decode(b[:], []byte(tail)); err != nil || part == "" {
			return false
		}
	}
	return true
}

// isAlphanumeric reports whether s has only ASCII letters and digits, and the
// characters in more.
func isAlphanumeric(s, more string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte(more, c) >= 0:
		default:
			return false
		}
	}
	return true
}

// checkClaims goes beyond the SDK, which leaves these to its caller.
func (a *Authenticator) checkClaims(c *claims) *Error {
	switch {
	case !c.Expiry.set:
		return refuse(ReasonMalformedClaims, "claim", "exp")
	case !isUserID(c.Subject):
		return refuse(ReasonInvalidSubject)
	case c.SessionID == "":
		return refuse(ReasonMissingSession)
	case !isIssuer(c.Issuer, a.options.Issuer):
		return a.refuseIssuer(c.Issuer)
	case !a.parties.Accept(c.AuthorizedParty) && c.AuthorizedParty == "":
		return refuse(ReasonMissingAuthorized)
	case !a.parties.Accept(c.AuthorizedParty):
		return refuse(ReasonInvalidAuthorized, "azp", c.AuthorizedParty)
	case c.Status == "pending":
		return refuse(ReasonSessionPending)
	}
	return nil
}

func (a *Authenticator) refuseIssuer(iss string) *Error {
	return refuse(ReasonInvalidIssuer, "iss", iss, "configured", a.options.Issuer)
}

// check allows the leeway in the same direction as Clerk's JavaScript SDK: a
// token is expired as soon as exp lies the whole leeway back.
func (v validity) check(now time.Time) *Error {
	switch {
	case !v.expiry.After(now.Add(-leeway)):
		return refuse(ReasonExpired, "seconds_ago", seconds(now.Sub(v.expiry)))
	case v.notBefore.After(now.Add(leeway)):
		return refuse(ReasonNotActiveYet, "seconds_ahead", seconds(v.notBefore.Sub(now)))
	case v.issuedAt.After(now.Add(leeway)):
		return refuse(ReasonIssuedInFuture, "seconds_ahead", seconds(v.issuedAt.Sub(now)))
	}
	return nil
}

func seconds(d time.Duration) int { return int(d.Round(time.Second) / time.Second) }

// checkTime tells with a refusal whether it is this machine's clock that is wrong.
func (a *Authenticator) checkTime(v validity) *Error {
	refusal := v.check(a.options.Now())
	if refusal != nil {
		if ahead := a.backend.client.ClockAhead(); ahead.Abs() > leeway {
			refusal.evidence = append(refusal.evidence, "clock_ahead_seconds", seconds(ahead))
		}
	}
	return refusal
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
	return ok && id != "" && isAlphanumeric(id, "_")
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
