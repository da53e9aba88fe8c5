package fakeclerk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
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
	body, _ := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody)) // a handler meets the error again
	r.Body = io.NopCloser(bytes.NewReader(body))
}

// params are the parameters of a request body, by Clerk's names.
type params map[string]json.RawMessage

// readParams reads a JSON or form-encoded body. No body, and the "null" that Clerk's Go SDK sends for
// none, are no parameters.
func readParams(r *http.Request) (params, error) {
	r.Body = http.MaxBytesReader(nil, r.Body, maxBody)
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if mediaType == "application/x-www-form-urlencoded" {
		return readForm(r)
	}
	var p params
	if err := json.NewDecoder(r.Body).Decode(&p); err != nil && !errors.Is(err, io.EOF) {
		return nil, errBody(err)
	}
	return p, nil
}

// readForm makes "name=a" a string and "name[]=a&name[]=b" a list.
func readForm(r *http.Request) (params, error) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, errBody(err)
	}
	form, err := url.ParseQuery(string(raw))
	if err != nil {
		return nil, errBody(err)
	}
	p := make(params, len(form))
	for name, values := range form {
		var value any = values[0]
		base, isList := strings.CutSuffix(name, "[]")
		if isList || len(values) > 1 {
			value = values
		}
		encoded, err := json.Marshal(value)
		if err != nil {
			return nil, errBody(err)
		}
		p[base] = encoded
	}
	return p, nil
}

// read decodes the named parameter into target, and leaves target alone where it is absent.
func (p params) read(name string, target any) error {
	raw, ok := p[name]
	if !ok {
		return nil
	}
	err := json.Unmarshal(raw, target)
	if err == nil {
		return nil
	}
	var text string // a form has only strings: try what is in it
	if json.Unmarshal(raw, &text) == nil && json.Unmarshal([]byte(text), target) == nil {
		return nil
	}
	return errParam("form_param_format_invalid", name, fmt.Sprintf("%s has the wrong type: %v", name, err))
}

// readJSON decodes the JSON body of a Backend API request. Fields that are not in
// the body stay as they are in target.
func readJSON(r *http.Request, target any) error {
	r.Body = http.MaxBytesReader(nil, r.Body, maxBody)
	if err := json.NewDecoder(r.Body).Decode(target); err != nil && !errors.Is(err, io.EOF) {
		return errBody(err)
	}
	return nil
}

// readControl decodes the JSON body of a control request. An unknown field is an error: it would be a
// misspelt one that does nothing.
func readControl(r *http.Request, target any) error {
	r.Body = http.MaxBytesReader(nil, r.Body, maxBody)
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(target); err != nil && !errors.Is(err, io.EOF) {
		return errBody(err)
	}
	return nil
}
