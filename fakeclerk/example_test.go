package fakeclerk_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/jwks"
	"github.com/clerk/clerk-sdk-go/v2/jwt"
	"github.com/clerk/clerk-sdk-go/v2/user"

	"encore.app/fakeclerk"
)

func Example() {
	server, err := fakeclerk.Start(fakeclerk.Options{})
	if err != nil {
		panic(err)
	}
	defer server.Close()

	token, err := server.SessionToken("user_ada", fakeclerk.Claim("azp", "https://app.example.com"))
	if err != nil {
		panic(err)
	}

	// The code under test does the following with it, given only the URL and
	// the secret key.
	claims, err := jwt.Verify(context.Background(), &jwt.VerifyParams{
		Token: token,
		JWKSClient: jwks.NewClient(&clerk.ClientConfig{BackendConfig: clerk.BackendConfig{
			URL: clerk.String(server.URL() + "/v1"),
			Key: clerk.String(server.SecretKey()),
		}}),
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(claims.Subject, claims.AuthorizedParty)
	fmt.Println("key fetches:", server.Requests("GET /v1/jwks"))

	// Output:
	// user_ada https://app.example.com
	// key fetches: 1
}

// A backend that is to survive what Clerk does on a bad day.
func ExampleServer_SetFault() {
	server, err := fakeclerk.Start(fakeclerk.Options{})
	if err != nil {
		panic(err)
	}
	defer server.Close()
	users := user.NewClient(&clerk.ClientConfig{BackendConfig: clerk.BackendConfig{
		URL: clerk.String(server.URL() + "/v1"), Key: clerk.String(server.SecretKey()),
	}})

	server.SetFault("GET /v1/users/{id}", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: 503})
	_, err = users.Get(context.Background(), "user_ada")
	fmt.Println("failed:", err != nil)

	server.ClearFaults()
	ada, err := users.Get(context.Background(), "user_ada")
	fmt.Println(*ada.FirstName, err)

	// Output:
	// failed: true
	// Ada <nil>
}

// A change at Clerk reaches the backend as a signed webhook.
func ExampleServer_UpdateUser() {
	received := make(chan string)
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var event struct{ Type string }
		_ = json.Unmarshal(body, &event)
		received <- event.Type
	}))
	defer backend.Close()
	server, err := fakeclerk.Start(fakeclerk.Options{WebhookURL: backend.URL})
	if err != nil {
		panic(err)
	}
	defer server.Close()

	err = server.UpdateUser("user_ada", func(u *fakeclerk.User) { u.FirstName = "Augusta" })
	fmt.Println(<-received, err)

	// Output:
	// user.updated <nil>
}
