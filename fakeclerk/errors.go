package fakeclerk

import (
	"errors"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"

	"encore.app/fakeclerk/fakesvix"
	"encore.app/fakeclerk/faulty"
)

// apiError is an answer that is not a success, and an error of the methods of
// [Server].
type apiError struct {
	status     int
	code       string        // "": the answer is plain text, for a person
	message    string        // Clerk's long one
	param      string        // the parameter that is wrong
	retryAfter time.Duration // 0: no Retry-After
}

func (e *apiError) Error() string { return "fakeclerk: " + e.message }

// body is Clerk's error body: https://clerk.com/docs/errors/overview.
func (e *apiError) body() []byte {
	described := object{"code": e.code, "message": e.message, "long_message": e.message}
	if e.param != "" {
		described["meta"] = object{"param_name": e.param}
	}
	body, _ := json.Marshal(object{"errors": []object{described}, "clerk_trace_id": newID("trace")}, json.Deterministic(true)) // strings always encode
	return body
}

// errorAnswer makes the answer of an error, and of nil none.
func errorAnswer(err error) *faulty.Answer {
	var wrong *apiError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fakesvix.ErrUnknownMessage):
		wrong = errNotFound(err.Error())
	case !errors.As(err, &wrong):
		wrong = newError(http.StatusInternalServerError, "internal_clerk_error", err.Error())
	case wrong.code == "":
		return &faulty.Answer{Status: wrong.status, ContentType: "text/plain; charset=utf-8", Body: []byte(wrong.message + "\n")}
	}
	return &faulty.Answer{Status: wrong.status, ContentType: "application/json", RetryAfter: wrong.retryAfter, Body: wrong.body()}
}

// Errors of the methods of [Server], for [errors.Is].
var (
	ErrUnknownUser         error = errNotFound("No user was found.")
	ErrUserExists          error = errParam("form_identifier_exists", "email_address", "That id or email address is taken. Please try another.")
	ErrUnknownSession      error = errNotFound("No session was found.")
	ErrUnknownOrganization error = errNotFound("No organization was found.")
	ErrOrganizationExists  error = errParam("form_identifier_exists", "slug", "That id or slug is taken. Please try another.")
	ErrUnknownMembership   error = errNotFound("The user is not a member of the organization.")
	ErrMembershipExists    error = newError(http.StatusBadRequest, "already_a_member_in_organization", "User is already a member of the organization")
	ErrLastAdmin           error = newError(http.StatusBadRequest, "organization_minimum_permissions_needed",
		"There has to be at least one organization member with the minimum required permissions")
	ErrOrganizationsDisabled error = newError(http.StatusForbidden, "organization_not_enabled_in_instance", "The organizations feature is not enabled for this instance. You can enable it at https://dashboard.clerk.com.")
	ErrUnknownToken          error = errNotFound("No token was found.")
)

func newError(status int, code, message string) *apiError {
	return &apiError{status: status, code: code, message: message}
}

func errNotFound(message string) *apiError {
	return newError(http.StatusNotFound, "resource_not_found", message)
}

func errForbidden(message string) *apiError {
	return newError(http.StatusForbidden, "authorization_invalid", message)
}

func errBody(problem error) *apiError {
	return newError(http.StatusBadRequest, "request_body_invalid", "The request body is invalid: "+problem.Error())
}

// errParam is a 422 about one parameter, such as code "form_param_missing".
func errParam(code, name, message string) *apiError {
	err := newError(http.StatusUnprocessableEntity, code, message)
	err.param = name
	return err
}

func errMissing(name string) *apiError {
	return errParam("form_param_missing", name, name+" must be included.")
}

// errStatus is what Clerk answers with a status when something is wrong that no
// handler here decides.
func errStatus(status int) *apiError {
	switch status {
	case http.StatusUnauthorized:
		return newError(status, "clerk_key_invalid", "The provided Clerk Secret Key is invalid. Make sure that your Clerk Secret Key is correct.")
	case http.StatusNotFound:
		return errNotFound("Resource not found")
	case http.StatusTooManyRequests:
		return newError(status, "too_many_requests", "Too many requests. Please try again in a bit.")
	default:
		return newError(status, "internal_clerk_error", "There was an internal error on our servers.")
	}
}
