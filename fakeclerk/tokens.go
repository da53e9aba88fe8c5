package fakeclerk

import (
	"cmp"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v3"
)

// Values of the cat header, which distinguishes the kinds of JWT that one
// instance key signs.
const (
	CategorySessionToken = "cl_B7d4PD111AAA"
	CategoryJWTTemplate  = "cl_B7d4PD222AAA"
	CategoryM2MToken     = "cl_B7d4PD333AAA"
)

// DefaultAuthorizedParty is the azp claim of [Server.SessionToken] and GET
// /token where no other is named.
const DefaultAuthorizedParty = "http://localhost:3001"

// DefaultSecretKey is the key of a Server's Backend API where no other is named.
const DefaultSecretKey = "sk_test_fakeclerk"

// TokenOption changes a JWT before it is signed.
type TokenOption func(*token)

type token struct {
	header, claims object
	key            *rsa.PrivateKey
	organization   string // the id or slug of the active one
}

// Claim sets a claim, Clerk's own included. A nil value deletes it.
func Claim(name string, value any) TokenOption {
	return func(t *token) { setOrDelete(t.claims, name, value) }
}

// Header sets a header field. A nil value deletes it. The signature stays RS256
// for every alg.
func Header(name string, value any) TokenOption {
	return func(t *token) { setOrDelete(t.header, name, value) }
}

// SignedBy signs with another key, without changing the kid: a forged token.
func SignedBy(key *rsa.PrivateKey) TokenOption {
	return func(t *token) { t.key = key }
}

// authorizedParty sets the azp claim. "" leaves it out, as in a native app.
func authorizedParty(origin string) TokenOption {
	if origin == "" {
		return Claim("azp", nil)
	}
	return Claim("azp", origin)
}

func setOrDelete(fields object, name string, value any) {
	if value == nil {
		delete(fields, name)
		return
	}
	fields[name] = value
}

// keyring holds the signing key and the keys that the JWKS lists.
type keyring struct {
	id      string
	private *rsa.PrivateKey
	listed  []jose.JSONWebKey
}

func newSigningKey() *rsa.PrivateKey {
	key, _ := rsa.GenerateKey(rand.Reader, 2048) // fails only where crypto/rand does, which is never
	return key
}

// add makes key the signing key and lists it, in the place of a listed key with
// the same id.
func (k *keyring) add(id string, key *rsa.PrivateKey) {
	k.id, k.private = id, key
	k.remove(id)
	k.listed = append(k.listed, jose.JSONWebKey{Key: key.Public(), KeyID: id, Algorithm: "RS256", Use: "sig"})
}

// remove takes the key off the list and reports whether it was on it.
func (k *keyring) remove(id string) bool {
	before := len(k.listed)
	k.listed = slices.DeleteFunc(slices.Clone(k.listed), func(key jose.JSONWebKey) bool { return key.KeyID == id })
	return len(k.listed) < before
}

// PublicKeyPEM is the public half of the current signing key as a PKIX "PUBLIC
// KEY" block. Clerk's dashboard shows this block as the JWKS public key, and
// Clerk's SDKs read it from CLERK_JWT_KEY.
func (s *Server) PublicKeyPEM() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	der, _ := x509.MarshalPKIXPublicKey(s.keys.private.Public()) // a key made by crypto/rsa always marshals
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// RotateKey signs with a new key from now on. The old one stays listed in the
// JWKS until [Server.RemoveKey], unless newKID is its own id: then the new key
// takes its place. An empty newKID is made up.
func (s *Server) RotateKey(newKID string) {
	key := newSigningKey()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys.add(cmp.Or(newKID, newID("ins")), key)
}

// RemoveKey takes a key off the JWKS and reports whether it was on it. If it is
// the signing key it continues to sign, unlisted.
func (s *Server) RemoveKey(kid string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys.remove(kid)
}

func (s *Server) getJWKS(*http.Request) (any, error) {
	return jose.JSONWebKeySet{Keys: s.keys.listed}, nil
}

// SessionToken signs a fresh session token (version 2) for the user, as Clerk
// signs one when a frontend asks. All tokens of one user belong to one session,
// until that is revoked. It fails with [ErrUnknownUser], but not for a banned
// user: that token is what an attacker keeps from before the ban.
func (s *Server) SessionToken(userID string, options ...TokenOption) (string, error) {
	t, err := locked(s, func() (*token, error) {
		user, err := s.users.find(userID)
		if err != nil {
			return nil, err
		}
		options = append([]TokenOption{authorizedParty(DefaultAuthorizedParty)}, options...)
		return s.sessionToken(s.tokenSession(user), s.options.TokenLifetime, options)
	})
	if err != nil {
		return "", err
	}
	return t.sign() // without mu: this takes the most time
}

// sessionToken builds the claims of
// https://clerk.com/docs/backend-requests/resources/session-tokens, without azp.
func (s *Server) sessionToken(session *Session, lifetime time.Duration, options []TokenOption) (*token, error) {
	iat := s.tokenTime().Unix()
	t, err := s.newToken(object{"cat": CategorySessionToken}, object{
		"exp": iat + int64(lifetime/time.Second),
		"fva": []int{0, -1}, // minutes since the first and the second factor; -1: never
		"iat": iat,
		"iss": s.options.Issuer,
		"jti": rand.Text(),
		"nbf": iat - 10,
		"sid": session.ID,
		"sts": "active",
		"sub": session.UserID,
		"v":   2,
	}, options)
	if err == nil {
		err = s.customize(t, session)
	}
	if err != nil {
		return nil, err
	}
	for _, option := range options { // a test may change custom claims, too
		option(t)
	}
	return t, nil
}

// newToken returns a JWT that is ready to sign with the current key. Its options
// are applied before and after the claims of the active organization are added,
// so that they can change those claims too.
func (s *Server) newToken(header, claims object, options []TokenOption) (*token, error) {
	t := &token{header: object{"alg": "RS256", "kid": s.keys.id, "typ": "JWT"}, claims: claims, key: s.keys.private}
	maps.Copy(t.header, header)
	for _, option := range options {
		option(t)
	}
	if t.organization == "" {
		return t, nil
	}
	if err := s.activate(t); err != nil {
		return nil, err
	}
	for _, option := range options {
		option(t)
	}
	return t, nil
}

// tokenTime is the time of iat, the clock offset included.
func (s *Server) tokenTime() time.Time { return s.now().Add(s.clockOffset) }

// sign writes the compact serialization (RFC 7515, section 7.1). A JOSE library
// would set alg and kid itself, and could not write the tokens that a verifier
// has to refuse.
func (t *token) sign() (string, error) {
	header, err := json.Marshal(t.header)
	if err != nil {
		return "", fmt.Errorf("encode header: %w", err)
	}
	claims, err := json.Marshal(t.claims)
	if err != nil {
		return "", fmt.Errorf("encode claims: %w", err)
	}
	base64url := base64.RawURLEncoding.EncodeToString
	input := base64url(header) + "." + base64url(claims)
	digest := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(nil, t.key, crypto.SHA256, digest[:])
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return input + "." + base64url(signature), nil
}

// answer signs the token for the answer to a request.
func (t *token) answer(err error) (any, error) {
	if err != nil {
		return nil, err
	}
	jwt, err := t.sign()
	return object{"object": "token", "jwt": jwt}, err
}
