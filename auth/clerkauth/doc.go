// Package clerkauth authenticates requests with the tokens that Clerk issues. A
// token goes in, a caller comes out:
//
//	authenticator, err := clerkauth.New(clerkauth.Options{
//		SecretKey:         os.Getenv("CLERK_SECRET_KEY"),
//		AuthorizedParties: []string{"https://app.example.com"},
//	})
//	...
//	caller, err := authenticator.Authenticate(ctx, token)
//
// With net/http, [Authenticator.Middleware] does it for each request, and
// [FromContext] returns the caller. The package depends on no framework.
//
// # Session tokens
//
// They are verified with Clerk's Go SDK and the public keys of the instance,
// which are fetched every few minutes. What Clerk's JavaScript SDK refuses is
// refused here; the tests compare the two on thousands of tokens. The user's
// primary email address is loaded from Clerk, unless the token has an email
// claim, and refreshed in the background. So most requests wait for nothing.
//
// # Errors
//
// Every error of Authenticate is an [*Error]. Its [Kind] decides what to answer:
// a token that is not good is a 401, and a Clerk that cannot be reached is a
// 503, which signs nobody out. Its [Reason] is for the log. No error holds a
// token, a key or an email address.
//
// # What a caller may do
//
// [Caller.Has] and [Caller.Require] decide on roles, permissions, features,
// plans and reverification as has() of Clerk's SDKs does:
//
//	if err := caller.Require(clerkauth.Role("org:admin")); err != nil {
//		// a *clerkauth.MissingError: 403
//	}
//
// # Machines
//
// With [Options].AcceptsToken it also takes API keys, machine-to-machine (M2M)
// tokens and OAuth access tokens. A machine has scopes, and no role, permission,
// feature, plan or recent verification, even where it acts for a user: each
// endpoint says which kinds it takes ([Accepts]) and with which [Scope].
//
// # The connection to Clerk
//
// All calls to Clerk's Backend API share one connection, a budget below Clerk's
// rate limit, and a back-off. [Authenticator.Backend] lends it to the clients of
// Clerk's SDK. [Authenticator.StoreUser], [Authenticator.RevokeUser] and
// [Authenticator.RevokeSession] pass on what Clerk's webhooks report.
package clerkauth
