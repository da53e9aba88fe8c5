package auth

import (
	"errors"

	"encore.dev/beta/errs"
	"encore.dev/rlog"

	"encore.app/auth/clerkauth"
)

// Require is [Caller] for an endpoint that not every caller may use. It is the
// line with which the endpoint says what a caller must have:
//
//	caller, err := auth.Require(clerkauth.Role("org:admin"))
//
// A caller who lacks something gets the code PermissionDenied (403). If only a
// recent verification is lacking, the error's details hold what Clerk's
// useReverification looks for.
func Require(requirements ...clerkauth.Requirement) (*Data, error) {
	caller, err := Caller()
	if err != nil {
		return nil, err
	}
	var lacking *clerkauth.MissingError
	if !errors.As(caller.Require(requirements...), &lacking) {
		return caller, nil
	}
	missing := lacking.Requirement
	rlog.Info("permission denied", "missing", missing.String())
	if hint, ok := missing.Hint(); ok {
		return nil, &errs.Error{Code: errs.PermissionDenied, Message: "verify again that it is you", Details: reverification{hint}}
	}
	return nil, &errs.Error{Code: errs.PermissionDenied, Message: "requires the " + missing.String()}
}

// reverification is a hint as Encore wants an error's details.
type reverification struct{ clerkauth.Hint }

// ErrDetails implements [errs.ErrDetails].
func (reverification) ErrDetails() {}
