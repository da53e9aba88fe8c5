package access

import (
	"encoding/json"
	"errors"
	"net/http"

	"encore.dev/beta/errs"
)

// WriteError answers a request with an error in Encore's shape, for servers
// other than Encore. One that is no [*errs.Error] is a mistake of ours, and the
// client learns nothing of it.
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

// maxBodyBytes is the longest request body that is read.
const maxBodyBytes = 64 << 10

// ReadBody decodes a request's body, a JSON value. It returns nil or an
// [*errs.Error] with the code InvalidArgument.
func ReadBody(r *http.Request, into any) error {
	if json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxBodyBytes)).Decode(into) != nil {
		return &errs.Error{Code: errs.InvalidArgument, Message: "request body is not valid"}
	}
	return nil
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false) // nor does Encore
	_ = encoder.Encode(body)     // the client may be gone
}
