package clerkauth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
)

// Clerk is played by the fake Clerk in these examples. With Clerk itself, leave
// out APIURL and take the secret key from its dashboard.
func startExample() (*fakeclerk.Server, clerkauth.Options) {
	clerk, err := fakeclerk.Start(fakeclerk.Options{})
	if err != nil {
		panic(err)
	}
	return clerk, clerkauth.Options{
		SecretKey:         clerk.SecretKey(),
		APIURL:            clerk.URL(),
		AuthorizedParties: []string{fakeclerk.DefaultAuthorizedParty},
	}
}

func sessionToken(clerk *fakeclerk.Server, userID string, options ...fakeclerk.TokenOption) string {
	token, err := clerk.SessionToken(userID, options...)
	if err != nil {
		panic(err)
	}
	return token
}

// A token comes in, its caller comes out. The kind of an error decides the
// answer; its reason is for the log.
func Example() {
	clerk, options := startExample()
	defer clerk.Close()
	token := sessionToken(clerk, "user_ada")

	authenticator, err := clerkauth.New(options)
	if err != nil {
		panic(err)
	}
	caller, err := authenticator.Authenticate(context.Background(), token)
	fmt.Println(caller.UserID, caller.Email, err)

	foreign := sessionToken(clerk, "user_ada", fakeclerk.Claim("azp", "https://evil.example"))
	_, err = authenticator.Authenticate(context.Background(), foreign)
	var refused *clerkauth.Error
	if errors.As(err, &refused) && refused.Kind == clerkauth.Unauthenticated {
		fmt.Println("not signed in:", refused.Reason)
	}

	// Output:
	// user_ada ada@example.com <nil>
	// not signed in: invalid_authorized_party
}

// A handler of net/http behind the middleware reads the caller from the
// request's context.
func ExampleAuthenticator_Middleware() {
	clerk, options := startExample()
	defer clerk.Close()
	authenticator, err := clerkauth.New(options)
	if err != nil {
		panic(err)
	}

	profile := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, _ := clerkauth.FromContext(r.Context())
		fmt.Fprintln(w, "hello,", caller.Email)
	})
	handler := authenticator.Middleware(profile, nil)

	request := httptest.NewRequest(http.MethodGet, "/profile", nil)
	request.Header.Set("Authorization", "Bearer "+sessionToken(clerk, "user_ada"))
	response := httptest.NewRecorder()
	handler.ServeHTTP(response, request)
	fmt.Print(response.Code, " ", response.Body)

	response = httptest.NewRecorder()
	handler.ServeHTTP(response, httptest.NewRequest(http.MethodGet, "/profile", nil))
	fmt.Println(response.Code)

	// Output:
	// 200 hello, ada@example.com
	// 401
}

// Has decides as has() of Clerk's SDKs does.
func ExampleCaller_Has() {
	caller := clerkauth.Caller{
		TokenType:    clerkauth.SessionToken,
		UserID:       "user_ada",
		Organization: clerkauth.Organization{ID: "org_analytical", Role: "org:admin", Permissions: []string{"org:teams:manage"}},
		Features:     []string{"o:dashboard"},
	}
	fmt.Println(caller.Has(clerkauth.Role("org:admin")))
	fmt.Println(caller.Has(clerkauth.Permission("org:teams:manage"), clerkauth.Feature("dashboard")))
	fmt.Println(caller.Has(clerkauth.Plan("gold")))

	// Output:
	// true
	// true
	// false
}

// An endpoint that removes members takes admins who have proved within the last
// ten minutes who they are. The hint tells Clerk's frontend SDKs to let the user
// verify again.
func ExampleCaller_Require() {
	caller := clerkauth.Caller{
		TokenType:             clerkauth.SessionToken,
		UserID:                "user_ada",
		Organization:          clerkauth.Organization{ID: "org_analytical", Role: "org:admin"},
		FactorVerificationAge: clerkauth.FactorVerificationAge{Known: true, FirstFactor: 45, SecondFactor: -1},
	}
	err := caller.Require(clerkauth.Role("org:admin"), clerkauth.Reverify(clerkauth.Strict))
	var missing *clerkauth.MissingError
	if errors.As(err, &missing) {
		_, ok := missing.Requirement.Hint()
		fmt.Println(missing, "- with a hint:", ok)
	}
	fmt.Println(caller.Require(clerkauth.Role("org:owner")))

	// Output:
	// clerkauth: requires reverification - with a hint: true
	// clerkauth: requires role org:owner
}

// Claims reads what a session token was customized with.
func ExampleCaller_Claims() {
	clerk, options := startExample()
	defer clerk.Close()
	authenticator, err := clerkauth.New(options)
	if err != nil {
		panic(err)
	}
	token := sessionToken(clerk, "user_ada", fakeclerk.Claim("locale", "en-GB"))

	caller, err := authenticator.Authenticate(context.Background(), token)
	if err != nil {
		panic(err)
	}
	var claims struct {
		Locale string `json:"locale"`
	}
	fmt.Println(caller.Claims(&claims), claims.Locale)

	// Output:
	// <nil> en-GB
}
