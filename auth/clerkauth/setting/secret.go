// Package setting reads settings in the forms in which secret stores,
// environment variables and people write them. It removes what these add, and
// refuses the rest with an error that says what to write.
//
// An error reads on after the name of its setting. It never holds a secret.
package setting

import (
	"errors"
	"os"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// Env returns an environment variable without the white space around it. An
// empty variable counts as unset.
func Env(name string) (value string, ok bool) {
	value = strings.TrimSpace(os.Getenv(name))
	return value, value != ""
}

// List returns the values of a list that has commas or white space between them.
func List(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
}

// assignment is the beginning of a line of a .env, YAML or CUE file.
var assignment = regexp.MustCompile(`^(export\s+)?[A-Za-z_][A-Za-z0-9_]*\s*[=:]\s*[^/=\s]`)

// foreign names what people write in the place of a secret, by its beginning.
var foreign = []struct{ prefix, name string }{
	{"pk_", "is a publishable key, which is not secret"},
	{"whsec_", "is the signing secret of a webhook endpoint"},
	{"sk_test_", "is a secret key"},
	{"sk_live_", "is a secret key"},
	{"ak_", "is an API key of a user or an organization"},
	{"mt_", "is the token of a machine"},
	{"oat_", "is an OAuth access token"},
	{"eyJ", "is a token"},
	{"-----BEGIN", "is a key in PEM"},
	{"http", "is a URL"},
}

// Secret returns a secret without the white space around it. It has to begin
// with one of the prefixes.
func Secret(value string, prefixes ...string) (string, error) {
	value = strings.TrimSpace(value)
	if problem := secretProblem(value, prefixes); problem != "" {
		return "", errors.New(problem + ": write the value alone, " + strings.Join(prefixes, "… or ") + "…")
	}
	return value, nil
}

func secretProblem(value string, prefixes []string) string {
	prefix := prefixOf(value, prefixes)
	switch {
	case value == "":
		return "is empty"
	case strings.Contains(value, "\ufeff"):
		return "has a byte order mark"
	case strings.ContainsAny(value, "\"'`“”‘’„«»"):
		return "is in quotes"
	case prefix == "" && assignment.MatchString(value):
		return "begins with a name, as in NAME=value"
	case strings.ContainsFunc(value, unicode.IsSpace):
		return "has white space inside"
	case strings.ContainsFunc(value, unicode.IsControl):
		return "has a control character"
	case strings.ContainsFunc(value, func(r rune) bool { return r > unicode.MaxASCII }):
		return "has a character that is not ASCII, as placeholders have"
	}
	if prefix == "" {
		for _, f := range foreign {
			if strings.HasPrefix(value, f.prefix) {
				return f.name
			}
		}
		return "does not begin as it should"
	}
	rest := value[len(prefix):]
	switch {
	case rest == "" || strings.ContainsFunc(rest, notOfSecret):
		return "is incomplete, or a placeholder"
	case prefixOf(rest, prefixes) != "" || strings.Contains(rest, prefix):
		return "is there twice"
	}
	return ""
}

func prefixOf(value string, prefixes []string) string {
	for _, prefix := range prefixes {
		if strings.HasPrefix(value, prefix) {
			return prefix
		}
	}
	return ""
}

// notOfSecret reports whether Clerk's secrets, which are letters and digits or
// base64, do not have the character.
func notOfSecret(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("_-+/=", r))
}

// secretInside finds secrets in settings that are no secrets.
var secretInside = regexp.MustCompile(`sk_(test|live)_|whsec_|PRIVATE KEY|@|[?#]|^(ak|mt|oat)_|eyJ`)

// Shown returns a setting that is no secret as an error may show it: nothing of
// it if somebody wrote a secret there.
func Shown(value string) string {
	if secretInside.MatchString(value) {
		return "(not shown)"
	}
	if len(value) > 80 {
		value = value[:80] + "…"
	}
	return strconv.Quote(value)
}
