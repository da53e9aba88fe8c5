package fakeclerk

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// maxBody bounds what a request may send, in bytes.
const maxBody = 1 << 20

// decode reads a JSON or form-encoded body into target. Fields that are not in
// the body do not change. No body, and the "null" that Clerk's Go SDK sends for
// none, change nothing.
func decode(r *http.Request, target any) error {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err == nil && mediaType == "application/x-www-form-urlencoded" {
		body, err = formToJSON(string(body))
	}
	return unmarshal(body, err, target)
}

// decodeControl reads the body of a control request: JSON with any content
// type, since curl -d sends the type of a form. Durations are written "1.5s",
// and an unknown field is an error, as it would be a misspelt one that does
// nothing.
func decodeControl(r *http.Request, target any) error {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	return unmarshal(body, err, target, json.RejectUnknownMembers(true), json.WithUnmarshalers(durations))
}

var durations = json.UnmarshalFunc(func(text []byte, d *time.Duration) error {
	var written string
	err := json.Unmarshal(text, &written)
	if err == nil {
		*d, err = time.ParseDuration(written)
	}
	return err
})

// unmarshal decodes a body that was read with the given error.
func unmarshal(body []byte, err error, target any, options ...json.Options) error {
	if body = bytes.TrimSpace(body); err == nil && len(body) > 0 && string(body) != "null" {
		err = json.Unmarshal(body, target, append(options, json.MatchCaseInsensitiveNames(true))...)
	}
	var wrong *json.SemanticError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrong) && errors.Is(err, json.ErrUnknownName):
		return errParam("form_param_unknown", wrong.JSONPointer.LastToken(), wrong.JSONPointer.LastToken()+" is not a parameter.")
	case errors.As(err, &wrong):
		name := strings.TrimPrefix(string(wrong.JSONPointer), "/")
		return errParam("form_param_format_invalid", name, name+" has the wrong type.")
	default:
		return errBody(err)
	}
}

// formToJSON makes "name=a" a string and "name[]=a&name[]=b" a list.
func formToJSON(body string) ([]byte, error) {
	form, err := url.ParseQuery(body)
	if err != nil {
		return nil, err
	}
	fields := make(object, len(form))
	for name, values := range form {
		if base, isList := strings.CutSuffix(name, "[]"); isList {
			fields[base] = values
		} else {
			fields[name] = values[0]
		}
	}
	return json.Marshal(fields)
}

// with makes a handler of one that takes the decoded body.
func with[P any](answer func(*http.Request, P) (any, error)) handler { return decoded(decode, answer) }

// withControl is [with] for a control request.
func withControl[P any](answer func(*http.Request, P) (any, error)) handler {
	return decoded(decodeControl, answer)
}

func decoded[P any](decode func(*http.Request, any) error, answer func(*http.Request, P) (any, error)) handler {
	return func(r *http.Request) (any, error) {
		var p P
		if err := decode(r, &p); err != nil {
			return nil, err
		}
		return answer(r, p)
	}
}

// set makes the handler of a control request that is answered with 204.
func set[P any](do func(P)) handler {
	return withControl(func(_ *http.Request, p P) (any, error) {
		do(p)
		return nil, nil
	})
}

// done makes a handler, answered with 204, of what is done to the id in the path.
func done(do func(id string) error) handler {
	return func(r *http.Request) (any, error) { return nil, do(r.PathValue("id")) }
}

// byID makes a handler of what takes the id in the path.
func byID[V any](answer func(id string) (V, error)) handler {
	return func(r *http.Request) (any, error) { return answer(r.PathValue("id")) }
}
