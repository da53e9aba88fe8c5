package store

import (
	"errors"
	"io"
	"reflect"
	"strings"
	"unsafe"

	jsoniter "github.com/json-iterator/go"
	"github.com/modern-go/reflect2"
)

// Encore decodes the bodies of requests with jsoniter, whose errors repeat up to
// 100 bytes around the fault. Encore logs these errors, and a body may hold
// personal data. In a process that links this package, jsoniter's errors repeat
// nothing, whatever the endpoint.
func init() { jsoniter.RegisterExtension(new(discreet)) }

type discreet struct{ jsoniter.DummyExtension }

// DecorateDecoder implements [jsoniter.Extension].
func (*discreet) DecorateDecoder(_ reflect2.Type, decoder jsoniter.ValDecoder) jsoniter.ValDecoder {
	return discreetDecoder{decoder}
}

type discreetDecoder struct{ jsoniter.ValDecoder }

var errMalformed = errors.New("malformed")

// Decode implements [jsoniter.ValDecoder].
func (d discreetDecoder) Decode(value unsafe.Pointer, from *jsoniter.Iterator) {
	d.ValDecoder.Decode(value, from)
	if from.Error != nil && from.Error != io.EOF { // callers of jsoniter compare with EOF
		from.Error = errMalformed
	}
}

// maxBody is the longest body that ReadSettings reads, in bytes. Encore has no
// limit: set one in the balancer.
const maxBody = 1 << 20

// ReadSettings reads the body of a request to save settings as Encore does, for
// other servers: each field by itself, whatever is around it, with the same
// errors.
func ReadSettings(body io.Reader) (*Settings, error) {
	content, err := io.ReadAll(io.LimitReader(body, maxBody+1))
	if err != nil {
		return nil, invalid("decode request: request_body: could not parse request body: " + err.Error())
	}
	if len(content) > maxBody { // what is cut off could hold a setting
		return nil, invalid("decode request: request_body: longer than 1 MiB")
	}
	if len(content) == 0 {
		return nil, invalid("decode request: request_body: missing request body: missing request body")
	}
	var settings Settings
	into := reflect.ValueOf(&settings).Elem()
	var failed error
	iterator := jsoniter.ParseBytes(jsoniter.ConfigDefault, content)
	for iterator.ReadObjectCB(func(_ *jsoniter.Iterator, key string) bool {
		field, known := into.Type().FieldByNameFunc(func(name string) bool { return strings.EqualFold(name, key) })
		if !known {
			iterator.SkipAndReturnBytes()
			return true
		}
		iterator.ReadVal(into.FieldByIndex(field.Index).Addr().Interface())
		if iterator.Error != nil && failed == nil {
			failed = invalid("decode request: " + field.Name + ": invalid json parameter: " + iterator.Error.Error())
		}
		return true
	}) {
	}
	return &settings, failed
}
