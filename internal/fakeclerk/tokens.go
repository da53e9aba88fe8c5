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

// Values of the cat header, which tells apart the kinds of JWT that one instance
// key signs.
const (
	CategorySessionToken = "cl_B7d4PD111AAA"
	CategoryJWTTemplate  = "cl_B7d4PD222AAA"
	CategoryM2MToken     = "cl_B7d4PD333AAA"
)

// DefaultAuthorizedParty is the azp claim of [Server.SessionToken] and GET
// /token where no other is named.
const DefaultAuthorizedParty = "http://localhost:3001"

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
// whatever alg says.
func Header(name string, value any) TokenOption {
	return func(t *token) { setOrDelete(t.header, name, value) }
}

// SignedBy signs with another key, without changing the kid: a forged token.
func SignedBy(key *rsa.PrivateKey) TokenOption {
	return func(t *token) { t.key = key }
}

func setOrDelete(fields object, name string, value any) {
	if value == nil {
		delete(fields, name)
		return
	}
	fields[name] = value
}

// SessionToken signs a fresh session token (version 2) for the user, as Clerk
// signs one when a frontend asks. All tokens of one user belong to one session,
// until that is revoked. It fails with [ErrUnknownUser], but not for a banned
// user: that token is what an attacker keeps from before the ban.
func (s *Server) SessionToken(userID string, options ...TokenOption) (string, error) {
	t, err := s.newSessionToken(userID, options)
	if err != nil {
		return "", err
	}
	return t.sign() // without mu: this takes the most time
}

func (s *Server) newSessionToken(userID string, options []TokenOption) (*token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	session, err := s.tokenSession(userID)
	if err != nil {
		return nil, err
	}
	return s.sessionToken(session, s.options.TokenLifetime, append([]TokenOption{Claim("azp", DefaultAuthorizedParty)}, options...))
}

// sessionToken builds the claims of
// https://clerk.com/docs/backend-requests/resources/session-tokens, without azp.
func (s *Server) sessionToken(session Session, lifetime time.Duration, options []TokenOption) (*token, error) {
	iat := s.tokenTime().Unix()
	return s.newToken(object{"cat": CategorySessionToken}, object{
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
// would set alg and kid itself, and so could not write the tokens that a
// verifier has to refuse.
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
