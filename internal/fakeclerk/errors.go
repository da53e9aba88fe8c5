package fakeclerk

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// apiError is an answer of the Backend API that is not a success.
type apiError struct {
	status      int
	code        string
	message     string
	longMessage string
	meta        map[string]any
	retryAfter  time.Duration // 0: no Retry-After
}

func (e *apiError) Error() string { return e.code + ": " + e.longMessage }

// body is Clerk's error body: https://clerk.com/docs/errors/overview.
func (e *apiError) body() []byte {
	type clerkError struct {
		Code        string         `json:"code"`
		Message     string         `json:"message"`
		LongMessage string         `json:"long_message"`
		Meta        map[string]any `json:"meta,omitempty"`
	}
	body, err := json.Marshal(struct {
		Errors  []clerkError `json:"errors"`
		TraceID string       `json:"clerk_trace_id"`
	}{
		Errors:  []clerkError{{Code: e.code, Message: e.message, LongMessage: e.longMessage, Meta: e.meta}},
		TraceID: newID("trace"),
	})
	if err != nil { // meta is made in this package, of strings
		panic("fakeclerk: encode error body: " + err.Error())
	}
	return body
}

func errMissingKey() *apiError {
	return &apiError{
		status:      http.StatusUnauthorized,
		code:        "authorization_header_format_invalid",
		message:     "Invalid Authorization header format",
		longMessage: `Invalid Authorization header format. Must be "Bearer <YOUR_API_KEY>"`,
	}
}

func errWrongKey() *apiError {
	const message = "The provided Clerk Secret Key is invalid. Make sure that your Clerk Secret Key is correct."
	return &apiError{status: http.StatusUnauthorized, code: "clerk_key_invalid", message: message, longMessage: message}
}

func errNotFound(resource, id string) *apiError {
	return &apiError{
		status:      http.StatusNotFound,
		code:        "resource_not_found",
		message:     "not found",
		longMessage: fmt.Sprintf("No %s was found with id %s", resource, id),
	}
}

func errUnknownRoute(r *http.Request) *apiError {
	return &apiError{
		status:      http.StatusNotFound,
		code:        "resource_not_found",
		message:     "not found",
		longMessage: fmt.Sprintf("fakeclerk has no %s %s", r.Method, r.URL.Path),
	}
}

func errBody(problem error) *apiError {
	return &apiError{
		status:      http.StatusBadRequest,
		code:        "request_body_invalid",
		message:     "Request body invalid",
		longMessage: "The request body is invalid: " + problem.Error(),
	}
}

// errParam is a 422 about one parameter, such as code "form_param_missing".
func errParam(code, name, longMessage string) *apiError {
	return &apiError{
		status:      http.StatusUnprocessableEntity,
		code:        code,
		message:     name + " is invalid",
		longMessage: longMessage,
		meta:        map[string]any{"param_name": name},
	}
}

// errStatus is what Clerk answers with a status when something is wrong that no handler here decides.
func errStatus(status int) *apiError {
	switch status {
	case http.StatusUnauthorized:
		return errWrongKey()
	case http.StatusNotFound:
		return &apiError{status: status, code: "resource_not_found", message: "not found", longMessage: "Resource not found"}
	case http.StatusTooManyRequests:
		const message = "Too many requests. Please try again in a bit."
		return &apiError{status: status, code: "too_many_requests", message: message, longMessage: message}
	default:
		return &apiError{
			status:      status,
			code:        "internal_clerk_error",
			message:     "Oops, an unexpected error occurred",
			longMessage: "There was an internal error on our servers.",
		}
	}
}
