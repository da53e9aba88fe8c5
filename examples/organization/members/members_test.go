package members_test

import (
	"errors"
	"log/slog"
	"testing"

	"encore.dev/beta/errs"
	"github.com/google/go-cmp/cmp"

	"encore.app/auth/clerkauth"
	"encore.app/examples/organization/members"
	"encore.app/fakeclerk"
)

// start returns a fake Clerk and a client that asks it.
func start(t *testing.T) (*fakeclerk.Server, *members.Client) {
	t.Helper()
	clerk, err := fakeclerk.Start(fakeclerk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = clerk.Close() })
	authenticator, err := clerkauth.New(clerkauth.Options{SecretKey: clerk.SecretKey(), APIURL: clerk.URL()})
	if err != nil {
		t.Fatal(err)
	}
	return clerk, &members.Client{Backend: authenticator.Backend(), Log: slog.New(slog.DiscardHandler)}
}

// in returns a caller whose active organization is the given one.
func in(organizationID string) *clerkauth.Caller {
	return &clerkauth.Caller{
		TokenType: clerkauth.SessionToken, Subject: "user_ada", UserID: "user_ada",
		Organization: clerkauth.Organization{ID: organizationID, Slug: "analytical", Role: "org:admin"},
	}
}

func code(err error) errs.ErrCode {
	var e *errs.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return errs.OK
}

func TestActive(t *testing.T) {
	if _, err := members.Active(in("")); code(err) != errs.PermissionDenied {
		t.Error("without an active organization it is not denied")
	}
	got, err := members.Active(in("org_analytical"))
	want := &members.Organization{ID: "org_analytical", Slug: "analytical", Role: "org:admin", Permissions: []string{}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Error(err, "-want +got\n", diff)
	}
}

func TestRemove(t *testing.T) {
	_, client := start(t)
	for _, test := range []struct {
		name, user string
		code       errs.ErrCode
	}{
		{"a member", "user_grace", errs.OK},
		{"a user who is no member", "user_noemail", errs.NotFound},
		{"the last admin", "user_ada", errs.FailedPrecondition},
		{"something else", "../user_ada", errs.NotFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := client.Remove(t.Context(), in("org_analytical"), test.user); code(err) != test.code {
				t.Error(code(err))
			}
		})
	}
}

func TestClerkFailing(t *testing.T) {
	for _, test := range []struct {
		status int
		code   errs.ErrCode
	}{{500, errs.Unavailable}, {429, errs.Unavailable}, {401, errs.Internal}} {
		clerk, client := start(t)
		clerk.SetFault("", fakeclerk.Fault{Kind: fakeclerk.FaultStatus, Status: test.status})
		if err := client.Remove(t.Context(), in("org_analytical"), "user_grace"); code(err) != test.code {
			t.Errorf("Clerk answers %d: got %v, want %v", test.status, code(err), test.code)
		}
	}
}
