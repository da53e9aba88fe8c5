// Package guide is the handler that Clerk's documentation for Go leads to, for
// suites that compare this backend with it. Beside it are its counterparts in
// JavaScript.
package guide

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/clerk/clerk-sdk-go/v2"
	clerkhttp "github.com/clerk/clerk-sdk-go/v2/http"
	"github.com/clerk/clerk-sdk-go/v2/jwks"
	"github.com/clerk/clerk-sdk-go/v2/organizationmembership"
	"github.com/clerk/clerk-sdk-go/v2/user"
)

// Options are the handler's settings, named as in Clerk's SDKs.
type Options struct {
	SecretKey, APIURL string
	AuthorizedParties []string
	HTTPClient        *http.Client
}

// Handler serves GET /user/profile and GET /organization/members. The SDK's
// middleware verifies the token and keeps the key; everything else is asked of
// Clerk on every request.
func Handler(o Options) http.Handler {
	config := &clerk.ClientConfig{BackendConfig: clerk.BackendConfig{
		HTTPClient: o.HTTPClient,
		URL:        clerk.String(o.APIURL + "/v1"),
		Key:        clerk.String(o.SecretKey),
	}}
	authenticated := clerkhttp.RequireHeaderAuthorization(
		clerkhttp.JWKSClient(jwks.NewClient(config)),
		clerkhttp.AuthorizedPartyMatches(o.AuthorizedParties...),
	)
	mux := http.NewServeMux()
	mux.Handle("GET /user/profile", authenticated(profile(user.NewClient(config))))
	mux.Handle("GET /organization/members", authenticated(members(organizationmembership.NewClient(config))))
	return mux
}

func profile(users *user.Client) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
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
		write(w, answer)
	}
}

func members(memberships *organizationmembership.Client) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		claims, _ := clerk.SessionClaimsFromContext(r.Context())
		if !claims.HasRole("org:admin") {
			http.Error(w, "for administrators", http.StatusForbidden)
			return
		}
		params := &organizationmembership.ListParams{OrganizationID: claims.ActiveOrganizationID}
		if offset, err := strconv.ParseInt(r.URL.Query().Get("offset"), 10, 64); err == nil {
			params.Offset = &offset
		}
		list, err := memberships.List(r.Context(), params)
		if err != nil {
			http.Error(w, "the members could not be loaded", http.StatusInternalServerError)
			return
		}
		write(w, list)
	}
}

func write(w http.ResponseWriter, body any) {
	encoded, err := json.Marshal(body)
	if err != nil {
		http.Error(w, "the answer could not be written", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(encoded)
}
