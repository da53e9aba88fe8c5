//go:build !encore_local

// The test binary starts itself as a server, which Encore's test runtime prevents.

package bench

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	clerkhttp "github.com/clerk/clerk-sdk-go/v2/http"
	"github.com/clerk/clerk-sdk-go/v2/jwks"
	"github.com/clerk/clerk-sdk-go/v2/user"
)

// guideHandler is what Clerk's documentation for Go leads to; guide/server.mjs is
// its counterpart in JavaScript. The SDK's middleware verifies the token and keeps
// the key; the handler loads the user on every request. It gets the connection pool
// that our own handler has, because Go's default keeps only 2 connections to a host.
func guideHandler() (http.Handler, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 32
	config := &clerk.ClientConfig{BackendConfig: clerk.BackendConfig{
		HTTPClient: &http.Client{Timeout: 5 * time.Second, Transport: transport},
		URL:        clerk.String(os.Getenv("CLERK_API_URL") + "/v1"),
		Key:        clerk.String(os.Getenv("CLERK_SECRET_KEY")),
	}}
	users := user.NewClient(config)
	authenticated := clerkhttp.RequireHeaderAuthorization(
		clerkhttp.JWKSClient(jwks.NewClient(config)),
		clerkhttp.AuthorizedPartyMatches(strings.Split(os.Getenv("CLERK_AUTHORIZED_PARTIES"), ",")...),
	)
	return authenticated(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := clerk.SessionClaimsFromContext(r.Context())
		found, err := users.Get(r.Context(), claims.Subject)
		if err != nil {
			http.Error(w, "the user could not be loaded", http.StatusInternalServerError)
			return
		}
		answer := struct {
			UserID string `json:"userId"`
			Email  string `json:"email"`
		}{UserID: found.ID}
		for _, address := range found.EmailAddresses {
			if found.PrimaryEmailAddressID != nil && address.ID == *found.PrimaryEmailAddressID {
				answer.Email = address.EmailAddress
			}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
	})), nil
}
