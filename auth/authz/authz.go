// Package authz decides in plain Go who may call an endpoint, and which error
// and which log line each refusal becomes.
//
// The Encore services and the net/http server of internal/standalone are thin
// layers around it. It uses types of encore.dev, which work everywhere, and
// calls nothing that needs Encore's runtime.
package authz

import (
	"context"
	"errors"
	"strings"

	"encore.dev/beta/errs"

	"encore.app/auth/clerkauth"
)

// Logger takes log lines: a message, then keys and values in turn. A
// [log/slog.Logger] is one.
type Logger interface {
	Info(message string, keysAndValues ...any)
	Warn(message string, keysAndValues ...any)
	Error(message string, keysAndValues ...any)
}

// Authenticate sets caller to the caller whose token is in an Authorization
// header's value. An error is an [*errs.Error] for the client.
func Authenticate(ctx context.Context, a *clerkauth.Authenticator, authorization string, caller *clerkauth.Caller, log Logger) error {
	token, err := clerkauth.BearerToken(authorization)
	if err != nil {
		return Error(err, log)
	}
	if *caller, err = a.Authenticate(ctx, token); err != nil {
		return Error(err, log)
	}
	processWarnings.accepted.Add(1)
	return nil
}

// Unauthenticated is the answer to a request without a signed-in caller.
func Unauthenticated() error {
	return &errs.Error{Code: errs.Unauthenticated, Message: "not signed in"}
}

// Error turns an error of clerkauth into the [*errs.Error] for the client, and
// logs the reason. The client's message does not depend on the reason. A reason
// that points at the operator is logged with the setting to change ([Hint]).
//
// The code decides more than the HTTP status. On a public endpoint Encore
// treats Unauthenticated as "no caller" and still runs the endpoint; any other
// code fails the request.
func Error(err error, log Logger) error {
	e := clerkauth.AsError(err)
	switch e.Kind {
	case clerkauth.Unauthenticated:
		processLines.write(log.Info, "not signed in", "reason", e.Reason)
		processWarnings.warn(e, log)
		return Unauthenticated()
	case clerkauth.Unavailable:
		unavailable(e, log)
		return &errs.Error{Code: errs.Unavailable, Message: "temporarily unavailable, try again shortly"}
	case clerkauth.Canceled:
		return &errs.Error{Code: errs.Canceled, Message: "request canceled"}
	}
	message := "a fault in this process"
	switch e.Reason {
	case clerkauth.ReasonSecretKeyRefused, clerkauth.ReasonRequestRefused:
		message = "Clerk refuses this backend"
	case clerkauth.ReasonInvalidRequest:
		message = "no request to Clerk can be made"
	}
	processLines.write(log.Error, message, failureLine(e)...)
	return &errs.Error{Code: errs.Internal, Message: "internal error"}
}

func unavailable(e *clerkauth.Error, log Logger) {
	switch e.Reason {
	case clerkauth.ReasonPanic:
		processLines.write(log.Error, "a fault in this process", failureLine(e)...)
	case clerkauth.ReasonRateLimitShare:
		processLines.write(log.Warn, "Clerk is not asked, to stay below its rate limit", failureLine(e)...)
	default:
		processLines.write(log.Warn, "Clerk is unavailable", failureLine(e)...)
	}
}

// failureLine has the attributes of a failed call to Clerk.
func failureLine(e *clerkauth.Error) []any {
	line := append([]any{"reason", e.Reason, "cause", e.Error()}, e.Evidence()...)
	if hint := Hint(e); hint != "" {
		line = append(line, "hint", hint)
	}
	return line
}

// Require checks that the caller meets every requirement. It returns nil or an
// [*errs.Error] with the code PermissionDenied. If only a recent verification is
// lacking, the error's details hold what Clerk's useReverification looks for.
// With no requirement it denies, as has() of Clerk's SDKs does.
func Require(caller *clerkauth.Caller, log Logger, requirements ...clerkauth.Requirement) error {
	return denied(caller, caller.Require(requirements...), log)
}

// denied is the answer for an error of [clerkauth.Caller.Require]. Only nil lets
// a caller in.
func denied(caller *clerkauth.Caller, err error, log Logger) error {
	if err == nil {
		return nil
	}
	var missing *clerkauth.MissingError
	if !errors.As(err, &missing) {
		line := append([]any{"cause", err}, actor(caller)...)
		var notCarried *clerkauth.NotCarriedError
		if errors.As(err, &notCarried) {
			line = append(line, "hint", "name the claim in CarryClaims of auth/config.cue, and keep the claims below 4 KiB")
		}
		processLines.write(log.Error, "permission denied", line...)
		return &errs.Error{Code: errs.PermissionDenied, Message: "permission denied"}
	}
	processLines.write(log.Info, "permission denied", append([]any{"missing", missing.Requirement.String()}, actor(caller)...)...)
	if hint, ok := missing.Requirement.Hint(); ok {
		return &errs.Error{
			Code:    errs.PermissionDenied,
			Message: "verify again that it is you",
			Details: reverification{hint},
		}
	}
	return &errs.Error{Code: errs.PermissionDenied, Message: "requires the " + missing.Requirement.String()}
}

// actor is the attribute that names who impersonates the caller. An application
// chooses the subject of its actor tokens: one that is no id of Clerk's, such as an
// email address, is not logged.
func actor(caller *clerkauth.Caller) []any {
	if caller == nil || caller.Actor == nil {
		return nil
	}
	subject := caller.Actor.Subject
	if !strings.HasPrefix(subject, "user_") && !strings.HasPrefix(subject, "agent_") || strings.ContainsFunc(subject, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_'
	}) {
		subject = "unknown"
	}
	return []any{"actor", subject}
}

// reverification is a hint in the type that Encore wants for details.
type reverification struct{ clerkauth.Hint }

// ErrDetails implements [errs.ErrDetails].
func (reverification) ErrDetails() {}
