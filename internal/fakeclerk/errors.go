package fakeclerk

import (
	"encoding/json"
	"net/http"
	"time"
)

// apiError is an answer that is not a success, and an error of the methods of
// [Server].
type apiError struct {
	status      int
	code        string
	message     string
	longMessage string        // "": message
	param       string        // the parameter that is wrong
	retryAfter  time.Duration // 0: no Retry-After
}

func (e *apiError) Error() string { return "fakeclerk: " + e.message }

// body is Clerk's error body: https://clerk.com/docs/errors/overview.
func (e *apiError) body() []byte {
	described := object{"code": e.code, "message": e.message, "long_message": e.longMessage}
	if e.longMessage == "" {
		described["long_message"] = e.message
	}
	if e.param != "" {
		described["meta"] = object{"param_name": e.param}
	}
	body, _ := json.Marshal(object{"errors": []object{described}, "clerk_trace_id": newID("trace")}) // strings always encode
	return body
}

// Errors of the methods of [Server], for [errors.Is].
var (
	ErrUnknownUser         error = errNotFound("No user was found.")
	ErrUserExists          error = errParam("form_identifier_exists", "email_address", "That id or email address is taken. Please try another.")
	ErrUnknownSession      error = errNotFound("No session was found.")
	ErrUnknownOrganization error = errNotFound("No organization was found.")
	ErrOrganizationExists  error = errParam("form_identifier_exists", "slug", "That id or slug is taken. Please try another.")
	ErrUnknownMembership   error = errNotFound("The user is not a member of the organization.")
	ErrMembershipExists    error = &apiError{
		status: http.StatusBadRequest, code: "already_a_member_in_organization",
		message: "already a member", longMessage: "User is already a member of the organization",
	}
	ErrLastAdmin error = &apiError{
		status: http.StatusBadRequest, code: "organization_minimum_permissions_needed", message: "missing critical permissions",
		longMessage: "There has to be at least one organization member with the minimum required permissions",
	}
	ErrUnknownToken   error = errNotFound("No token was found.")
	ErrUnknownMessage error = errNotFound("No webhook message was found.")
)

var (
	errUserBanned = &apiError{status: http.StatusForbidden, code: "user_banned", message: "User is banned", longMessage: "This user is banned."}
	errNoKey      = &apiError{
		status: http.StatusUnauthorized, code: "authorization_header_format_invalid", message: "Invalid Authorization header format",
		longMessage: `Invalid Authorization header format. Must be "Bearer <YOUR_API_KEY>"`,
	}
)

func errNotFound(longMessage string) *apiError {
	return &apiError{status: http.StatusNotFound, code: "resource_not_found", message: "not found", longMessage: longMessage}
}

func errForbidden(message string) *apiError {
	return &apiError{status: http.StatusForbidden, code: "authorization_invalid", message: message}
}

func errBody(problem error) *apiError {
	return &apiError{
		status: http.StatusBadRequest, code: "request_body_invalid", message: "Request body invalid",
		longMessage: "The request body is invalid: " + problem.Error(),
	}
}

// errParam is a 422 about one parameter, such as code "form_param_missing".
func errParam(code, name, longMessage string) *apiError {
	return &apiError{
		status: http.StatusUnprocessableEntity, code: code, message: name + " is invalid", longMessage: longMessage, param: name,
	}
}

func errMissing(name string) *apiError {
	return errParam("form_param_missing", name, name+" must be included.")
}

// errStatus is what Clerk answers with a status when something is wrong that no
// handler here decides.
func errStatus(status int) *apiError {
	switch status {
	case http.StatusUnauthorized:
		return &apiError{
			status: status, code: "clerk_key_invalid",
			message: "The provided Clerk Secret Key is invalid. Make sure that your Clerk Secret Key is correct.",
		}
	case http.StatusNotFound:
		return errNotFound("Resource not found")
	case http.StatusTooManyRequests:
		return &apiError{status: status, code: "too_many_requests", message: "Too many requests. Please try again in a bit."}
	default:
		return &apiError{
			status: status, code: "internal_clerk_error", message: "Oops, an unexpected error occurred",
			longMessage: "There was an internal error on our servers.",
		}
	}
}
