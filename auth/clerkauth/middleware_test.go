package clerkauth_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
)

// serve starts the handler and returns a function that gets it with the value
// of an Authorization header.
func serve(t *testing.T, handler http.Handler) func(authorization string) (*http.Response, string) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return func(authorization string) (*http.Response, string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		if authorization != "" {
			request.Header.Set("Authorization", authorization)
		}
		response, err := server.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response, string(body)
	}
}

// greet answers with the caller's user id.
var greet = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	if caller, ok := clerkauth.FromContext(r.Context()); ok {
		_, _ = io.WriteString(w, caller.UserID)
		return
	}
	_, _ = io.WriteString(w, "nobody")
})

func TestMiddleware(t *testing.T) {
	f := newFixture(t)
	get := serve(t, f.authenticator.Middleware(greet, nil))
	for _, test := range []struct {
		name, authorization string
		status              int
		body                string
	}{
		{"calls the handler with the caller", "Bearer " + f.token(t, "user_ada"), 200, "user_ada"},
		{"refuses a request without a token", "", 401, ""},
		{"refuses another scheme", "Basic " + f.token(t, "user_ada"), 401, ""},
		{"refuses a token that is none", "Bearer hello", 401, ""},
		{"refuses a banned user", "Bearer " + f.token(t, "user_banned"), 401, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			response, body := get(test.authorization)
			if response.StatusCode != test.status || body != test.body {
				t.Errorf("%s %q, want %d %q", response.Status, body, test.status, test.body)
			}
			if got := response.Header.Get("WWW-Authenticate"); (got == "Bearer") != (test.status == 401) {
				t.Errorf("WWW-Authenticate: %q", got)
			}
		})
	}
}

func TestMiddlewareWhileClerkFails(t *testing.T) {
	for fault, want := range map[int]int{500: 503, 401: 500} {
		f := newFixture(t)
		f.clerk.SetFault("", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: fault})
		response, body := serve(t, f.authenticator.Middleware(greet, nil))("Bearer " + f.token(t, "user_ada"))
		if response.StatusCode != want || body != "" {
			t.Errorf("Clerk answers %d: %s %q, want %d", fault, response.Status, body, want)
		}
	}
}

func TestMiddlewareLetsTheApplicationAnswer(t *testing.T) {
	f := newFixture(t)
	get := serve(t, f.authenticator.Middleware(greet, func(w http.ResponseWriter, r *http.Request, err *clerkauth.Error) {
		if err.Reason == clerkauth.ReasonMissingToken {
			greet(w, r)
			return
		}
		http.Error(w, "sign in first", err.HTTPStatus())
	}))
	if response, body := get(""); response.StatusCode != 200 || body != "nobody" {
		t.Errorf("%s %q", response.Status, body)
	}
	if response, body := get("Bearer hello"); response.StatusCode != 401 || body != "sign in first\n" {
		t.Errorf("%s %q", response.Status, body)
	}
}

func TestHTTPStatus(t *testing.T) {
	for kind, want := range map[clerkauth.Kind]int{
		clerkauth.Unauthenticated: 401, clerkauth.Unavailable: 503, clerkauth.Misconfigured: 500, clerkauth.Canceled: 499, 0: 500,
	} {
		if got := (&clerkauth.Error{Kind: kind}).HTTPStatus(); got != want {
			t.Errorf("kind %d: %d, want %d", kind, got, want)
		}
	}
}

func TestFromContext(t *testing.T) {
	if caller, ok := clerkauth.FromContext(context.Background()); ok || caller != nil {
		t.Errorf("%v in an empty context", caller)
	}
	if _, ok := clerkauth.FromContext(clerkauth.NewContext(context.Background(), nil)); ok {
		t.Error("a nil caller is authenticated")
	}
	want := &clerkauth.Caller{UserID: "user_ada"}
	if caller, ok := clerkauth.FromContext(clerkauth.NewContext(context.Background(), want)); !ok || caller != want {
		t.Errorf("%v, %v", caller, ok)
	}
}
