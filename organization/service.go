package organization

import (
	"errors"

	"encore.dev"
	"encore.dev/beta/errs"
	"encore.dev/rlog"

	"encore.app/auth/clerkauth"
)

// secrets are set with `encore secret set`; the service auth has the same one.
var secrets struct {
	ClerkSecretKey string
}

// Service asks Clerk about organizations.
//
//encore:service
type Service struct {
	members *clerkauth.Members
}

// initService is run by Encore when the service starts. An error stops the app.
func initService() (*Service, error) {
	options := clerkauth.Options{SecretKey: secrets.ClerkSecretKey}
	if encore.Meta().Environment.Cloud == encore.CloudLocal {
		options.ReadEnvironment()
	}
	members, err := clerkauth.NewMembers(options)
	if err != nil {
		return nil, err
	}
	return &Service{members: members}, nil
}

// toEncore gives the answer for what Clerk did not do.
func toEncore(err error) error {
	switch {
	case errors.Is(err, clerkauth.ErrNotFound):
		return &errs.Error{Code: errs.NotFound, Message: "no such member"}
	case errors.Is(err, clerkauth.ErrLastAdministrator):
		return &errs.Error{Code: errs.FailedPrecondition, Message: "an organization needs an admin"}
	}
	e := clerkauth.AsError(err)
	switch e.Kind {
	case clerkauth.Unavailable:
		rlog.Warn("Clerk is unavailable", "reason", e.Reason, "cause", e.Error())
		return &errs.Error{Code: errs.Unavailable, Message: "members are unavailable, try again shortly"}
	case clerkauth.Canceled:
		return &errs.Error{Code: errs.Canceled, Message: "request canceled"}
	}
	rlog.Error("Clerk refuses this backend: set the secret ClerkSecretKey to the secret key of your Clerk instance",
		"reason", e.Reason, "cause", e.Error())
	return &errs.Error{Code: errs.Internal, Message: "internal error"}
}
