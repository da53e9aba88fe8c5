package clerkauth

import (
	"context"
	"errors"
	"net/http"

	"github.com/clerk/clerk-sdk-go/v2"
)

// Backend is the process's connection to Clerk's Backend API. Every client of
// Clerk's SDK works on it:
//
//	members := organizationmembership.Client{Backend: authenticator.Backend()}
//
// Each call has a deadline of 2.5 seconds. Calls are made within the budget
// ([Options].RateLimitShare), and sign-ins come first: a call that would take what
// they may need is not made, and its error is an [*Error] with
// [ReasonRateLimitShare]. Where calls have to wait, those for different tenants
// take turns. The tenant is the active organization of the caller in the context,
// or the caller ([NewContext]). While Clerk as a whole is failing, no call is
// made. A call that fails keeps only calls for the same thing waiting, and a 429
// calls to the same route. No call is retried.
type Backend struct {
	connection *connection
	budget     *budget
	outage     *outage   // of loading users, which tells for all
	failures   *failures // by what was asked for
	purpose    class     // of Call
}

func newBackend(o Options) *Backend {
	return &Backend{
		connection: newConnection(o),
		budget:     newBudget(o),
		outage:     &outage{now: o.Now},
		failures:   newFailures(o.Now),
		purpose:    classOther,
	}
}

// Background returns the same connection for work that nobody waits for. Its
// calls leave more of the budget to others, and wait for up to 10 seconds for
// their turn.
func (b *Backend) Background() *Backend {
	background := *b
	background.purpose = classBackground
	return &background
}

// Call implements [clerk.Backend]. Its error is an [*Error], or an [*APIError]
// if Clerk refuses the thing asked for. It ends with ctx.
func (b *Backend) Call(ctx context.Context, req *clerk.APIRequest, into clerk.ResponseReader) error {
	return b.call(ctx, b.purpose, tenant(ctx), owner(req), req, into)
}

// tenant returns whom a call is made for, "" where the context does not tell.
func tenant(ctx context.Context) string {
	caller, ok := FromContext(ctx)
	switch {
	case !ok:
		return ""
	case caller.Organization.ID != "":
		return caller.Organization.ID
	}
	return caller.Subject
}

// call is Call for a tenant, and for an owner, who alone waits after a failure.
// Without an owner ("") nobody does.
func (b *Backend) call(ctx context.Context, purpose class, tenant, owner string, req *clerk.APIRequest, into clerk.ResponseReader) error {
	if failure := b.outage.blocked(); failure != nil {
		return failure
	}
	// Clerk limits some routes on their own. What it says of one holds for it.
	route := req.Method + " " + route(req.Path)
	for _, one := range []string{route, owner} {
		if failure, _ := b.failures.of(one); failure != nil {
			return failure
		}
	}
	if !b.budget.takeSoon(ctx, purpose, tenant) {
		return errBudget
	}
	err := b.connection.call(ctx, req, into)
	var failure *Error
	switch {
	case !errors.As(err, &failure):
		b.failures.clear(owner)
		b.failures.clear(route)
	case failure.Reason == ReasonRateLimited:
		b.failures.add(route, failure)
	case failure.Kind != Canceled && owner != "":
		b.failures.add(owner, failure)
	}
	return err
}

// owner names the thing that a request is about. A request that creates or
// changes something says in its body which one.
func owner(req *clerk.APIRequest) string {
	name := "for " + req.Method + " " + req.Path
	switch {
	case req.Method == http.MethodDelete:
		return name
	case req.Method == http.MethodGet && req.Params != nil:
		return name + "?" + req.Params.ToQuery().Encode()
	case req.Method == http.MethodGet:
		return name
	}
	return ""
}
