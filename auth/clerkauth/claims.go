package clerkauth

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxCarriedBytes bounds the claims that are encoded with a [Caller]. The custom
// claims of every session token that fits into a cookie are shorter.
const maxCarriedBytes = 4 << 10

// allCustomClaims stands in [Options].CarryClaims for the claims that are not
// Clerk's own.
const allCustomClaims = "*"

// RawClaims are the claims of a token, undecoded. Encoding a [Caller] as JSON, as
// a framework does between services, encodes the claims that
// [Options].CarryClaims names, and the names of the custom claims left out.
type RawClaims struct {
	text    string
	encoded bool // text is base64url, as in a JWT
	carry   *carry
}

// String keeps the claims out of what is printed.
func (RawClaims) String() string { return "claims" }

// carry says which claims of a token are encoded, or were.
type carry struct {
	names   []string // of [Options].CarryClaims
	decoded bool     // the claims were encoded and decoded on the way
	omitted []string // the custom claims that were left out then
}

func newCarry(names []string) (*carry, error) {
	for _, name := range names {
		if name == "" || name != strings.TrimSpace(name) {
			return nil, fmt.Errorf("%q is not the name of a claim: write a name such as %q, or %q for all", name, "metadata", allCustomClaims)
		}
	}
	return &carry{names: slices.Clone(names)}, nil
}

// carryAll is for claims that did not come from an [Authenticator].
var carryAll = &carry{names: []string{allCustomClaims}}

// encodedClaims returns the claims of a JWT in the compact serialization.
func encodedClaims(token string) RawClaims {
	return RawClaims{text: payload(token), encoded: true}
}

// NewClaims returns claims for a [Caller] that a test makes up. Claims are a
// struct or a map that is encoded as a JSON object.
func NewClaims(claims any) (RawClaims, error) {
	text, err := json.Marshal(claims)
	if err == nil && jsontext.Value(text).Kind() != '{' {
		err = errors.New("not a JSON object")
	}
	if err != nil {
		return RawClaims{}, errors.Join(errNoClaims, err)
	}
	return RawClaims{text: string(text)}, nil
}

// Claims decodes the claims of the caller's token into a value that a JSON
// object can be decoded into: a pointer to a struct or a map. Member names match
// exactly, upper and lower case included. For an opaque machine token, the
// claims are those that it was created with.
//
// A Caller that was encoded and decoded on the way has the claims that
// [Options].CarryClaims names. Claims then returns a [*NotCarriedError] for a
// value with a field for another claim of the token, so that no claim seems to be
// absent. No error holds the value of a claim.
func (c *Caller) Claims(into any) error {
	raw, err := c.RawClaims.json()
	if err != nil {
		return err
	}
	err = json.Unmarshal(raw, into)
	var mismatch *json.SemanticError
	switch {
	case err == nil:
		return c.RawClaims.checkCarried(into)
	case errors.As(err, &mismatch):
		return &ClaimTypeError{Claim: string(mismatch.JSONPointer)}
	}
	return errNoClaims
}

var errNoClaims = errors.New("clerkauth: the caller has no claims")

// ClaimTypeError is returned by [Caller.Claims] for a claim that cannot be
// decoded into the value given for it.
type ClaimTypeError struct {
	// Claim is a JSON Pointer (RFC 6901) to the claim, such as "/metadata/level".
	Claim string
}

// Error implements error.
func (e *ClaimTypeError) Error() string {
	return "clerkauth: claim " + e.Claim + " does not fit the Go value for it"
}

// NotCarriedError is returned by [Caller.Claims] and [Caller.Require] for a claim
// that was left out when the Caller was encoded.
type NotCarriedError struct {
	// Claim is the name of the claim.
	Claim string
}

// Error implements error.
func (e *NotCarriedError) Error() string {
	return "clerkauth: claim " + e.Claim + " did not travel with the caller: CarryClaims does not name it, or it is too long"
}

// json returns the claims as a JSON object.
func (r RawClaims) json() ([]byte, error) {
	if r.text == "" {
		return nil, errNoClaims
	}
	if !r.encoded {
		return []byte(r.text), nil
	}
	raw, err := base64url.DecodeString(r.text)
	if err != nil {
		return nil, errNoClaims
	}
	return raw, nil
}

// lookup returns the value at a path of member names.
func (r RawClaims) lookup(path []string) (jsontext.Value, bool) {
	value, err := r.json()
	for _, name := range path {
		var object map[string]jsontext.Value
		if err != nil || json.Unmarshal(value, &object) != nil {
			return nil, false
		}
		var found bool
		if value, found = object[name]; !found {
			return nil, false
		}
	}
	return value, err == nil
}

// carriedClaims is the JSON form of [RawClaims].
type carriedClaims struct {
	Claims  jsontext.Value `json:"claims"`
	Omitted []string       `json:"omitted,omitempty"`
}

// MarshalJSON implements [json.Marshaler]. The result fits into an HTTP header: it
// has no control characters.
func (r RawClaims) MarshalJSON() ([]byte, error) {
	raw, err := r.json()
	if err != nil {
		return []byte("null"), nil
	}
	carried := carriedClaims{Claims: raw}
	if rule := r.rule(); rule.decoded {
		carried.Omitted = rule.omitted
	} else if carried, err = rule.choose(raw, r.encoded); err != nil {
		return []byte("null"), nil
	}
	text, err := json.Marshal(carried)
	// JSON allows DEL in a string, and net/http no DEL in a header.
	return bytes.ReplaceAll(text, []byte{0x7f}, []byte(`\u007f`)), err
}

// UnmarshalJSON implements [json.Unmarshaler].
func (r *RawClaims) UnmarshalJSON(data []byte) error {
	var carried carriedClaims
	if err := json.Unmarshal(data, &carried); err != nil {
		return errNoClaims
	}
	*r = RawClaims{text: string(carried.Claims), carry: &carry{decoded: true, omitted: carried.Omitted}}
	return nil
}

func (r RawClaims) rule() *carry {
	if r.carry == nil {
		return carryAll
	}
	return r.carry
}

// choose returns the members of raw that are carried, in their order.
func (c *carry) choose(raw []byte, jwt bool) (carriedClaims, error) {
	carried := carriedClaims{Claims: jsontext.Value("{")}
	in := jsontext.NewDecoder(bytes.NewReader(raw))
	if _, err := in.ReadToken(); err != nil {
		return carried, err
	}
	for in.PeekKind() != '}' {
		name, err := in.ReadValue()
		if err != nil {
			return carried, err
		}
		member := append(name.Clone(), ':')
		value, err := in.ReadValue()
		if err != nil {
			return carried, err
		}
		member = append(append(member, value...), ',')
		var plain string
		if err := json.Unmarshal(member[:len(name)], &plain); err != nil {
			return carried, err
		}
		custom := !jwt || !slices.Contains(standardClaims, plain)
		named := slices.Contains(c.names, plain) || custom && slices.Contains(c.names, allCustomClaims)
		switch {
		case named && len(carried.Claims)+len(member) <= maxCarriedBytes:
			carried.Claims = append(carried.Claims, member...)
		case named || custom:
			carried.Omitted = append(carried.Omitted, plain)
		}
	}
	carried.Claims = append(bytes.TrimSuffix(carried.Claims, []byte(",")), '}')
	return carried, nil
}

// standardClaims are those that Clerk itself puts into a JWT. The other fields of a
// [Caller] have their content, so CarryClaims has to name them to carry them.
var standardClaims = strings.Fields(`azp exp fva iat iss jti nbf sid sub v pla fea sts o act
	org_id org_permissions org_slug org_role client_id scope scopes`)

// missing reports whether the claim may be in the token and was left out.
func (r RawClaims) missing(name string) bool {
	rule := r.rule()
	if !rule.decoded {
		return false
	}
	_, carried := r.lookup([]string{name})
	return !carried && (slices.Contains(rule.omitted, name) || slices.Contains(standardClaims, name))
}

// checkCarried returns an error if a claim was left out for which the value has a
// field. A value that takes any claim, such as a map, gets no standard claims.
func (r RawClaims) checkCarried(into any) error {
	rule := r.rule()
	if !rule.decoded {
		return nil
	}
	names := rule.omitted
	if !takes(into, "\x00") {
		names = slices.Concat(names, standardClaims)
	}
	for _, name := range names {
		if r.missing(name) && takes(into, name) {
			return &NotCarriedError{Claim: name}
		}
	}
	return nil
}

// takes reports whether a member of that name can be decoded into such a value.
func takes(into any, name string) bool {
	object, err := json.Marshal(map[string]any{name: nil})
	if err != nil {
		return true
	}
	fresh := reflect.New(reflect.TypeOf(into).Elem()).Interface()
	return !errors.Is(json.Unmarshal(object, fresh, json.RejectUnknownMembers(true)), json.ErrUnknownName)
}

// optionalString is a string that may be absent, but not null or another type.
type optionalString struct {
	set   bool
	value string
}

var errNotString = errors.New("not a string")

// UnmarshalJSON implements [json.Unmarshaler].
func (s *optionalString) UnmarshalJSON(data []byte) error {
	if len(data) == 0 || data[0] != '"' {
		return errNotString
	}
	value, err := jsontext.AppendUnquote(nil, data)
	s.set, s.value = true, string(value)
	return err
}

// numericDate is a NumericDate of RFC 7519, section 2: seconds since 1970, cut
// to whole seconds as Clerk's JavaScript SDK does. It may be absent, not null.
type numericDate struct {
	set     bool
	seconds int64
}

// UnmarshalJSON implements [json.Unmarshaler].
func (d *numericDate) UnmarshalJSON(data []byte) error {
	seconds, err := strconv.ParseFloat(string(data), 64)
	if err != nil {
		return err // null and other types included
	}
	if !(0 <= seconds && seconds <= maxNumericDate) {
		return errors.New("date out of range")
	}
	d.set, d.seconds = true, int64(seconds)
	return nil
}

// time gives the zero time for an absent date.
func (d numericDate) time() time.Time {
	if !d.set {
		return time.Time{}
	}
	return time.Unix(d.seconds, 0)
}

// isIssuer compares iss with the configured issuer. Without one it accepts the
// Frontend API URLs that Clerk gives to instances: https://clerk.… on a
// production instance's own domain, and a development instance's.
func isIssuer(iss, configured string) bool {
	if configured != "" {
		return iss == configured
	}
	host, https := strings.CutPrefix(iss, "https://")
	return https && isHostname(host) &&
		(strings.HasPrefix(host, "clerk.") || strings.HasSuffix(host, ".clerk.accounts.dev"))
}

// isHostname reports whether s has only the characters of a host name: no port,
// no user, no path.
func isHostname(s string) bool { return s != "" && isAlphanumeric(s, ".-") }
