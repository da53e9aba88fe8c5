// Package origin decides which origins of frontends are accepted, for the azp
// claim of tokens.
//
//	configured                     accepted
//	nothing                        every origin, and none
//	https://app.example.com        the same, exactly
//	https://*.preview.example.com  one label in the place of the star
//	allowMissing                   also no origin
package origin

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/net/publicsuffix"

	"encore.app/auth/clerkauth/setting"
)

// List is a set of origins.
type List struct {
	any          bool // none is configured
	allowMissing bool
	origins      map[string]bool
	wildcards    []wildcard
}

// wildcard is an origin with one label left open, such as
// https://*.preview.example.com.
type wildcard struct {
	scheme string // "https://"
	suffix string // ".preview.example.com", with the port if there is one
}

// New returns the list of the configured origins, or an error that says what is
// wrong with one of them.
func New(origins []string, allowMissing bool) (List, error) {
	p := List{any: len(origins) == 0, allowMissing: allowMissing, origins: map[string]bool{}}
	for _, origin := range origins {
		if err := p.add(origin); err != nil {
			return p, fmt.Errorf("has %s, which %w", setting.Shown(origin), err)
		}
	}
	return p, nil
}

func (p *List) add(party string) error {
	if err := setting.Origin(party); err != nil {
		return err
	}
	if !strings.Contains(party, "*") {
		p.origins[party] = true
		return nil
	}
	u, err := url.Parse(party)
	if err != nil {
		return err
	}
	base := strings.TrimPrefix(u.Hostname(), "*.")
	if _, err := netip.ParseAddr(base); err == nil {
		return errors.New("has a wildcard before an address")
	}
	if !setting.Loopback(base) {
		if u.Scheme != "https" {
			return errors.New("has a wildcard without https")
		}
		if suffix, _ := publicsuffix.PublicSuffix(base); suffix == base {
			return errors.New("has a wildcard under which anybody can register a name")
		}
	}
	p.wildcards = append(p.wildcards, wildcard{scheme: u.Scheme + "://", suffix: u.Host[len("*"):]})
	return nil
}

// Accept compares an azp claim, "" where the token has none.
func (p *List) Accept(azp string) bool {
	switch {
	case p.any:
		return true
	case azp == "":
		return p.allowMissing
	case p.origins[azp]:
		return true
	}
	for _, w := range p.wildcards {
		if w.matches(azp) {
			return true
		}
	}
	return false
}

// matches compares an origin as browsers write it (RFC 6454, section 6.2): in
// lower case, without a user, a path or the scheme's own port.
func (w wildcard) matches(origin string) bool {
	rest, ok := strings.CutPrefix(origin, w.scheme)
	if !ok {
		return false
	}
	label, ok := strings.CutSuffix(rest, w.suffix)
	return ok && isLabel(label)
}

// isLabel reports whether s is one label of a host name (RFC 1123, section 2.1).
func isLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-':
		default:
			return false
		}
	}
	return true
}
