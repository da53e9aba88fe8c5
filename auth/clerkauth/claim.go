package clerkauth

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

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
func isHostname(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-':
		default:
			return false
		}
	}
	return s != ""
}
