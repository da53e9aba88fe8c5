package conformance

import (
	"regexp"
	"slices"
	"strings"

	"encore.app/auth/clerkauth"
)

// stricterCase is a kind of token that @clerk/backend accepts and this project
// refuses. None of them is a session token as Clerk makes them.
type stricterCase struct {
	name    string
	reasons []clerkauth.Reason
	tokens  string // the names of the variations it stands for, a regular expression
	why     string
}

var stricter = []stricterCase{
	{
		"a date out of range", []clerkauth.Reason{clerkauth.ReasonMalformedClaims},
		`claim (exp|iat|nbf) (-[1-9]\d*|\d{12,}|-?1e\d+|a huge number|now in milliseconds)`,
		"a date before 1970 or after 9999 compares as neither past nor future in JavaScript, so such an exp never passes",
	},
	{
		"a claim of the wrong type", []clerkauth.Reason{clerkauth.ReasonMalformedClaims},
		`claim (azp|aud|exp|fea(_with_o)?|fva|iat|iss|jti|nbf|o|o\.\w+|org_\w+|sid|sts|sub|v) (null|true|false|-?[01]|1\.5|1e3|2\.\d|"2"|[\[{].*|empty|huge|a .*|an .*)`,
		"the Go SDK reads these claims into typed fields",
	},
	{
		"features without a scope", []clerkauth.Reason{clerkauth.ReasonMalformedClaims},
		`claim fea_with_o ("(o:a,b|a,o:b|o:a,,u:b|o:a,|,)"|without a scope, in version \d)`,
		"beside an organization no version of the token counts; the reference throws in version 2, and does not read them in others",
	},
	{
		"a member twice", []clerkauth.Reason{clerkauth.ReasonMalformed, clerkauth.ReasonMalformedClaims},
		`(claim|header) [\w.]+ (twice.*|with its name escaped)`, // escaped beside plain is twice, too
		"which of two counts is up to the parser; RFC 7515, section 4, and RFC 7519, section 4, let it be refused",
	},
	{
		"a claim beside its like in upper case", []clerkauth.Reason{clerkauth.ReasonMalformedClaims, clerkauth.ReasonInvalidIssuer},
		`claim [\w.]+ with another beside it in upper case`,
		"the Go SDK reads names without regard to case, and takes the last",
	},
	{
		"text that is not Unicode", []clerkauth.Reason{clerkauth.ReasonMalformed, clerkauth.ReasonMalformedClaims},
		`.* (a lone surrogate|with a byte order mark|with invalid UTF-8( in a name)?)`,
		"JavaScript puts replacement characters in, which makes different tokens the same; RFC 8259, section 8.1",
	},
	{
		"a number that no float64 holds", []clerkauth.Reason{clerkauth.ReasonMalformedClaims},
		`header \w+ a huge number`,
		"the JOSE library reads every header field",
	},
	{
		"critical header fields", []clerkauth.Reason{clerkauth.ReasonInvalidSignature, clerkauth.ReasonMalformedClaims},
		`header crit .*`,
		"crit names extensions that must be understood, and none is; RFC 7515, section 4.1.11",
	},
	{
		"a payload that is not in base64", []clerkauth.Reason{clerkauth.ReasonInvalidSignature},
		`header b64 false`,
		"RFC 7797 changes what is signed; Clerk does not use it",
	},
	{
		"a malformed key in the header", []clerkauth.Reason{clerkauth.ReasonMalformedClaims},
		`header (jwk|x5c) .*`,
		"the JOSE library reads the key; nobody verifies with it",
	},
	{
		"a key id that is not a string", []clerkauth.Reason{clerkauth.ReasonMalformed},
		`header kid .*`,
		"RFC 7515, section 4.1.4; networkless, the reference does not look at it",
	},
	{
		"no session id", []clerkauth.Reason{clerkauth.ReasonMissingSession},
		`claim sid .*|kind (ID token|JWT template.*|OAuth.*|handshake.*)`,
		"a JWT without sid belongs to no session: it is a template's, an ID token or another kind",
	},
	{
		"a subject that is no user id", []clerkauth.Reason{clerkauth.ReasonInvalidSubject},
		`claim sub .*`,
		"user ids begin with user_, and sub becomes part of a path in the Backend API",
	},
	{
		"an issuer that is not Clerk's", []clerkauth.Reason{clerkauth.ReasonInvalidIssuer},
		`claim iss .*`,
		"the Go SDK looks at iss; the reference leaves it to the key",
	},
	{
		"a token over 16 KiB", []clerkauth.Reason{clerkauth.ReasonTooLarge},
		`token of (16385|32768|65536) bytes|(claim|header) [\w.]+ huge`,
		"Clerk keeps session tokens below the 4 KiB of a cookie; the limit bounds what a request can cost",
	},
	{
		"a header over 1 KiB", []clerkauth.Reason{clerkauth.ReasonTooLarge},
		`header 1000 deep`,
		"Clerk's header has alg, kid, typ and at most cat; the limit bounds what is read before the signature",
	},
	{
		"padding", []clerkauth.Reason{clerkauth.ReasonMalformed},
		`token with (a padded|a wrongly padded|much padding in the) signature|(header|payload) signed (padded|with a padding too many)`,
		"RFC 7515, section 2, knows no padding, so that a token has one spelling",
	},
}

// stricterCases find a case by the name of a token.
type stricterCases struct {
	cases    []stricterCase
	patterns []*regexp.Regexp
}

var sessionStricter = compile(stricter)

func compile(cases []stricterCase) stricterCases {
	c := stricterCases{cases: cases}
	for _, s := range cases {
		c.patterns = append(c.patterns, regexp.MustCompile(`^(`+s.tokens+`)$`))
	}
	return c
}

// find gives the name of a token that only we refuse, "" if it has none. Of a
// combination, one variation is enough to be the cause.
func (c stricterCases) find(reason clerkauth.Reason, token string) string {
	for i, s := range c.cases {
		if slices.Contains(s.reasons, reason) && slices.ContainsFunc(strings.Split(token, " + "), c.patterns[i].MatchString) {
			return s.name
		}
	}
	return ""
}
