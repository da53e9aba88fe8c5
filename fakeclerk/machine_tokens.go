package fakeclerk

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/url"
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
	Scopes   []string       `json:"scopes"`
	Claims   map[string]any `json:"claims"`    // not of an OAuth access token
	ClientID string         `json:"client_id"` // of an OAuth access token: the application
	// Audience, OrganizationID and Actor are the aud, org_id and act of an OAuth
	// access token.
	Audience       []string       `json:"aud"`
	OrganizationID string         `json:"org_id"`
	Actor          map[string]any `json:"act"`
	Name           string         `json:"name"`        // of an API key
	Description    string         `json:"description"` // of an API key
	CreatedBy      string         `json:"created_by"`  // of an API key: a user
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
	secret   string        // the field of the secret, where a token is created
	lifetime time.Duration // 0: never expires
}{
	TypeAPIKey:     {"ak_", "api_key", "secret", 0},
	TypeM2MToken:   {"mt_", "machine_to_machine_token", "token", time.Hour},
	TypeOAuthToken: {"oat_", "clerk_idp_oauth_access_token", "token", 24 * time.Hour},
}

// AddMachineToken issues a machine token and returns it with its id, its secret
// or JWT, and, unless ExpiresAt is set, Clerk's default expiry of its type. The
// options change a JWT. As in Clerk, a JWT M2M token is not stored: it cannot be
// listed or revoked.
func (s *Server) AddMachineToken(t MachineToken, options ...TokenOption) (MachineToken, error) {
	return locked(s, func() (*MachineToken, error) { return s.addMachineToken(t, options) })
}

func (s *Server) addMachineToken(t MachineToken, options []TokenOption) (*MachineToken, error) {
	kind, ok := machineTokenKinds[t.Type]
	if !ok || t.JWT && t.Type == TypeAPIKey {
		return nil, newError(http.StatusBadRequest, "", fmt.Sprintf("there is no machine token of type %q (jwt: %t)", t.Type, t.JWT))
	}
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	t.ID = cmp.Or(t.ID, kind.prefix+hex.EncodeToString(random[:]))
	t.CreatedAt = s.now()
	t.UpdatedAt = t.CreatedAt
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
			return nil, err
		}
		t.Token = signed
	}
	t.Token = cmp.Or(t.Token, kind.prefix+rand.Text())
	if !t.JWT || t.Type == TypeOAuthToken {
		s.machineTokens.add(t.ID, &t)
	}
	return &t, nil
}

// signMachineToken signs a JWT M2M token, or an OAuth access token of RFC 9068.
func (s *Server) signMachineToken(t MachineToken, options []TokenOption) (string, error) {
	iat := s.tokenTime().Unix()
	header, claims := object{"typ": "at+jwt"}, object{"client_id": t.ClientID, "scope": strings.Join(t.Scopes, " ")}
	maps.Copy(claims, t.delegation())
	if t.Type == TypeM2MToken {
		header, claims = object{"cat": CategoryM2MToken}, object{}
		maps.Copy(claims, t.Claims)
		if len(t.Scopes) > 0 {
			claims["scopes"] = strings.Join(t.Scopes, " ")
		}
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

// delegation is for what an OAuth access token was issued, where that is known.
func (t *MachineToken) delegation() object {
	fields := object{}
	if len(t.Audience) > 0 {
		fields["aud"] = t.Audience
	}
	if t.OrganizationID != "" {
		fields["org_id"] = t.OrganizationID
	}
	if t.Actor != nil {
		fields["act"] = t.Actor
	}
	return fields
}

// RevokeMachineToken revokes a machine token, by its id. It fails with
// [ErrUnknownToken].
func (s *Server) RevokeMachineToken(id, reason string) error {
	_, err := locked(s, func() (*MachineToken, error) {
		t, err := s.machineTokens.find(id)
		if err != nil {
			return nil, err
		}
		return s.revoke(t, reason), nil
	})
	return err
}

func (s *Server) revoke(t *MachineToken, reason string) *MachineToken {
	t.Revoked, t.RevocationReason, t.UpdatedAt = true, reason, s.now()
	return t
}

func (s *Server) expired(t *MachineToken) bool {
	return !t.ExpiresAt.IsZero() && !s.now().Before(t.ExpiresAt)
}

// withSecret is the answer to the creation of a token.
func (s *Server) withSecret(t *MachineToken, err error) (object, error) {
	if err != nil {
		return nil, err
	}
	fields := s.newTokenResource(t)
	fields[machineTokenKinds[t.Type].secret] = t.Token
	return fields, nil
}

// machineTokenParams are the parameters of all endpoints of machine tokens.
type machineTokenParams struct {
	MachineToken
	TokenFormat string   `json:"token_format"`
	Seconds     *float64 `json:"seconds_until_expiration"`
	Secret      string   `json:"secret"`
	AccessToken string   `json:"access_token"`
}

// token is the new token that a request describes.
func (p machineTokenParams) token(tokenType string, now time.Time) MachineToken {
	t := MachineToken{
		Type: tokenType, Name: p.Name, Description: p.Description, Subject: p.Subject, Claims: p.Claims, Scopes: p.Scopes,
		CreatedBy: p.CreatedBy,
	}
	if p.Seconds != nil {
		t.ExpiresAt = now.Add(time.Duration(*p.Seconds * float64(time.Second)))
	}
	return t
}

// asker is the machine whose secret key a request carries, or nil. Clerk takes
// such a key for M2M tokens in the place of the instance's secret key.
func (s *Server) asker(r *http.Request) *Machine {
	key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	i := slices.IndexFunc(s.machines, func(m Machine) bool { return m.SecretKey == key })
	if i < 0 {
		return nil
	}
	return &s.machines[i]
}

// tokenByID makes a handler of one that takes the token that the path names. A
// machine finds its own tokens only.
func (s *Server) tokenByID(tokenType string, answer func(*MachineToken, machineTokenParams) *MachineToken) handler {
	return with(func(r *http.Request, p machineTokenParams) (any, error) {
		t, err := s.machineTokens.find(r.PathValue("id"))
		if machine := s.asker(r); err != nil || t.Type != tokenType || machine != nil && machine.ID != t.Subject {
			return nil, ErrUnknownToken
		}
		return answer(t, p), nil
	})
}

func readToken(t *MachineToken, _ machineTokenParams) *MachineToken { return t }

func (s *Server) revokeToken(t *MachineToken, p machineTokenParams) *MachineToken {
	return s.revoke(t, p.RevocationReason)
}

// sentToken finds the token that a client sent to its receiver, and that the
// receiver verifies. A token that is revoked or expired is found too, and its
// fields say so. A machine finds the tokens that are for it only.
func (s *Server) sentToken(r *http.Request, p machineTokenParams, tokenType string) (*MachineToken, error) {
	sent := cmp.Or(p.AccessToken, p.Token, p.Secret) // the parameter of an OAuth access token was once "secret"
	found := s.machineTokens.where(func(t *MachineToken) bool { return t.Type == tokenType && t.Token == sent })
	if machine := s.asker(r); len(found) == 0 || machine != nil && !slices.Contains(found[0].Scopes, machine.ID) {
		return nil, ErrUnknownToken
	}
	return found[0], nil
}

func (s *Server) verifyToken(tokenType string) handler {
	return with(func(r *http.Request, p machineTokenParams) (any, error) {
		t, err := s.sentToken(r, p, tokenType)
		if err == nil && t.Type == TypeOAuthToken && t.JWT && s.expired(t) {
			return object{"active": false}, nil // all that the specification has for an expired JWT
		}
		return t, err
	})
}

// revokeOAuthToken answers for the application that the path names. A JWT cannot
// be revoked.
func (s *Server) revokeOAuthToken(r *http.Request, p machineTokenParams) (any, error) {
	t, err := s.sentToken(r, p, TypeOAuthToken)
	if err != nil || t.JWT || t.ClientID != r.PathValue("id") {
		return nil, ErrUnknownToken
	}
	s.revoke(t, "")
	return nil, nil
}

func (s *Server) listAPIKeys(r *http.Request) (any, error) {
	if !r.URL.Query().Has("subject") {
		return nil, errMissing("subject")
	}
	return s.listMachineTokens(r.URL.Query(), TypeAPIKey, "data", "include_invalid", "include_invalid")
}

// listM2MTokens lets a machine list its own tokens only.
func (s *Server) listM2MTokens(r *http.Request) (any, error) {
	query := r.URL.Query()
	if machine := s.asker(r); machine != nil && machine.ID != query.Get("subject") {
		return nil, errForbidden("A machine lists its own tokens only.")
	}
	return s.listMachineTokens(query, TypeM2MToken, "m2m_tokens", "revoked", "expired")
}

// listMachineTokens answers a list under the given name. Revoked and expired
// tokens are in it only where the parameter of the given name is "true".
func (s *Server) listMachineTokens(query url.Values, tokenType, name, withRevoked, withExpired string) (any, error) {
	revoked, expired := query.Get(withRevoked) == "true", query.Get(withExpired) == "true"
	query.Del(withRevoked)
	query.Del(withExpired)
	return listing[MachineToken]{
		rows: s.machineTokens.where(func(t *MachineToken) bool {
			return t.Type == tokenType && (revoked || !t.Revoked) && (expired || !s.expired(t))
		}),
		filters:  map[string]filter[MachineToken]{"subject": equal(func(t *MachineToken) string { return t.Subject })},
		maxLimit: 100,
	}.object(name, query)
}

func (s *Server) createAPIKey(_ *http.Request, p machineTokenParams) (any, error) {
	if p.Name == "" || p.Subject == "" {
		return nil, errMissing("name and subject")
	}
	return s.withSecret(s.addMachineToken(p.token(TypeAPIKey, s.now()), nil))
}

// createM2MToken needs a machine's key. No scopes are added to a JWT: they are a
// claim as any other.
func (s *Server) createM2MToken(r *http.Request, p machineTokenParams) (any, error) {
	machine := s.asker(r)
	if machine == nil {
		return nil, errForbidden("An M2M token is created with the secret key of a machine.")
	}
	t := p.token(TypeM2MToken, s.now())
	t.Subject, t.Scopes, t.JWT = machine.ID, machine.Scopes, p.TokenFormat == "jwt"
	if t.JWT {
		t.Scopes = nil
	}
	token, err := s.withSecret(s.addMachineToken(t, nil))
	return created{token}, err
}
