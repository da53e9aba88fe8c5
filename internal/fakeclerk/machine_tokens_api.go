package fakeclerk

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// The shapes are those of Clerk's OpenAPI specification of the Backend API
// (github.com/clerk/openapi-specs, bapi/2026-05-12.yml).

func (s *Server) machineTokenRoutes() {
	s.api("GET /v1/api_keys", s.listAPIKeys)
	s.api("POST /v1/api_keys", s.createAPIKey)
	s.api("POST /v1/api_keys/verify", s.verifyAPIKey)
	s.api("GET /v1/api_keys/{id}", s.getAPIKey)
	s.api("PATCH /v1/api_keys/{id}", s.updateAPIKey)
	s.api("DELETE /v1/api_keys/{id}", s.deleteAPIKey)
	s.api("GET /v1/api_keys/{id}/secret", s.getAPIKeySecret)
	s.api("POST /v1/api_keys/{id}/revoke", s.revokeAPIKey)
	s.api("GET /v1/m2m_tokens", s.listM2MTokens)
	s.api("POST /v1/m2m_tokens", s.createM2MToken)
	s.api("POST /v1/m2m_tokens/verify", s.verifyM2MToken)
	s.api("POST /v1/m2m_tokens/{id}/revoke", s.revokeM2MToken)
	s.api("POST /v1/oauth_applications/access_tokens/verify", s.verifyOAuthToken)
	s.api("POST /v1/oauth_applications/{id}/revoke_token", s.revokeOAuthToken)
	s.open("POST /fakeclerk/machine_tokens", s.postMachineToken)
}

// machineTokenJSON is the resource of a machine token, without its secret.
func (s *Server) machineTokenJSON(t MachineToken) map[string]any {
	resource := map[string]any{
		"object":            machineTokenKinds[t.Type].object,
		"id":                t.ID,
		"subject":           t.Subject,
		"scopes":            append([]string{}, t.Scopes...),
		"revoked":           t.Revoked,
		"revocation_reason": nullable(t.RevocationReason),
		"expired":           s.expired(t),
		"expiration":        nil,
		"created_at":        t.CreatedAt.UnixMilli(),
		"updated_at":        t.UpdatedAt.UnixMilli(),
	}
	if !t.ExpiresAt.IsZero() {
		resource["expiration"] = t.ExpiresAt.UnixMilli()
	}
	if t.Type == TypeOAuthToken {
		resource["client_id"], resource["type"] = t.ClientID, "oauth:access_token"
		return resource
	}
	resource["last_used_at"], resource["claims"] = nil, nil
	if t.Claims != nil {
		resource["claims"] = t.Claims
	}
	if t.Type == TypeAPIKey {
		resource["type"], resource["name"] = TypeAPIKey, t.Name
		resource["description"], resource["created_by"] = nullable(t.Description), nullable(t.CreatedBy)
	}
	return resource
}

// withSecret adds the secret to the resource, as for the answer to its creation.
func (s *Server) withSecret(t MachineToken) map[string]any {
	resource := s.machineTokenJSON(t)
	name := "token"
	if t.Type == TypeAPIKey {
		name = "secret"
	}
	resource[name] = t.Token
	return resource
}

// verify finds a token by what a client sent. One that is revoked or expired is
// found too: the answer is 200, and its fields say so.
func (s *Server) verify(tokenType, token string) (MachineToken, error) {
	found := s.machineTokens(func(t *MachineToken) bool { return t.Type == tokenType && t.Token == token })
	if len(found) == 0 {
		return MachineToken{}, errNotFound("token", "")
	}
	return found[0], nil
}

func (s *Server) byID(tokenType, id string) (MachineToken, error) {
	found := s.machineTokens(func(t *MachineToken) bool { return t.Type == tokenType && t.ID == id })
	if len(found) == 0 {
		return MachineToken{}, errNotFound("token", id)
	}
	return found[0], nil
}

// listMachineTokens answers a list, the newest first, under the given name.
func (s *Server) listMachineTokens(r *http.Request, name string, keep func(*MachineToken) bool) (any, error) {
	tokens := s.machineTokens(keep)
	total := len(tokens)
	tokens, err := page(tokens, r.URL.Query())
	if err != nil {
		return nil, err
	}
	list := make([]any, len(tokens))
	for i, t := range tokens {
		list[i] = s.machineTokenJSON(t)
	}
	return map[string]any{name: list, "total_count": total}, nil
}

// listAPIKeys answers GET /v1/api_keys.
func (s *Server) listAPIKeys(r *http.Request) (any, error) {
	query := r.URL.Query()
	if !query.Has("subject") {
		return nil, errParam("form_param_missing", "subject", "subject must be included.")
	}
	return s.listMachineTokens(r, "data", func(t *MachineToken) bool {
		return t.Type == TypeAPIKey && t.Subject == query.Get("subject") &&
			(query.Get("include_invalid") == "true" || !t.Revoked && !s.expired(*t))
	})
}

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

// createAPIKey answers POST /v1/api_keys.
func (s *Server) createAPIKey(r *http.Request) (any, error) {
	var p machineTokenParams
	if err := readJSON(r, &p); err != nil {
		return nil, err
	}
	if p.Name == "" || p.Subject == "" {
		return nil, errParam("form_param_missing", "subject", "name and subject must be included.")
	}
	t, err := s.AddMachineToken(MachineToken{
		Type: TypeAPIKey, Name: p.Name, Description: p.Description, Subject: p.Subject, Claims: p.Claims,
		Scopes: p.Scopes, CreatedBy: p.CreatedBy, ExpiresAt: p.expiry(s.now(), time.Time{}),
	})
	return s.withSecret(t), err
}

// getAPIKey answers GET /v1/api_keys/{id}.
func (s *Server) getAPIKey(r *http.Request) (any, error) {
	t, err := s.byID(TypeAPIKey, r.PathValue("id"))
	return s.machineTokenJSON(t), err
}

// getAPIKeySecret answers GET /v1/api_keys/{id}/secret.
func (s *Server) getAPIKeySecret(r *http.Request) (any, error) {
	t, err := s.byID(TypeAPIKey, r.PathValue("id"))
	return map[string]string{"secret": t.Token}, err
}

// updateAPIKey answers PATCH /v1/api_keys/{id}.
func (s *Server) updateAPIKey(r *http.Request) (any, error) {
	t, err := s.byID(TypeAPIKey, r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	p := machineTokenParams{Description: t.Description, Subject: t.Subject, Claims: t.Claims, Scopes: t.Scopes}
	if err := readJSON(r, &p); err != nil {
		return nil, err
	}
	t, err = s.changeMachineToken(t.ID, func(t *MachineToken) {
		t.Description, t.Subject, t.Claims, t.Scopes = p.Description, p.Subject, p.Claims, p.Scopes
		t.ExpiresAt = p.expiry(s.now(), t.ExpiresAt)
	})
	return s.machineTokenJSON(t), err
}

// deleteAPIKey answers DELETE /v1/api_keys/{id}.
func (s *Server) deleteAPIKey(r *http.Request) (any, error) {
	t, err := s.byID(TypeAPIKey, r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	s.machines.mu.Lock()
	defer s.machines.mu.Unlock()
	s.machines.tokens = slices.DeleteFunc(s.machines.tokens, func(other *MachineToken) bool { return other.ID == t.ID })
	return deletedJSON{Object: "api_key", ID: t.ID, Deleted: true}, nil
}

// revokeAPIKey answers POST /v1/api_keys/{id}/revoke.
func (s *Server) revokeAPIKey(r *http.Request) (any, error) { return s.revoke(r, TypeAPIKey) }

func (s *Server) revoke(r *http.Request, tokenType string) (any, error) {
	var p machineTokenParams
	if err := readJSON(r, &p); err != nil {
		return nil, err
	}
	t, err := s.byID(tokenType, r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	t, err = s.RevokeMachineToken(t.ID, p.RevocationReason)
	return s.machineTokenJSON(t), err
}

// verifyAPIKey answers POST /v1/api_keys/verify.
func (s *Server) verifyAPIKey(r *http.Request) (any, error) {
	var p machineTokenParams
	if err := readJSON(r, &p); err != nil {
		return nil, err
	}
	t, err := s.verify(TypeAPIKey, p.Secret)
	return s.machineTokenJSON(t), err
}

// asker is the machine whose secret key a request carries, if it does. Clerk
// takes such a key for M2M tokens in the place of the instance's secret key.
func (s *Server) asker(r *http.Request) (Machine, bool) {
	return s.machine(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
}

// listM2MTokens answers GET /v1/m2m_tokens. A machine lists its own tokens only.
func (s *Server) listM2MTokens(r *http.Request) (any, error) {
	query := r.URL.Query()
	subject := query.Get("subject")
	if machine, ok := s.asker(r); ok && machine.ID != subject {
		return nil, errForbidden("A machine lists its own tokens only.")
	}
	return s.listMachineTokens(r, "m2m_tokens", func(t *MachineToken) bool {
		return t.Type == TypeM2MToken && t.Subject == subject &&
			(query.Get("revoked") == "true" || !t.Revoked) && (query.Get("expired") == "true" || !s.expired(*t))
	})
}

// createM2MToken answers POST /v1/m2m_tokens, which needs a machine's key.
func (s *Server) createM2MToken(r *http.Request) (any, error) {
	machine, ok := s.asker(r)
	if !ok {
		return nil, errForbidden("An M2M token is created with the secret key of a machine.")
	}
	var p machineTokenParams
	if err := readJSON(r, &p); err != nil {
		return nil, err
	}
	t := MachineToken{
		Type: TypeM2MToken, Subject: machine.ID, Claims: p.Claims,
		JWT: p.TokenFormat == "jwt", ExpiresAt: p.expiry(s.now(), time.Time{}),
	}
	if !t.JWT { // no scopes are added to a JWT: they are a claim as any other
		t.Scopes = machine.Scopes
	}
	t, err := s.AddMachineToken(t)
	return created{s.withSecret(t)}, err
}

// verifyM2MToken answers POST /v1/m2m_tokens/verify. A machine verifies only the
// tokens that are for it.
func (s *Server) verifyM2MToken(r *http.Request) (any, error) {
	var p machineTokenParams
	if err := readJSON(r, &p); err != nil {
		return nil, err
	}
	t, err := s.verify(TypeM2MToken, p.Token)
	if machine, ok := s.asker(r); ok && err == nil && !slices.Contains(t.Scopes, machine.ID) {
		return nil, errNotFound("token", "")
	}
	return s.machineTokenJSON(t), err
}

// revokeM2MToken answers POST /v1/m2m_tokens/{id}/revoke.
func (s *Server) revokeM2MToken(r *http.Request) (any, error) {
	t, err := s.byID(TypeM2MToken, r.PathValue("id"))
	if machine, ok := s.asker(r); ok && err == nil && machine.ID != t.Subject {
		return nil, errNotFound("token", t.ID)
	}
	return s.revoke(r, TypeM2MToken)
}

// verifyOAuthToken answers POST /v1/oauth_applications/access_tokens/verify. An
// expired JWT is only "not active".
func (s *Server) verifyOAuthToken(r *http.Request) (any, error) {
	var p machineTokenParams
	if err := readJSON(r, &p); err != nil {
		return nil, err
	}
	if p.AccessToken == "" {
		p.AccessToken = p.Secret // the parameter's older name
	}
	t, err := s.verify(TypeOAuthToken, p.AccessToken)
	if err == nil && t.JWT && s.expired(t) {
		return map[string]bool{"active": false}, nil
	}
	return s.machineTokenJSON(t), err
}

// revokeOAuthToken answers POST /v1/oauth_applications/{id}/revoke_token, where
// id is that of the token's client. A JWT cannot be revoked.
func (s *Server) revokeOAuthToken(r *http.Request) (any, error) {
	var p machineTokenParams
	if err := readJSON(r, &p); err != nil {
		return nil, err
	}
	t, err := s.verify(TypeOAuthToken, p.Token)
	if err != nil || t.JWT || t.ClientID != r.PathValue("id") {
		return nil, errNotFound("token", "")
	}
	_, err = s.RevokeMachineToken(t.ID, "")
	return noContent{}, err
}

// postMachineToken answers POST /fakeclerk/machine_tokens: [Server.AddMachineToken].
func (s *Server) postMachineToken(w http.ResponseWriter, r *http.Request) {
	var t MachineToken
	if err := readControl(r, &t); err != nil {
		writeError(w, err)
		return
	}
	t, err := s.AddMachineToken(t)
	if err != nil {
		writeError(w, errParam("form_param_value_invalid", "type", err.Error()))
		return
	}
	answer(w, s.withSecret(t))
}
