package fakeclerk

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"encore.app/fakeclerk/faulty"
)

// The lifetimes are those of
// https://clerk.com/docs/guides/configure/auth-strategies/oauth/how-clerk-implements-oauth.
// A refresh token never expires.
const (
	codeLifetime      = 10 * time.Minute
	organizationScope = "user:org:read"
	refreshScope      = "offline_access"
)

// oauthClient is an application that users sign in to with their account here.
type oauthClient struct {
	id, secret   string // no secret: a public client
	name         string
	redirectURIs []string
	scopes       []string // that it may ask for
}

// oauthGrant is what a user has consented to.
type oauthGrant struct {
	client         *oauthClient
	user           *User
	organizationID string
	scopes         []string
	audience       []string
	nonce          string

	// Of an authorization code.
	redirectURI, challenge string
	expiresAt              time.Time
}

// SetOpaqueAccessTokens makes the access tokens of OAuth clients opaque, which
// Clerk can revoke at once, or JWTs.
func (s *Server) SetOpaqueAccessTokens(opaque bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opaqueAccessTokens = opaque
}

func (s *Server) oauthScopes() []string {
	scopes := []string{"openid", "profile", "email", "public_metadata", "private_metadata", refreshScope}
	if !s.noOrganizations {
		scopes = append(scopes, organizationScope)
	}
	return scopes
}

// getOAuthMetadata answers with the metadata of RFC 8414. The issuer is the
// address at which a client finds it, also if the iss claim of tokens differs.
func (s *Server) getOAuthMetadata(*http.Request) (any, error) {
	url := s.URL()
	return object{
		"issuer":                 url,
		"authorization_endpoint": url + "/oauth/authorize", "token_endpoint": url + "/oauth/token",
		"registration_endpoint": url + "/oauth/register", "userinfo_endpoint": url + "/oauth/userinfo",
		"jwks_uri": url + "/.well-known/jwks.json", "scopes_supported": s.oauthScopes(),
		"response_types_supported": []string{"code"}, "grant_types_supported": []string{"authorization_code", "refresh_token"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "none", "client_secret_post"},
		"code_challenge_methods_supported":      []string{"S256"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"claims_supported":                      []string{"sub", "iss", "aud", "exp", "iat", "email", "name", "org_id"},
	}, nil
}

// registration is the metadata of a client (RFC 7591, section 2).
type registration struct {
	Name         string   `json:"client_name"`
	RedirectURIs []string `json:"redirect_uris"`
	AuthMethod   string   `json:"token_endpoint_auth_method"`
	GrantTypes   []string `json:"grant_types"`
	Scope        string   `json:"scope"`
}

// registerClient answers POST /oauth/register (RFC 7591).
func (s *Server) registerClient(_ *http.Request, p registration) (any, error) {
	if len(p.RedirectURIs) == 0 {
		return oauthError("invalid_redirect_uri", "redirect_uris must be included"), nil
	}
	p.AuthMethod = cmp.Or(p.AuthMethod, "client_secret_basic")
	client := &oauthClient{
		id: newID("client"), name: p.Name, redirectURIs: p.RedirectURIs, scopes: orList(strings.Fields(p.Scope), s.oauthScopes()),
	}
	body := object{
		"client_id": client.id, "client_id_issued_at": s.now().Unix(), "client_name": p.Name, "redirect_uris": p.RedirectURIs,
		"grant_types": orList(p.GrantTypes, []string{"authorization_code", "refresh_token"}), "response_types": []string{"code"},
		"token_endpoint_auth_method": p.AuthMethod, "scope": strings.Join(client.scopes, " "),
	}
	if p.AuthMethod != "none" {
		client.secret = newID("secret")
		body["client_secret"], body["client_secret_expires_at"] = client.secret, 0
	}
	s.oauthClients[client.id] = client
	return created{body}, nil
}

// oauthError is an error of the token endpoint (RFC 6749, section 5.2).
func oauthError(code, description string) faulty.Answer {
	body, _ := json.Marshal(object{"error": code, "error_description": description}) // strings always encode
	status := http.StatusBadRequest
	if code == "invalid_client" || code == "invalid_token" {
		status = http.StatusUnauthorized
	}
	return faulty.Answer{Status: status, ContentType: "application/json", Body: body}
}

// authorize answers GET /oauth/authorize (RFC 6749, section 4.1.1): with a page of
// the accounts, or, once one is named, with a redirect to the client.
func (s *Server) authorize(r *http.Request) (any, error) {
	q := r.URL.Query()
	client := s.oauthClients[q.Get("client_id")]
	redirect, err := url.Parse(q.Get("redirect_uri"))
	if client == nil || err != nil || !slices.Contains(client.redirectURIs, q.Get("redirect_uri")) {
		return nil, newError(http.StatusBadRequest, "", "client_id or redirect_uri is not registered")
	}
	back := func(name, value string) (any, error) {
		answer := redirect.Query()
		answer.Set(name, value)
		if q.Has("state") {
			answer.Set("state", q.Get("state"))
		}
		redirect.RawQuery = answer.Encode()
		return faulty.Answer{Status: http.StatusFound, Location: redirect.String()}, nil
	}
	scopes := orList(strings.Fields(q.Get("scope")), []string{"profile", "email"})
	if code := authorizationError(q, client, scopes); code != "" {
		return back("error", code)
	}
	// A page of another site may send the browser here, and may not consent for it.
	if !q.Has("user_id") && !q.Has("email") || crossSite(r) {
		return s.consentPage(r, client, scopes)
	}
	user, err := s.named(q)
	if err != nil {
		return nil, err
	}
	if user.Banned {
		return back("error", "access_denied")
	}
	grant := &oauthGrant{
		client: client, user: user, scopes: scopes, nonce: q.Get("nonce"), audience: orList(q["resource"], []string{client.id}),
		redirectURI: q.Get("redirect_uri"), challenge: q.Get("code_challenge"), expiresAt: s.now().Add(codeLifetime),
	}
	if slices.Contains(scopes, organizationScope) && q.Get("org") != "" {
		membership, err := s.memberships.find(memberKey{q.Get("org"), user.ID})
		if err != nil {
			return nil, err
		}
		grant.organizationID = membership.OrganizationID
	}
	code := newID("code")
	s.oauthGrants[code] = grant
	return back("code", code)
}

// authorizationError is the error code for a request that is refused whoever the
// user is (RFC 6749, section 4.1.2.1), or "".
func authorizationError(q url.Values, client *oauthClient, scopes []string) string {
	switch {
	case q.Get("response_type") != "code":
		return "unsupported_response_type"
	case slices.ContainsFunc(scopes, func(scope string) bool { return !slices.Contains(client.scopes, scope) }):
		return "invalid_scope"
	case q.Get("code_challenge") == "" && client.secret == "", q.Has("code_challenge") && q.Get("code_challenge_method") != "S256":
		return "invalid_request"
	case q.Has("deny"):
		return "access_denied"
	}
	return ""
}

// exchange answers POST /oauth/token (RFC 6749, sections 4.1.3 and 6).
func (s *Server) exchange(r *http.Request) (any, error) {
	r.Body = http.MaxBytesReader(nil, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		return oauthError("invalid_request", "the body is not a form"), nil
	}
	client := s.authenticateClient(r)
	if client == nil {
		return oauthError("invalid_client", "the client or its secret is unknown"), nil
	}
	form := r.PostForm
	secret := cmp.Or(form.Get("code"), form.Get("refresh_token"))
	grant := s.oauthGrants[secret]
	if grant == nil || grant.client != client || grant.user.Banned || s.users.byKey[grant.user.ID] == nil {
		return oauthError("invalid_grant", "the code or refresh token is unknown"), nil
	}
	switch form.Get("grant_type") {
	case "authorization_code":
		delete(s.oauthGrants, secret) // it counts once
		if refused := grant.redeem(form, s.now()); refused != "" {
			return oauthError("invalid_grant", refused), nil
		}
	case "refresh_token":
		if grant.redirectURI != "" {
			return oauthError("invalid_grant", "a code is no refresh token"), nil
		}
	default:
		return oauthError("unsupported_grant_type", form.Get("grant_type")), nil
	}
	return s.issue(grant, secret)
}

// authenticateClient returns the client of a request to the token endpoint, or nil.
func (s *Server) authenticateClient(r *http.Request) *oauthClient {
	id, secret, basic := r.BasicAuth()
	if basic { // RFC 6749, section 2.3.1
		id, _ = url.QueryUnescape(id)
		secret, _ = url.QueryUnescape(secret)
	} else {
		id, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	client := s.oauthClients[id]
	if client == nil || subtle.ConstantTimeCompare([]byte(secret), []byte(client.secret)) == 0 {
		return nil
	}
	return client
}

// redeem checks what the client sends with the code, and returns what is wrong. The
// grant is then that of a refresh token.
func (g *oauthGrant) redeem(form url.Values, now time.Time) (refused string) {
	verifier := sha256.Sum256([]byte(form.Get("code_verifier")))
	switch {
	case !now.Before(g.expiresAt):
		return "the code has expired"
	case form.Get("redirect_uri") != g.redirectURI:
		return "redirect_uri is another"
	case g.challenge != "" && base64.RawURLEncoding.EncodeToString(verifier[:]) != g.challenge:
		return "code_verifier does not fit code_challenge"
	}
	g.redirectURI = ""
	return ""
}

// issue answers with an access token, and what else the scopes say.
func (s *Server) issue(grant *oauthGrant, refreshToken string) (any, error) {
	token, err := s.addMachineToken(MachineToken{
		Type: TypeOAuthToken, Subject: grant.user.ID, ClientID: grant.client.id, Scopes: grant.scopes,
		Audience: grant.audience, OrganizationID: grant.organizationID, JWT: !s.opaqueAccessTokens,
	}, nil)
	if err != nil {
		return nil, err
	}
	body := object{
		"access_token": token.Token, "token_type": "Bearer", "scope": strings.Join(grant.scopes, " "),
		"expires_in": int64(token.ExpiresAt.Sub(s.now()) / time.Second),
	}
	if slices.Contains(grant.scopes, refreshScope) {
		if !strings.HasPrefix(refreshToken, "refresh_") {
			refreshToken = newID("refresh")
			s.oauthGrants[refreshToken] = grant
		}
		body["refresh_token"] = refreshToken
	}
	if slices.Contains(grant.scopes, "openid") {
		claims := s.userInfo(token)
		iat := s.tokenTime().Unix()
		claims["iss"], claims["aud"], claims["iat"], claims["exp"] = s.URL(), grant.client.id, iat, iat+24*60*60
		if grant.nonce != "" {
			claims["nonce"] = grant.nonce
		}
		unsigned, err := s.newToken(object{}, claims, nil)
		if err != nil {
			return nil, err
		}
		if body["id_token"], err = unsigned.sign(); err != nil {
			return nil, err
		}
	}
	return body, nil
}

// getUserInfo answers GET /oauth/userinfo (OpenID Connect Core, section 5.3).
func (s *Server) getUserInfo(r *http.Request) (any, error) {
	sent, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	found := s.machineTokens.where(func(t *MachineToken) bool { return t.Type == TypeOAuthToken && t.Token == sent })
	if len(found) == 0 || found[0].Revoked || s.expired(found[0]) || s.users.byKey[found[0].Subject] == nil {
		return oauthError("invalid_token", "the access token is unknown, revoked or expired"), nil
	}
	return s.userInfo(found[0]), nil
}

// userInfo is the part of the user's record that the scopes of an access token
// open to its client.
func (s *Server) userInfo(t *MachineToken) object {
	user := s.users.byKey[t.Subject]
	info := object{"sub": user.ID, "user_id": user.ID}
	if slices.Contains(t.Scopes, "email") {
		info["email"], info["email_verified"] = user.PrimaryEmailAddress(), true
	}
	if slices.Contains(t.Scopes, "profile") {
		info["name"] = strings.TrimSpace(user.FirstName + " " + user.LastName)
	}
	if organization := s.organizations.byKey[t.OrganizationID]; organization != nil {
		info["org_id"], info["org_name"], info["org_slug"] = organization.ID, organization.Name, organization.Slug
	}
	return info
}

// orList is the first list that is not empty.
func orList(list, otherwise []string) []string {
	if len(list) > 0 {
		return list
	}
	return otherwise
}
