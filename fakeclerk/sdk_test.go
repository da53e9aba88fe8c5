package fakeclerk_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/jwks"
	"github.com/clerk/clerk-sdk-go/v2/jwt"
	"github.com/clerk/clerk-sdk-go/v2/session"
	"github.com/clerk/clerk-sdk-go/v2/user"

	"encore.app/fakeclerk"
)

// sdkConfig is all that tells Clerk's SDK of the fake.
func sdkConfig(s *fakeclerk.Server) *clerk.ClientConfig {
	return &clerk.ClientConfig{BackendConfig: clerk.BackendConfig{
		URL: clerk.String(s.URL() + "/v1"),
		Key: clerk.String(s.SecretKey()),
	}}
}

func TestClerkSDKReadsAndChangesUsers(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	users := user.NewClient(sdkConfig(s))
	ctx := t.Context()

	ada, err := users.Get(ctx, "user_ada")
	if err != nil {
		t.Fatal(err)
	}
	if len(ada.EmailAddresses) != 2 || ada.EmailAddresses[1].ID != *ada.PrimaryEmailAddressID || ada.EmailAddresses[1].Verification.Status != "verified" {
		t.Errorf("%s", ada.Response.RawJSON)
	}
	list, err := users.List(ctx, &user.ListParams{
		ListParams: clerk.ListParams{Limit: clerk.Int64(1)}, OrderBy: clerk.String("+created_at"),
		UserIDs: []string{"user_ada", "user_grace"}, EmailAddresses: []string{"ada@example.com", "grace@example.com"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if list.TotalCount != 2 || len(list.Users) != 1 || list.Users[0].ID != "user_ada" {
		t.Errorf("%d of %d users", len(list.Users), list.TotalCount)
	}
	created, err := users.Create(ctx, &user.CreateParams{
		EmailAddresses: &[]string{"new@example.com"}, FirstName: clerk.String("New"),
		PublicMetadata: clerk.JSONRawMessage(json.RawMessage(`{"plan":"free"}`)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if string(created.PublicMetadata) != `{"plan":"free"}` || created.EmailAddresses[0].EmailAddress != "new@example.com" {
		t.Errorf("%s", created.Response.RawJSON)
	}
	if updated, err := users.Update(ctx, created.ID, &user.UpdateParams{FirstName: clerk.String("Newer")}); err != nil || *updated.FirstName != "Newer" {
		t.Errorf("update: %v", err)
	}
	if banned, err := users.Ban(ctx, created.ID); err != nil || !banned.Banned {
		t.Errorf("ban: %v", err)
	}
	if unbanned, err := users.Unban(ctx, created.ID); err != nil || unbanned.Banned {
		t.Errorf("unban: %v", err)
	}
	if deleted, err := users.Delete(ctx, created.ID); err != nil || !deleted.Deleted {
		t.Errorf("delete: %v", err)
	}
	wantAPIError(t, http.StatusNotFound, "resource_not_found", func() error {
		_, err := users.Get(ctx, created.ID)
		return err
	})
}

func TestClerkSDKSignsInAndVerifies(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	sessions := session.NewClient(sdkConfig(s))
	ctx := t.Context()

	created, err := sessions.Create(ctx, &session.CreateParams{UserID: "user_ada"})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := sessions.Get(ctx, created.ID); err != nil || got.Status != "active" || got.UserID != "user_ada" || got.ExpireAt <= got.CreatedAt {
		t.Errorf("get: %+v, %v", got, err)
	}
	token, err := sessions.CreateToken(ctx, &session.CreateTokenParams{ID: created.ID})
	if err != nil {
		t.Fatal(err)
	}
	claims, err := jwt.Verify(ctx, &jwt.VerifyParams{Token: token.JWT, JWKSClient: jwks.NewClient(sdkConfig(s))})
	if err != nil {
		t.Fatal(err)
	}
	if claims.Subject != "user_ada" || claims.SessionID != created.ID || claims.Issuer != s.Issuer() || claims.AuthorizedParty != "" {
		t.Errorf("%+v", claims)
	}
	if revoked, err := sessions.Revoke(ctx, &session.RevokeParams{ID: created.ID}); err != nil || revoked.Status != "revoked" {
		t.Errorf("revoke: %v", err)
	}
	wantAPIError(t, http.StatusNotFound, "resource_not_found", func() error {
		_, err := sessions.CreateToken(ctx, &session.CreateTokenParams{ID: created.ID})
		return err
	})
	// A signed token stays signed.
	if _, err := jwt.Verify(ctx, &jwt.VerifyParams{Token: token.JWT, JWKSClient: jwks.NewClient(sdkConfig(s))}); err != nil {
		t.Errorf("a token of a revoked session: %v", err)
	}
}

func TestClerkSDKReadsKeys(t *testing.T) {
	s := start(t, fakeclerk.Options{})
	set, err := jwks.NewClient(sdkConfig(s)).Get(t.Context(), &jwks.GetParams{})
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Keys) != 1 || set.Keys[0].KeyID != "ins_fakeclerk" || set.Keys[0].Algorithm != "RS256" || set.Keys[0].Use != "sig" {
		t.Errorf("%s", set.Response.RawJSON)
	}
	wrong := sdkConfig(s)
	wrong.Key = clerk.String("sk_test_wrong")
	wantAPIError(t, http.StatusUnauthorized, "clerk_key_invalid", func() error {
		_, err := jwks.NewClient(wrong).Get(t.Context(), &jwks.GetParams{})
		return err
	})

	key, err := clerk.JSONWebKeyFromPEM(s.PublicKeyPEM())
	if err != nil {
		t.Fatal(err)
	}
	token, err := s.SessionToken("user_grace")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jwt.Verify(t.Context(), &jwt.VerifyParams{Token: token, JWK: key}); err != nil {
		t.Errorf("with CLERK_JWT_KEY: %v", err)
	}
}

func wantAPIError(t *testing.T, status int, code string, call func() error) {
	t.Helper()
	var apiError *clerk.APIErrorResponse
	err := call()
	if !errors.As(err, &apiError) || apiError.HTTPStatusCode != status || len(apiError.Errors) != 1 || apiError.Errors[0].Code != code || apiError.TraceID == "" {
		t.Errorf("%v, want %d %s", err, status, code)
	}
}

func BenchmarkGetUser(b *testing.B) {
	s := start(b, fakeclerk.Options{})
	users := user.NewClient(sdkConfig(s))
	for b.Loop() {
		if _, err := users.Get(b.Context(), "user_ada"); err != nil {
			b.Fatal(err)
		}
	}
}
