//go:build docs

// Package e2e has the test over HTTP that docs/testing.md shows.
package e2e

import (
	"net/http"
	"testing"

	"encore.app/authtest"
	"encore.app/fakeclerk"
)

func TestProfile(t *testing.T) {
	clerk := authtest.StartClerk(t)
	api := clerk.EncoreRun("..")
	token := clerk.Token("user_ada", fakeclerk.ActiveOrganization("analytical"))

	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, api+"/user/profile", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("status %d", response.StatusCode)
	}
}
