package fakeclerk_test

import (
	"context"
	"fmt"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/jwks"
	"github.com/clerk/clerk-sdk-go/v2/jwt"

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

	// What the code under test does with it, told nothing but the URL and the secret key.
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
