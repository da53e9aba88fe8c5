package fakeclerk

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"time"
)

// Values of the cat header, which tells apart the kinds of JWT that one instance key signs.
const (
	CategorySessionToken = "cl_B7d4PD111AAA"
	CategoryJWTTemplate  = "cl_B7d4PD222AAA"
	CategoryM2MToken     = "cl_B7d4PD333AAA"
)

// DefaultAuthorizedParty is the azp claim of a session token whose asker names none.
const DefaultAuthorizedParty = "http://localhost:3001"

// TokenOption changes a session token before it is signed.
type TokenOption func(*token)

type token struct {
	header, claims map[string]any
	key            *rsa.PrivateKey
	server         *Server
	err            error // of an option that cannot be met
}

// Claim sets a claim, Clerk's own included. A nil value deletes it.
func Claim(name string, value any) TokenOption {
	return func(t *token) { setOrDelete(t.claims, name, value) }
}

// Header sets a header field. A nil value deletes it. The signature stays RS256 whatever alg says.
func Header(name string, value any) TokenOption {
	return func(t *token) { setOrDelete(t.header, name, value) }
}

// SignedBy signs with another key, without changing the kid: a forged token.
func SignedBy(key *rsa.PrivateKey) TokenOption {
	return func(t *token) { t.key = key }
}

func setOrDelete(fields map[string]any, name string, value any) {
	if value == nil {
		delete(fields, name)
		return
	}
	fields[name] = value
}

// SessionToken signs a fresh session token (version 2) for the user, as Clerk signs one when a frontend
// asks. All tokens of one user belong to one session, until that is revoked. It fails for an unknown
// user only: a banned user's token is what an attacker keeps from before the ban, so it can be had here.
func (s *Server) SessionToken(userID string, options ...TokenOption) (string, error) {
	session, user, err := s.store.tokenSession(userID, s.now())
	if err != nil {
		return "", fmt.Errorf("sign session token: %w", err)
	}
	return s.signSessionToken(session, user, s.options.TokenLifetime, options...)
}

// signSessionToken builds the claims of https://clerk.com/docs/backend-requests/resources/session-tokens.
func (s *Server) signSessionToken(session Session, user User, lifetime time.Duration, options ...TokenOption) (string, error) {
	iat := s.tokenTime().Unix()
	claims := map[string]any{}
	if s.options.SessionClaims != nil {
		maps.Copy(claims, s.options.SessionClaims(user))
	}
	maps.Copy(claims, map[string]any{
		"azp": DefaultAuthorizedParty,
		"exp": iat + int64(lifetime/time.Second),
		"fva": []int{0, -1}, // minutes since the first and the second factor; -1: never
		"iat": iat,
		"iss": s.options.Issuer,
		"jti": rand.Text(),
		"nbf": iat - 10,
		"sid": session.ID,
		"sts": "active",
		"sub": user.ID,
		"v":   2,
	})
	return s.sign(map[string]any{"cat": CategorySessionToken}, claims, options...)
}

// signTemplateToken builds a JWT-template token: the default claims of
// https://clerk.com/docs/backend-requests/jwt-templates, without sid, sts, fva and v.
func (s *Server) signTemplateToken(template func(User) map[string]any, user User, lifetime time.Duration) (string, error) {
	iat := s.tokenTime().Unix()
	claims := map[string]any{}
	if template != nil {
		maps.Copy(claims, template(user))
	}
	maps.Copy(claims, map[string]any{
		"azp": DefaultAuthorizedParty,
		"exp": iat + int64(lifetime/time.Second),
		"iat": iat,
		"iss": s.options.Issuer,
		"jti": rand.Text(),
		"nbf": iat - 5,
		"sub": user.ID,
	})
	return s.sign(map[string]any{"cat": CategoryJWTTemplate}, claims)
}

// Sign signs any JWT with the current key. The header fields alg, kid and typ are filled in; an entry of
// header replaces one, a nil entry deletes it. The claims are signed as they are.
func (s *Server) Sign(header, claims map[string]any) (string, error) {
	return s.sign(header, claims)
}

// SignWith is [Server.Sign] with another key, under the current kid unless header says otherwise.
func (s *Server) SignWith(key *rsa.PrivateKey, header, claims map[string]any) (string, error) {
	return s.sign(header, claims, SignedBy(key))
}

func (s *Server) sign(header, claims map[string]any, options ...TokenOption) (string, error) {
	key := s.keys.signing()
	t := &token{
		header: map[string]any{"alg": "RS256", "kid": key.id, "typ": "JWT"},
		claims: claims,
		key:    key.private,
		server: s,
	}
	for name, value := range header {
		setOrDelete(t.header, name, value)
	}
	for _, option := range options {
		option(t)
	}
	if t.err != nil {
		return "", fmt.Errorf("sign token: %w", t.err)
	}
	signed, err := t.sign()
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return signed, nil
}

// sign writes the compact serialization (RFC 7515, section 7.1). A JOSE library would set alg and kid
// itself, and so could not write the tokens that a verifier has to refuse.
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
		return "", err
	}
	return input + "." + base64url(signature), nil
}
