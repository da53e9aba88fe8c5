package fakeclerk

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Values of [MachineToken].Type, Clerk's own words.
const (
	TypeAPIKey     = "api_key"
	TypeM2MToken   = "m2m_token"
	TypeOAuthToken = "oauth_token"
)

// MachineToken is a credential that is not a session token: an API key, a
// machine-to-machine token or an OAuth access token. Its JSON form is what POST
// /fakeclerk/machine_tokens reads.
type MachineToken struct {
	Type string `json:"type"`
	// ID is "ak_…", "mt_…" or "oat_…". [Server.AddMachineToken] makes one up.
	ID string `json:"id"`
	// Token is what a client sends: a secret with the prefix of ID, or a JWT.
	Token string `json:"token"`
	// JWT makes Token a JWT that the instance key signs. API keys have none.
	JWT bool `json:"jwt"`
	// Subject is a user or an organization for an API key, a user for an OAuth
	// access token, and a [Machine] for an M2M token.
	Subject string `json:"subject"`
	// Scopes are machine ids for an M2M token.
	Scopes      []string       `json:"scopes"`
	Claims      map[string]any `json:"claims"`      // not of an OAuth access token
	ClientID    string         `json:"client_id"`   // of an OAuth access token: the application
	Name        string         `json:"name"`        // of an API key
	Description string         `json:"description"` // of an API key
	CreatedBy   string         `json:"created_by"`  // of an API key: a user
	// ExpiresAt is zero for a token that never expires.
	ExpiresAt        time.Time `json:"expires_at"`
	Revoked          bool      `json:"revoked"`
	RevocationReason string    `json:"revocation_reason"`

	CreatedAt time.Time `json:"-"` // set by AddMachineToken
	UpdatedAt time.Time `json:"-"`
}

// Machine is a service of the application, which M2M tokens are for.
type Machine struct {
	ID        string   // "mch_…"
	SecretKey string   // "ak_…": the key for M2M tokens in the place of the instance's
	Scopes    []string // the ids of the machines that it may call
}

// machineTokenKinds are how the types differ.
var machineTokenKinds = map[string]struct {
	prefix   string
	object   string        // the field "object" of the resource
	lifetime time.Duration // 0: never expires
}{
	TypeAPIKey:     {"ak_", "api_key", 0},
	TypeM2MToken:   {"mt_", "machine_to_machine_token", time.Hour},
	TypeOAuthToken: {"oat_", "clerk_idp_oauth_access_token", 24 * time.Hour},
}

// AddMachineToken issues a machine token and returns it with its id, its secret
// or JWT, and, unless ExpiresAt is set, Clerk's default expiry of its type. The
// options change a JWT. As in Clerk, a JWT M2M token is not stored: it cannot be
// listed or revoked.
func (s *Server) AddMachineToken(t MachineToken, options ...TokenOption) (MachineToken, error) {
	return locked(s, func() (MachineToken, error) { return s.addMachineToken(t, options) })
}

func (s *Server) addMachineToken(t MachineToken, options []TokenOption) (MachineToken, error) {
	kind, ok := machineTokenKinds[t.Type]
	if !ok || t.JWT && t.Type == TypeAPIKey {
		return MachineToken{}, plainError{http.StatusBadRequest, fmt.Sprintf("there is no machine token of type %q (jwt: %t)", t.Type, t.JWT)}
	}
	t.CreatedAt = s.now()
	t.UpdatedAt = t.CreatedAt
	t.ID = cmp.Or(t.ID, kind.prefix+randomHex())
	t.Scopes, t.Claims = slices.Clone(t.Scopes), maps.Clone(t.Claims)
	if t.ExpiresAt.IsZero() && kind.lifetime > 0 {
		t.ExpiresAt = t.CreatedAt.Add(kind.lifetime)
	}
	if t.Type == TypeOAuthToken {
		t.ClientID = cmp.Or(t.ClientID, "client_fakeclerk")
	}
	if t.JWT {
		signed, err := s.signMachineToken(t, options)
		if err != nil {
			return MachineToken{}, err
		}
		t.Token = signed
	}
	t.Token = cmp.Or(t.Token, kind.prefix+rand.Text())
	if !t.JWT || t.Type == TypeOAuthToken {
		s.machineTokens.add(t.ID, t)
	}
	return t, nil
}

// signMachineToken signs a JWT M2M token, or an OAuth access token of RFC 9068.
func (s *Server) signMachineToken(t MachineToken, options []TokenOption) (string, error) {
	iat := s.tokenTime().Unix()
	header, claims := object{"typ": "at+jwt"}, object{}
	switch t.Type {
	case TypeM2MToken:
		header = object{"cat": CategoryM2MToken}
		maps.Copy(claims, t.Claims)
		if len(t.Scopes) > 0 {
			claims["scopes"] = strings.Join(t.Scopes, " ")
		}
	case TypeOAuthToken:
		claims["client_id"] = t.ClientID
		claims["scope"] = strings.Join(t.Scopes, " ")
	}
	maps.Copy(claims, object{
		"exp": t.ExpiresAt.Unix(), "iat": iat, "iss": s.options.Issuer, "jti": t.ID, "nbf": iat, "sub": t.Subject,
	})
	unsigned, err := s.newToken(header, claims, options)
	if err != nil {
		return "", err
	}
	return unsigned.sign()
}

// RevokeMachineToken revokes a machine token, by its id. It fails with
// [ErrUnknownToken].
func (s *Server) RevokeMachineToken(id, reason string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	row, ok := s.machineTokens.byKey[id]
	if !ok {
		return ErrUnknownToken
	}
	s.revoke(row, reason)
	return nil
}

func (s *Server) revoke(t *MachineToken, reason string) {
	t.Revoked, t.RevocationReason, t.UpdatedAt = true, reason, s.now()
}

func (s *Server) expired(t *MachineToken) bool {
	return !t.ExpiresAt.IsZero() && !s.now().Before(t.ExpiresAt)
}

// randomHex is the random part of a machine token's id, in Clerk's form.
func randomHex() string {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	return hex.EncodeToString(random[:])
}
