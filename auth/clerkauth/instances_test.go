package clerkauth_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
)

// instances has an authenticator for each Clerk instance, by its issuer.
type instances map[string]*clerkauth.Authenticator

// Authenticate lets the token's issuer choose who verifies it. The claim is not
// verified yet: each authenticator compares it with its own Issuer.
func (all instances) Authenticate(ctx context.Context, token string) (clerkauth.Caller, error) {
	var claims struct {
		Issuer string `json:"iss"`
	}
	if parts := strings.Split(token, "."); len(parts) == 3 && len(token) <= clerkauth.MaxTokenBytes {
		payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
		_ = json.Unmarshal(payload, &claims)
	}
	if authenticator, ok := all[claims.Issuer]; ok {
		return authenticator.Authenticate(ctx, token)
	}
	return clerkauth.Caller{}, &clerkauth.Error{Kind: clerkauth.Unauthenticated, Reason: clerkauth.ReasonInvalidIssuer}
}

// Two Clerk instances, such as one for customers and one for staff, sign users in
// to one backend.
func ExampleAuthenticator_severalInstances() {
	all := instances{}
	var tokens []string
	for _, name := range []string{"customers", "staff"} {
		issuer := "https://clerk." + name + ".example.com"
		clerk, err := fakeclerk.Start(fakeclerk.Options{InstanceID: "ins_" + name, Issuer: issuer})
		if err != nil {
			panic(err)
		}
		defer clerk.Close()
		all[issuer], err = clerkauth.New(clerkauth.Options{
			SecretKey: clerk.SecretKey(),
			Issuer:    issuer,
			APIURL:    clerk.URL(), // not for Clerk itself
		})
		if err != nil {
			panic(err)
		}
		token, err := clerk.SessionToken("user_ada")
		if err != nil {
			panic(err)
		}
		tokens = append(tokens, token)
	}
	for _, token := range append(tokens, "not a token") {
		caller, err := all.Authenticate(context.Background(), token)
		fmt.Println(caller.UserID, err)
	}

	// Output:
	// user_ada <nil>
	// user_ada <nil>
	//  clerkauth: invalid_issuer
}
