package fakeclerk

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// maxBody bounds what a request may send, in bytes.
const maxBody = 1 << 20

// bufferBody reads the body of a request now, so that it can be read later.
func bufferBody(r *http.Request) {
	body, _ := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody)) // the handler meets the error again
	r.Body = io.NopCloser(bytes.NewReader(body))
}

// decode reads a JSON or form-encoded body into target. What is not in the body
// stays as it is. No body, and the "null" that Clerk's Go SDK sends for none,
// change nothing.
func decode(r *http.Request, target any) error {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	if err != nil {
		return errBody(err)
	}
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if mediaType == "application/x-www-form-urlencoded" {
		if body, err = formToJSON(string(body)); err != nil {
			return errBody(err)
		}
	}
	if len(body) == 0 {
		return nil
	}
	var wrongType *json.UnmarshalTypeError
	err = json.Unmarshal(body, target)
	switch {
	case errors.As(err, &wrongType):
		return errParam("form_param_format_invalid", wrongType.Field, wrongType.Field+" has the wrong type.")
	case err != nil:
		return errBody(err)
	}
	return nil
}

// with makes a handler of one that takes the decoded body.
func with[P any](answer func(*http.Request, P) (any, error)) handler {
	return func(r *http.Request) (any, error) {
		var p P
		if err := decode(r, &p); err != nil {
			return nil, err
		}
		return answer(r, p)
	}
}

// formToJSON makes "name=a" a string and "name[]=a&name[]=b" a list.
func formToJSON(body string) ([]byte, error) {
	form, err := url.ParseQuery(body)
	if err != nil {
		return nil, err
	}
	fields := make(map[string]any, len(form))
	for name, values := range form {
		if base, isList := strings.CutSuffix(name, "[]"); isList {
			fields[base] = values
		} else {
			fields[name] = values[0]
		}
	}
	return json.Marshal(fields)
}

// withControl is [with] for a control request. An unknown field is an error: it
// would be a misspelt one that does nothing.
func withControl[P any](answer func(*http.Request, P) (any, error)) handler {
	return func(r *http.Request) (any, error) {
		var p P
		decoder := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxBody))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&p); err != nil && !errors.Is(err, io.EOF) {
			return nil, errBody(err)
		}
		return answer(r, p)
	}
}
