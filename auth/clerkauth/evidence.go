package clerkauth

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
)

const (
	// maxEvidenceBytes bounds each text of [Error.Evidence], before control
	// characters are written out.
	maxEvidenceBytes = 120
	// maxEvidenceKeys is how many key ids are named. Clerk lists one or two.
	maxEvidenceKeys = 5
)

// Evidence returns what a refusal rests on, such as the azp of a token whose
// origin is not listed: names and values in turn, for a line of a log. A value is
// a number, a bool or printable ASCII text of bounded length, and no text has the
// part of an address before its "@", or a URL's query. Where [Error.Unverified]
// holds, anybody may have written the text.
func (e *Error) Evidence() []any {
	evidence := slices.Clone(e.evidence)
	for i := 1; i < len(evidence); i += 2 {
		switch value := evidence[i].(type) {
		case string:
			evidence[i] = printable(value)
		case *keySet:
			evidence[i] = value.ids()
		}
	}
	return evidence
}

// Lookup returns one value of the evidence as it is, nil where there is none.
func (e *Error) Lookup(name string) any {
	for i := 1; i < len(e.evidence); i += 2 {
		if e.evidence[i-1] == name {
			return e.evidence[i]
		}
	}
	return nil
}

// Unverified reports whether a token was refused before its signature was
// verified: then anybody can cause the refusal.
func (e *Error) Unverified() bool {
	switch e.Reason {
	case ReasonMissingToken, ReasonTooLarge, ReasonMalformed, ReasonNotSessionToken, ReasonInvalidAlgorithm,
		ReasonUnknownKey, ReasonInvalidSignature, ReasonTokenTypeMismatch, ReasonUnknownSecret, ReasonVerificationRefused:
		return true
	}
	return false
}

// printable makes text from outside fit for a log.
func printable(s string) string {
	const more = "..."
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		s = more + s[at:]
	}
	s, _, cut := strings.Cut(strings.ReplaceAll(s, "#", "?"), "?")
	if len(s) > maxEvidenceBytes {
		s, cut = s[:maxEvidenceBytes], true
	}
	quoted := strconv.QuoteToASCII(s)
	s = quoted[1 : len(quoted)-1]
	if cut {
		s += more
	}
	return s
}

// ids lists the key ids of a set.
func (s *keySet) ids() string {
	ids := slices.Sorted(maps.Keys(s.byID))
	for i := range ids {
		ids[i] = printable(ids[i])
	}
	if len(ids) > maxEvidenceKeys {
		ids = append(ids[:maxEvidenceKeys], "...")
	}
	return strings.Join(ids, " ")
}

// malformedClaim names the claim that could not be read, "" if it is not known.
func malformedClaim(err error) string {
	var mismatch *json.SemanticError
	if errors.As(err, &mismatch) {
		return strings.TrimPrefix(string(mismatch.JSONPointer), "/")
	}
	return ""
}

func refuseMalformed(text string) *Error {
	if what := sent(text); what != "" {
		return refuse(ReasonMalformed, "sent", what)
	}
	return refuse(ReasonMalformed)
}

// sent says what a text is that came in a token's place, "" if that is not known.
// Frontends send each of these by an ordinary mistake.
func sent(text string) string {
	switch text {
	case "undefined", "null", "NaN", "true", "false", "[object Object]", "[object Promise]":
		return "Bearer " + text
	}
	for _, known := range []struct{ prefix, what string }{
		{"pk_", "a publishable key"},
		{"sk_", "a secret key"},
		{"whsec_", "a webhook signing secret"},
		{"sess_", "a session id"},
		{"user_", "a user id"},
		{"Bearer ", "the word Bearer twice"},
		{`"`, "a token in quotes"},
		{"'", "a token in quotes"},
		{"$", "a placeholder"},
		{"<", "a placeholder"},
		{"{", "a placeholder"},
		{"async ", "a function"},
		{"function", "a function"},
		{"() =>", "a function"},
	} {
		if strings.HasPrefix(text, known.prefix) {
			return known.what
		}
	}
	if dots := strings.Count(text, "."); strings.HasPrefix(text, "ey") && dots != 2 {
		return "a JWT with " + strconv.Itoa(dots+1) + " parts instead of 3"
	}
	return ""
}
