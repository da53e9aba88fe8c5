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
		"object":            machineTokenKinds[t.Type].object,
		"id":                t.ID,
		"subject":           t.Subject,
		"scopes":            append([]string{}, t.Scopes...),
		"revoked":           t.Revoked,
		"revocation_reason": nullable(t.RevocationReason),
		"expired":           s.expired(&t),
		"expiration":        nil,
		"created_at":        t.CreatedAt.UnixMilli(),
		"updated_at":        t.UpdatedAt.UnixMilli(),
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
	out := s.machineTokenJSON(t)
	out[name] = t.Token
	return out
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

// expiry is when the token expires, or fallback where the request does not say.
func (p machineTokenParams) expiry(now, fallback time.Time) time.Time {
	if p.Seconds == nil {
		return fallback
	}
	return now.Add(time.Duration(*p.Seconds * float64(time.Second)))
}

// listAPIKeys answers GET /v1/api_keys.
func (s *Server) listAPIKeys(r *http.Request) (any, error) {
	if !r.URL.Query().Has("subject") {
		return nil, errMissing("subject")
	}
	return s.listMachineTokens(r.URL.Query(), TypeAPIKey, "data", "include_invalid", "include_invalid")
}

// listMachineTokens answers a list under the given name. Revoked and expired
// tokens are in it only where a parameter of the given names is "true".
func (s *Server) listMachineTokens(query url.Values, tokenType, name, withRevoked, withExpired string) (any, error) {
	var rows []*MachineToken
	for _, t := range s.machineTokens.rows {
		if t.Type == tokenType &&
			(!t.Revoked || query.Get(withRevoked) == "true") && (!s.expired(t) || query.Get(withExpired) == "true") {
			rows = append(rows, t)
		}
	}
	pass := func([]string) (func(*MachineToken) bool, error) { return func(*MachineToken) bool { return true }, nil }
	tokens, total, err := listing[MachineToken]{rows: rows, maxLimit: 100, filters: map[string]filter[MachineToken]{
		"subject": equal(func(t *MachineToken) string { return t.Subject }), withRevoked: pass, withExpired: pass,
	}}.page(query)
	return object{name: each(tokens, s.machineTokenJSON), "total_count": total}, err
}

// createAPIKey answers POST /v1/api_keys.
func (s *Server) createAPIKey(r *http.Request) (any, error) {
	var p machineTokenParams
	if err := decode(r, &p); err != nil {
		return nil, err
	}
	if p.Name == "" || p.Subject == "" {
		return nil, errMissing("name and subject")
	}
	t, err := s.addMachineToken(MachineToken{
		Type: TypeAPIKey, Name: p.Name, Description: p.Description, Subject: p.Subject, Claims: p.Claims,
		Scopes: p.Scopes, CreatedBy: p.CreatedBy, ExpiresAt: p.expiry(s.now(), time.Time{}),
	}, nil)
	return s.withSecret(t), err
}

// machineToken finds the token that a path names.
func (s *Server) machineToken(r *http.Request, tokenType string) (*MachineToken, error) {
	t, ok := s.machineTokens.byKey[r.PathValue("id")]
	if !ok || t.Type != tokenType {
		return nil, ErrUnknownToken
	}
	return t, nil
}

// getAPIKey answers GET /v1/api_keys/{id}.
func (s *Server) getAPIKey(r *http.Request) (any, error) {
	t, err := s.machineToken(r, TypeAPIKey)
	if err != nil {
		return nil, err
	}
	return s.machineTokenJSON(*t), nil
}

// getAPIKeySecret answers GET /v1/api_keys/{id}/secret.
func (s *Server) getAPIKeySecret(r *http.Request) (any, error) {
	t, err := s.machineToken(r, TypeAPIKey)
	if err != nil {
		return nil, err
	}
	return object{"secret": t.Token}, nil
}

// updateAPIKey answers PATCH /v1/api_keys/{id}.
func (s *Server) updateAPIKey(r *http.Request) (any, error) {
	t, err := s.machineToken(r, TypeAPIKey)
	if err != nil {
		return nil, err
	}
	p := machineTokenParams{Description: t.Description, Subject: t.Subject, Claims: maps.Clone(t.Claims), Scopes: slices.Clone(t.Scopes)}
	if err := decode(r, &p); err != nil {
		return nil, err
	}
	t.Description, t.Subject, t.Claims, t.Scopes = p.Description, p.Subject, p.Claims, p.Scopes
	t.ExpiresAt, t.UpdatedAt = p.expiry(s.now(), t.ExpiresAt), s.now()
	return s.machineTokenJSON(*t), nil
}

// deleteAPIKey answers DELETE /v1/api_keys/{id}.
func (s *Server) deleteAPIKey(r *http.Request) (any, error) {
	t, err := s.machineToken(r, TypeAPIKey)
	if err != nil {
		return nil, err
	}
	s.machineTokens.delete(t.ID)
	return object{"object": "api_key", "id": t.ID, "deleted": true}, nil
}

// revokeAPIKey answers POST /v1/api_keys/{id}/revoke.
func (s *Server) revokeAPIKey(r *http.Request) (any, error) {
	t, err := s.machineToken(r, TypeAPIKey)
	if err != nil {
		return nil, err
	}
	return s.answerRevoke(r, t)
}

func (s *Server) answerRevoke(r *http.Request, t *MachineToken) (any, error) {
	var p machineTokenParams
	if err := decode(r, &p); err != nil {
		return nil, err
	}
	s.revoke(t, p.RevocationReason)
	return s.machineTokenJSON(*t), nil
}

// verify finds a token by the parameter with what a client sent. One that is
// revoked or expired is found too, and its fields say so, unless
// [Options].HideInvalidTokens is set.
func (s *Server) verify(r *http.Request, tokenType string, parameter func(machineTokenParams) string) (*MachineToken, error) {
	var p machineTokenParams
	if err := decode(r, &p); err != nil {
		return nil, err
	}
	for _, t := range s.machineTokens.rows {
		if t.Type == tokenType && t.Token == parameter(p) && !(s.options.HideInvalidTokens && (t.Revoked || s.expired(t))) {
			return t, nil
		}
	}
	return nil, ErrUnknownToken
}

// verifyAPIKey answers POST /v1/api_keys/verify.
func (s *Server) verifyAPIKey(r *http.Request) (any, error) {
	t, err := s.verify(r, TypeAPIKey, func(p machineTokenParams) string { return p.Secret })
	if err != nil {
		return nil, err
	}
	return s.machineTokenJSON(*t), nil
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

// listM2MTokens answers GET /v1/m2m_tokens. A machine lists its own tokens only.
func (s *Server) listM2MTokens(r *http.Request) (any, error) {
	query := r.URL.Query()
	if machine := s.asker(r); machine != nil && machine.ID != query.Get("subject") {
		return nil, errForbidden("A machine lists its own tokens only.")
	}
	return s.listMachineTokens(query, TypeM2MToken, "m2m_tokens", "revoked", "expired")
}

// createM2MToken answers POST /v1/m2m_tokens, which needs a machine's key.
func (s *Server) createM2MToken(r *http.Request) (any, error) {
	machine := s.asker(r)
	if machine == nil {
		return nil, errForbidden("An M2M token is created with the secret key of a machine.")
	}
	var p machineTokenParams
	if err := decode(r, &p); err != nil {
		return nil, err
	}
	t := MachineToken{
		Type: TypeM2MToken, Subject: machine.ID, Claims: p.Claims,
		JWT: p.TokenFormat == "jwt", ExpiresAt: p.expiry(s.now(), time.Time{}),
	}
	if !t.JWT { // no scopes are added to a JWT: they are a claim as any other
		t.Scopes = machine.Scopes
	}
	t, err := s.addMachineToken(t, nil)
	return created{s.withSecret(t)}, err
}

// verifyM2MToken answers POST /v1/m2m_tokens/verify. A machine verifies only the
// tokens that are for it.
func (s *Server) verifyM2MToken(r *http.Request) (any, error) {
	t, err := s.verify(r, TypeM2MToken, func(p machineTokenParams) string { return p.Token })
	if err != nil {
		return nil, err
	}
	if machine := s.asker(r); machine != nil && !slices.Contains(t.Scopes, machine.ID) {
		return nil, ErrUnknownToken
	}
	return s.machineTokenJSON(*t), nil
}

// revokeM2MToken answers POST /v1/m2m_tokens/{id}/revoke. A machine revokes its
// own tokens only.
func (s *Server) revokeM2MToken(r *http.Request) (any, error) {
	t, err := s.machineToken(r, TypeM2MToken)
	if err != nil {
		return nil, err
	}
	if machine := s.asker(r); machine != nil && machine.ID != t.Subject {
		return nil, ErrUnknownToken
	}
	return s.answerRevoke(r, t)
}

// verifyOAuthToken answers POST /v1/oauth_applications/access_tokens/verify. An
// expired JWT is only "not active".
func (s *Server) verifyOAuthToken(r *http.Request) (any, error) {
	t, err := s.verify(r, TypeOAuthToken, func(p machineTokenParams) string {
		return cmp.Or(p.AccessToken, p.Secret) // the parameter's older name
	})
	if err != nil {
		return nil, err
	}
	if t.JWT && s.expired(t) {
		return object{"active": false}, nil
	}
	return s.machineTokenJSON(*t), nil
}

// revokeOAuthToken answers POST /v1/oauth_applications/{id}/revoke_token, where
// id is that of the token's client. A JWT cannot be revoked.
func (s *Server) revokeOAuthToken(r *http.Request) (any, error) {
	t, err := s.verify(r, TypeOAuthToken, func(p machineTokenParams) string { return p.Token })
	if err != nil || t.JWT || t.ClientID != r.PathValue("id") {
		return nil, ErrUnknownToken
	}
	s.revoke(t, "")
	return nil, nil
}
