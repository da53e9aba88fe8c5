package fakeclerk

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
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
	ID        string // "mch_…"
	Name      string
	SecretKey string   // the key for M2M tokens in the place of the instance's: "ak_…"
	Scopes    []string // the ids of the machines that it may call
}

// ErrUnknownToken is the error of revoking a machine token that there is not.
var ErrUnknownToken = errors.New("unknown machine token")

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

// machineStore holds the machines and their tokens, in order of creation.
type machineStore struct {
	mu       sync.Mutex
	machines []Machine
	tokens   []*MachineToken
}

// AddMachineToken issues a machine token and returns it with its id, its secret
// or JWT, and, unless ExpiresAt is set, Clerk's default expiry of its type. The
// options change a JWT. As in Clerk, a JWT M2M token is not stored: it cannot be
// listed or revoked.
func (s *Server) AddMachineToken(t MachineToken, options ...TokenOption) (MachineToken, error) {
	kind, ok := machineTokenKinds[t.Type]
	if !ok || t.JWT && t.Type == TypeAPIKey {
		return MachineToken{}, fmt.Errorf("add machine token: there is no type %q (jwt: %t)", t.Type, t.JWT)
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
	switch {
	case t.JWT:
		signed, err := s.signMachineToken(t, options...)
		if err != nil {
			return MachineToken{}, err
		}
		t.Token = signed
	case t.Token == "":
		t.Token = kind.prefix + rand.Text()
	}
	if !t.JWT || t.Type == TypeOAuthToken {
		s.machines.mu.Lock()
		defer s.machines.mu.Unlock()
		s.machines.tokens = append(s.machines.tokens, &t)
	}
	return t, nil
}

// signMachineToken signs a JWT M2M token, or an OAuth access token of RFC 9068.
func (s *Server) signMachineToken(t MachineToken, options ...TokenOption) (string, error) {
	iat := s.tokenTime().Unix()
	header := map[string]any{"typ": "at+jwt"}
	claims := map[string]any{}
	switch t.Type {
	case TypeM2MToken:
		header = map[string]any{"cat": CategoryM2MToken}
		maps.Copy(claims, t.Claims)
		if len(t.Scopes) > 0 {
			claims["scopes"] = strings.Join(t.Scopes, " ")
		}
	case TypeOAuthToken:
		claims["client_id"] = t.ClientID
		claims["scope"] = strings.Join(t.Scopes, " ")
	}
	maps.Copy(claims, map[string]any{
		"exp": t.ExpiresAt.Unix(), "iat": iat, "iss": s.options.Issuer, "jti": t.ID, "nbf": iat, "sub": t.Subject,
	})
	return s.sign(header, claims, options...)
}

// RevokeMachineToken revokes a machine token, by its id. It fails with
// [ErrUnknownToken].
func (s *Server) RevokeMachineToken(id, reason string) (MachineToken, error) {
	return s.changeMachineToken(id, func(t *MachineToken) { t.Revoked, t.RevocationReason = true, reason })
}

func (s *Server) changeMachineToken(id string, change func(*MachineToken)) (MachineToken, error) {
	s.machines.mu.Lock()
	defer s.machines.mu.Unlock()
	for _, t := range s.machines.tokens {
		if t.ID == id {
			change(t)
			t.UpdatedAt = s.now()
			return *t, nil
		}
	}
	return MachineToken{}, ErrUnknownToken
}

// machineTokens returns the tokens that keep lets through, the newest first.
func (s *Server) machineTokens(keep func(*MachineToken) bool) []MachineToken {
	s.machines.mu.Lock()
	defer s.machines.mu.Unlock()
	var found []MachineToken
	for _, t := range slices.Backward(s.machines.tokens) {
		if keep(t) {
			found = append(found, *t)
		}
	}
	return found
}

// AddMachine adds a machine and returns it with its id and its secret key.
func (s *Server) AddMachine(m Machine) Machine {
	m.ID = cmp.Or(m.ID, newID("mch"))
	m.SecretKey = cmp.Or(m.SecretKey, "ak_"+rand.Text())
	s.machines.mu.Lock()
	defer s.machines.mu.Unlock()
	s.machines.machines = append(s.machines.machines, m)
	return m
}

// machine finds a machine by its secret key.
func (s *Server) machine(secretKey string) (Machine, bool) {
	s.machines.mu.Lock()
	defer s.machines.mu.Unlock()
	i := slices.IndexFunc(s.machines.machines, func(m Machine) bool { return m.SecretKey == secretKey })
	if i < 0 {
		return Machine{}, false
	}
	return s.machines.machines[i], true
}

func (s *Server) expired(t MachineToken) bool {
	return !t.ExpiresAt.IsZero() && !s.now().Before(t.ExpiresAt)
}

// randomHex is the random part of a machine token's id, in Clerk's form.
func randomHex() string {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	return hex.EncodeToString(random[:])
}
