package setting

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	whatwg "github.com/nlnwa/whatwg-url/url"
)

// clutter are characters that may surround a copied URL.
const clutter = " \t\r\n\v\f\u00a0\u200b\ufeff\"'`“”‘’„«»,;"

var (
	hostname = regexp.MustCompile(`^[a-z0-9_-]+(\.[a-z0-9_-]+)*$`)
	// appHost is the host of a scheme that is no web browser's, which no
	// browser normalizes.
	appHost = regexp.MustCompile(`^[a-z0-9._~-]+$`)
	schemes = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]*://`)
)

// Origin refuses what no browser and no app shell sends as its origin: it
// compares with the normal form of the WHATWG URL standard. The first label may
// be a *.
func Origin(value string) error {
	normal, err := normalOrigin(value)
	if err != nil {
		return err
	}
	if normal != value {
		return fmt.Errorf("no browser sends: write %q", normal)
	}
	return nil
}

func normalOrigin(value string) (string, error) {
	value = strings.Trim(value, clutter)
	if value == "" {
		return "", errors.New("is empty")
	}
	if value == "null" || strings.HasPrefix(strings.ToLower(value), "file:") {
		return "", errors.New("is no origin of its own: serve the page over https, or by a scheme of the app's own such as app://")
	}
	value = withScheme(value)
	// A * is no host's.
	scheme, rest, _ := strings.Cut(value, "://")
	base, wildcard := strings.CutPrefix(rest, "*.")
	u, err := whatwg.Parse(scheme + "://" + base)
	if err != nil || u.Hostname() == "" || strings.Contains(base, "*") || u.Port() == "0" {
		return "", errors.New("is not an origin such as https://app.example.com")
	}
	host := strings.TrimRight(u.Hostname(), ".")
	switch u.Scheme() {
	case "http", "https":
		if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err != nil && !hostname.MatchString(host) {
			return "", errors.New("is not an origin such as https://app.example.com")
		}
	default:
		if host, err = appOrigin(u.Scheme(), u.Hostname()); err != nil {
			return "", err
		}
		if wildcard {
			return "", errors.New("has a wildcard without https")
		}
	}
	if wildcard {
		host = "*." + host
	}
	if u.Port() != "" {
		host += ":" + u.Port()
	}
	return u.Scheme() + "://" + host, nil
}

// appOrigin returns the host of a scheme that an app has for itself, such as
// capacitor or chrome-extension.
func appOrigin(scheme, host string) (string, error) {
	if strings.Contains(scheme, "ttp") || strings.HasPrefix(scheme, "ht") {
		return "", errors.New("has a misspelt scheme: an origin is such as https://app.example.com")
	}
	switch scheme {
	case "ws", "wss", "ftp", "blob", "data", "about", "javascript", "chrome", "view-source":
		return "", errors.New("has a scheme whose pages have no origin: an origin is such as https://app.example.com")
	}
	if scheme == "safari-web-extension" { // has a UUID in capital letters
		if !appHost.MatchString(strings.ToLower(host)) {
			return "", errors.New("is not an origin such as safari-web-extension://UUID")
		}
		return host, nil
	}
	host = strings.ToLower(host)
	if !appHost.MatchString(host) {
		return "", errors.New("is not an origin such as capacitor://localhost")
	}
	return host, nil
}

// withScheme adds the scheme that a browser's address bar leaves out.
func withScheme(value string) string {
	if schemes.MatchString(value) {
		return value
	}
	if scheme, rest, ok := strings.Cut(value, ":"); ok && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https")) {
		return scheme + "://" + strings.TrimLeft(rest, "/")
	}
	value = strings.TrimLeft(value, "/:")
	if u, err := whatwg.Parse("http://" + value); err == nil && Loopback(u.Hostname()) {
		return "http://" + value
	}
	return "https://" + value
}

// Loopback reports whether a host is the machine itself.
func Loopback(host string) bool {
	host = strings.Trim(strings.TrimSuffix(strings.ToLower(host), "."), "[]")
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || // RFC 6761, section 6.3
		err == nil && (ip.Unmap().IsLoopback() || ip.IsUnspecified())
}

// Issuer refuses a value that is not the URL of a Frontend API, as in tokens.
// That is an origin, or the URL of a proxy such as
// https://app.example.com/__clerk. An empty issuer is none.
func Issuer(value string) error {
	trimmed := strings.Trim(value, clutter)
	if trimmed == "" {
		return nil
	}
	if _, encoded, ok := cutPublishableKey(trimmed); ok {
		if host, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(encoded, "=")); err == nil && hostname.MatchString(strings.TrimSuffix(string(host), "$")) {
			return fmt.Errorf("is the publishable key: write %q", "https://"+strings.TrimSuffix(string(host), "$"))
		}
		return errors.New("is the publishable key: write the Frontend API URL of Clerk's dashboard (API keys)")
	}
	u, err := whatwg.Parse(withScheme(trimmed))
	if err != nil || u.Scheme() != "https" && u.Scheme() != "http" {
		return errors.New("is not a URL such as https://clerk.example.com: write the Frontend API URL of Clerk's dashboard (API keys)")
	}
	origin, err := normalOrigin(u.Protocol() + "//" + u.Host())
	if err != nil || strings.Contains(origin, "*") {
		return errors.New("is not a URL such as https://clerk.example.com: write the Frontend API URL of Clerk's dashboard (API keys)")
	}
	return checkIssuer(value, origin, u)
}

func cutPublishableKey(s string) (before, encoded string, ok bool) {
	for _, prefix := range []string{"pk_test_", "pk_live_"} {
		if encoded, ok := strings.CutPrefix(s, prefix); ok {
			return prefix, encoded, true
		}
	}
	return "", "", false
}

func checkIssuer(value, origin string, u *whatwg.Url) error {
	host := strings.TrimRight(u.Hostname(), ".")
	switch host {
	case "api.clerk.com", "api.clerk.dev", "dashboard.clerk.com", "clerk.com", "www.clerk.com":
		return errors.New("is an address of Clerk's own: write the Frontend API URL of Clerk's dashboard (API keys)")
	}
	if name, ok := strings.CutSuffix(host, ".accounts.dev"); ok && !strings.HasSuffix(name, ".clerk") {
		return fmt.Errorf("is the Account Portal: write %q", "https://"+name+".clerk.accounts.dev")
	}
	if u.Scheme() == "http" && !Loopback(host) {
		origin = "https" + strings.TrimPrefix(origin, "http")
	}
	path := u.Pathname()
	for _, api := range []string{"/.well-known", "/v1"} { // what the Frontend API serves
		if before, after, ok := strings.Cut(path, api); ok && (after == "" || after[0] == '/') {
			path = before
		}
	}
	if normal := origin + strings.TrimRight(path, "/"); normal != value {
		return fmt.Errorf("is not as tokens have it: write %q", normal)
	}
	return nil
}

// APIURL returns the URL of a Backend API, without the version at its end.
func APIURL(value string) (string, error) {
	value = strings.TrimSpace(value)
	u, err := whatwg.Parse(value)
	switch {
	case strings.ContainsAny(value, "\"'`“”‘’"):
		return "", errors.New("is in quotes: write it without them")
	case err != nil || u.Scheme() != "https" && u.Scheme() != "http" || !schemes.MatchString(value):
		return "", errors.New("is not an http or https URL: write https://api.clerk.com")
	case u.Username() != "" || u.Password() != "" || u.Query() != "" || u.Fragment() != "":
		return "", errors.New("has more than a host and a path: write https://api.clerk.com")
	}
	path := strings.TrimRight(u.Pathname(), "/")
	path = strings.TrimRight(strings.TrimSuffix(path, "/v1"), "/")
	if strings.Contains(path+"/", "/v1/") {
		return "", errors.New("has a route behind /v1: write https://api.clerk.com")
	}
	return u.Protocol() + "//" + u.Host() + path, nil
}
