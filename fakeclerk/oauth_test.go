package fakeclerk_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"encore.app/fakeclerk"
)

const redirectURI = "http://127.0.0.1:7777/callback"

// signIn goes through the authorization code flow with a standard client, as a
// browser would in which somebody chooses an account.
func signIn(t *testing.T, s *fakeclerk.Server, config *oauth2.Config, choice string, options ...oauth2.AuthCodeOption) (*oauth2.Token, error) {
	t.Helper()
	verifier := oauth2.GenerateVerifier()
	address := config.AuthCodeURL("the state", append(options, oauth2.S256ChallengeOption(verifier))...)
	answer := authorize(t, address+"&"+choice)
	if answer.Get("state") != "the state" {
		t.Fatalf("redirected with %v", answer)
	}
	return config.Exchange(t.Context(), answer.Get("code"), oauth2.VerifierOption(verifier))
}

// authorize returns the query of the redirect.
func authorize(t *testing.T, address string) url.Values {
	t.Helper()
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	location, err := response.Location()
	if err != nil {
		t.Fatalf("%d: %v", response.StatusCode, err)
	}
	return location.Query()
}

// register adds a client by dynamic registration.
func register(t *testing.T, s *fakeclerk.Server, method string, scopes ...string) *oauth2.Config {
	t.Helper()
	a := call(t, s, "POST /oauth/register", `{"client_name":"Probe","redirect_uris":["`+redirectURI+`"],"token_endpoint_auth_method":"`+method+`"}`)
	if a.status != http.StatusCreated {
		t.Fatalf("%d %s", a.status, a.body)
	}
	metadata := call(t, s, "GET /.well-known/oauth-authorization-server", "")
	return &oauth2.Config{
		ClientID: text(a, "client_id"), ClientSecret: text(a, "client_secret"), RedirectURL: redirectURI, Scopes: scopes,
		Endpoint: oauth2.Endpoint{AuthURL: text(metadata, "authorization_endpoint"), TokenURL: text(metadata, "token_endpoint")},
	}
}

func TestOAuthClientSignsIn(t *testing.T) {
	for _, method := range []string{"none", "client_secret_basic", "client_secret_post"} {
		t.Run(method, func(t *testing.T) {
			s := start(t, fakeclerk.Options{})
			s.SetOpaqueAccessTokens(true)
			config := register(t, s, method, "openid", "email", "user:org:read", "offline_access")
			token, err := signIn(t, s, config, "email=grace@example.com&org=org_analytical", oauth2.SetAuthURLParam("resource", "https://api.example.com/mcp"))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(token.AccessToken, "oat_") || token.RefreshToken == "" || token.Extra("id_token") == nil {
				t.Errorf("got %+v", token)
			}
			a := call(t, s, "POST /v1/oauth_applications/access_tokens/verify", `{"access_token":"`+token.AccessToken+`"}`)
			if text(a, "subject") != "user_grace" || text(a, "org_id") != "org_analytical" || a.json["aud"].([]any)[0] != "https://api.example.com/mcp" {
				t.Errorf("Clerk says %s", a.body)
			}
			s.SetOpaqueAccessTokens(false)
			token.Expiry = time.Now().Add(-time.Hour)
			renewed, err := config.TokenSource(t.Context(), token).Token()
			if err != nil || strings.Count(renewed.AccessToken, ".") != 2 {
				t.Errorf("refreshed: %+v, %v", renewed, err)
			}
			if err := s.BanUser("user_grace"); err != nil {
				t.Fatal(err)
			}
			if _, err := config.TokenSource(t.Context(), token).Token(); err == nil {
				t.Error("a banned user's token was refreshed")
			}
		})
	}
}

func TestOAuthRefusals(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	config := register(t, s, "none", "profile")
	verifier := oauth2.GenerateVerifier()
	address := config.AuthCodeURL("", oauth2.S256ChallengeOption(verifier))
	for choice, want := range map[string]string{
		"user_id=user_banned":         "access_denied",
		"user_id=user_ada&scope=root": "invalid_scope",
		"deny=1":                      "access_denied",
	} {
		parsed, _ := url.Parse(address)
		query := parsed.Query()
		extra, _ := url.ParseQuery(choice)
		for name, values := range extra {
			query[name] = values
		}
		parsed.RawQuery = query.Encode()
		if got := authorize(t, parsed.String()).Get("error"); got != want {
			t.Errorf("%s: %q, want %q", choice, got, want)
		}
	}
	if got := authorize(t, config.AuthCodeURL("")+"&user_id=user_ada").Get("error"); got != "invalid_request" {
		t.Errorf("a public client without PKCE: %q", got)
	}

	code := authorize(t, address+"&user_id=user_ada").Get("code")
	if _, err := config.Exchange(t.Context(), code, oauth2.VerifierOption(oauth2.GenerateVerifier())); err == nil {
		t.Error("another verifier was accepted")
	}
	if _, err := config.Exchange(t.Context(), code, oauth2.VerifierOption(verifier)); err == nil {
		t.Error("a code counted twice")
	}
}

// A page of another site may send the browser to the authorization endpoint, and
// may not choose the account.
func TestPagesDoNotConsent(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	config := register(t, s, "none", "profile")
	address := config.AuthCodeURL("", oauth2.S256ChallengeOption(oauth2.GenerateVerifier())) + "&user_id=user_ada"
	r, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	a, err := send(r)
	if err != nil || a.status != http.StatusOK || !strings.Contains(string(a.body), "Ada Lovelace") {
		t.Errorf("got %d %s, %v", a.status, a.body, err)
	}
}
