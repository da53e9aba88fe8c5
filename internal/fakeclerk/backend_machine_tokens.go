package fakeclerk

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The shapes are those of Clerk's OpenAPI specification of the Backend API
// (github.com/clerk/openapi-specs, bapi/2026-05-12.yml).

// machineTokenJSON is the resource of a machine token, without its secret.
func (s *Server) machineTokenJSON(t MachineToken) object {
	out := object{
		"object": machineTokenKinds[t.Type].object, "id": t.ID, "subject": t.Subject, "scopes": append([]string{}, t.Scopes...),
		"revoked": t.Revoked, "revocation_reason": nullable(t.RevocationReason),
		"expired": s.expired(&t), "expiration": nil,
		"created_at": t.CreatedAt.UnixMilli(), "updated_at": t.UpdatedAt.UnixMilli(),
	}
	if !t.ExpiresAt.IsZero() {
		out["expiration"] = t.ExpiresAt.UnixMilli()
	}
	if t.Type == TypeOAuthToken {
		out["client_id"], out["type"] = t.ClientID, "oauth:access_token"
		return out
	}
	out["last_used_at"], out["claims"] = nil, nil
	if t.Claims != nil {
		out["claims"] = t.Claims
	}
	if t.Type == TypeAPIKey {
		maps.Copy(out, object{
			"type": TypeAPIKey, "name": t.Name, "description": nullable(t.Description), "created_by": nullable(t.CreatedBy),
		})
	}
	return out
}

// withSecret is the answer to the creation of a token.
func (s *Server) withSecret(t MachineToken) object {
	name := "token"
	if t.Type == TypeAPIKey {
		name = "secret"
	}
	return resource(object{name: t.Token}, s.machineTokenJSON(t))
}

// machineTokenParams are the parameters of all endpoints of machine tokens.
type machineTokenParams struct {
	Name             string         `json:"name"`
	Description      string         `json:"description"`
	Subject          string         `json:"subject"`
	Claims           map[string]any `json:"claims"`
	Scopes           []string       `json:"scopes"`
	CreatedBy        string         `json:"created_by"`
	TokenFormat      string         `json:"token_format"`
	Seconds          *float64       `json:"seconds_until_expiration"`
	RevocationReason string         `json:"revocation_reason"`
	Secret           string         `json:"secret"`
	Token            string         `json:"token"`
	AccessToken      string         `json:"access_token"`
}

// expiry is when a new token expires; zero where the request does not say.
func (p machineTokenParams) expiry(now time.Time) time.Time {
	if p.Seconds == nil {
		return time.Time{}
	}
	return now.Add(time.Duration(*p.Seconds * float64(time.Second)))
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

// onToken makes a handler of one that takes the token that the path names. A
// machine finds its own tokens only.
func (s *Server) onToken(tokenType string, answer func(*MachineToken, machineTokenParams) (any, error)) handler {
	return with(func(r *http.Request, p machineTokenParams) (any, error) {
		t, ok := s.machineTokens.byKey[r.PathValue("id")]
		if machine := s.asker(r); !ok || t.Type != tokenType || machine != nil && machine.ID != t.Subject {
			return nil, ErrUnknownToken
		}
		return answer(t, p)
	})
}

// onSecret makes a handler of one that takes the token that a client sent. One
// that is revoked or expired is found too, and its fields say so, unless
// [Options].HideInvalidTokens is set. A machine finds the tokens that are for it
// only.
func (s *Server) onSecret(tokenType string, answer func(*http.Request, *MachineToken) (any, error)) handler {
	return with(func(r *http.Request, p machineTokenParams) (any, error) {
		sent := cmp.Or(p.AccessToken, p.Token, p.Secret) // the parameter of an OAuth access token was once "secret"
		i := slices.IndexFunc(s.machineTokens.rows, func(t *MachineToken) bool { return t.Type == tokenType && t.Token == sent })
		if i < 0 {
			return nil, ErrUnknownToken
		}
		t := s.machineTokens.rows[i]
		hidden := s.options.HideInvalidTokens && (t.Revoked || s.expired(t))
		if machine := s.asker(r); hidden || machine != nil && !slices.Contains(t.Scopes, machine.ID) {
			return nil, ErrUnknownToken
		}
		return answer(r, t)
	})
}

func (s *Server) verifyToken(_ *http.Request, t *MachineToken) (any, error) {
	if t.Type == TypeOAuthToken && t.JWT && s.expired(t) {
		return object{"active": false}, nil // all that the specification has for an expired JWT
	}
	return s.machineTokenJSON(*t), nil
}

func (s *Server) getMachineToken(t *MachineToken, _ machineTokenParams) (any, error) {
	return s.machineTokenJSON(*t), nil
}

func (s *Server) revokeToken(t *MachineToken, p machineTokenParams) (any, error) {
	s.revoke(t, p.RevocationReason)
	return s.machineTokenJSON(*t), nil
}

// revokeOAuthToken answers for the application that the path names. A JWT cannot
// be revoked.
func (s *Server) revokeOAuthToken(r *http.Request, t *MachineToken) (any, error) {
	if t.JWT || t.ClientID != r.PathValue("id") {
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
	rows := slices.DeleteFunc(slices.Clone(s.machineTokens.rows), func(t *MachineToken) bool {
		return t.Type != tokenType ||
			t.Revoked && query.Get(withRevoked) != "true" || s.expired(t) && query.Get(withExpired) != "true"
	})
	query.Del(withRevoked)
	query.Del(withExpired)
	tokens, total, err := listing[MachineToken]{rows: rows, maxLimit: 100, filters: map[string]filter[MachineToken]{
		"subject": equal(func(t *MachineToken) string { return t.Subject }),
	}}.page(query)
	return object{name: each(tokens, s.machineTokenJSON), "total_count": total}, err
}

func (s *Server) createAPIKey(_ *http.Request, p machineTokenParams) (any, error) {
	if p.Name == "" || p.Subject == "" {
		return nil, errMissing("name and subject")
	}
	t, err := s.addMachineToken(MachineToken{
		Type: TypeAPIKey, Name: p.Name, Description: p.Description, Subject: p.Subject, Claims: p.Claims,
		Scopes: p.Scopes, CreatedBy: p.CreatedBy, ExpiresAt: p.expiry(s.now()),
	}, nil)
	return s.withSecret(t), err
}

// createM2MToken needs a machine's key. No scopes are added to a JWT: they are a
// claim as any other.
func (s *Server) createM2MToken(r *http.Request, p machineTokenParams) (any, error) {
	machine := s.asker(r)
	if machine == nil {
		return nil, errForbidden("An M2M token is created with the secret key of a machine.")
	}
	t := MachineToken{
		Type: TypeM2MToken, Subject: machine.ID, Claims: p.Claims, JWT: p.TokenFormat == "jwt", ExpiresAt: p.expiry(s.now()),
	}
	if !t.JWT {
		t.Scopes = machine.Scopes
	}
	t, err := s.addMachineToken(t, nil)
	return created{s.withSecret(t)}, err
}
