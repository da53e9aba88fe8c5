package authtest_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"encore.app/auth/clerkauth"
	"encore.app/authtest"
	"encore.app/fakeclerk"
)

func TestTokensOverHTTP(t *testing.T) {
	clerk := authtest.StartClerk(t)
	token := clerk.Token("user_ada", fakeclerk.ActiveOrganization("analytical"))

	authenticator, err := clerkauth.New(clerkauth.Options{
		SecretKey: clerk.SecretKey(), APIURL: clerk.URL(), AuthorizedParties: []string{fakeclerk.DefaultAuthorizedParty},
	})
	if err != nil {
		t.Fatal(err)
	}
	backend := httptest.NewServer(authenticator.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), nil))
	defer backend.Close()
	for bearer, want := range map[string]int{token: http.StatusOK, token + "x": http.StatusUnauthorized} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, backend.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+bearer)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("status %d, want %d", response.StatusCode, want)
		}
	}
}
