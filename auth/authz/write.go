package authz

import (
	"encoding/json"
	"errors"
	"net/http"

	"encore.dev/beta/errs"
)

// WriteError answers a request with an error in Encore's shape, for servers
// other than Encore. An error that is no [*errs.Error] is a mistake of ours,
// and its text is not sent to the client.
func WriteError(w http.ResponseWriter, err error) {
	e := &errs.Error{Code: errs.Internal, Message: "internal error"}
	errors.As(err, &e)
	write(w, e.Code.HTTPStatus(), e)
}

// WriteBody answers a request with a value as JSON, and with an empty body for
// nil.
func WriteBody(w http.ResponseWriter, body any) {
	if body != nil {
		write(w, http.StatusOK, body)
	}
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false) // nor does Encore
	_ = encoder.Encode(body)     // the client may be gone
}
