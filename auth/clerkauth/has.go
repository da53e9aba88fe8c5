package clerkauth

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Requirement is something that a caller may have or lack: a role, a permission, a
// feature, a plan, a claim, or a recent verification. For machines it is a scope,
// and for both a kind of token.
type Requirement struct {
	kind           requirementKind
	name           string
	values         string // of a claim: canonical JSON, one a line
	reverification Reverification
}

type requirementKind uint8

const (
	requireRole requirementKind = iota + 1
	requirePermission
	requireFeature
	requirePlan
	requireReverification
	requireScope
	requireTokenType
	requireClaim
	requireInPerson
)

// Role requires a role in the active organization: "org:admin", or "admin" for
// short.
func Role(role string) Requirement { return Requirement{kind: requireRole, name: role} }

// Permission requires a custom permission in the active organization:
// "org:teams:manage", or "teams:manage" for short. System permissions are never
// in a session token, so requiring one always fails.
func Permission(permission string) Requirement {
	return Requirement{kind: requirePermission, name: permission}
}

// Feature requires a feature of the active organization ("org:dashboard") or of
// the user ("user:export"), or of either ("dashboard").
func Feature(feature string) Requirement { return Requirement{kind: requireFeature, name: feature} }

// Plan requires a plan of the active organization ("org:gold") or of the user
// ("user:pro"), or of either ("gold").
func Plan(plan string) Requirement { return Requirement{kind: requirePlan, name: plan} }

// Claim requires that a claim of the session token is one of the values, or a list
// with one of them in it. The name is a path: Claim("metadata.role", "admin") is
// about the member role of the claim metadata. A name with a dot in it is written
// as a JSON Pointer (RFC 6901): "/https:~1~1example.com~1role".
//
// Strings match exactly, and numbers by value. An absent claim never matches. A
// machine never meets the requirement, because it can choose its own claims.
// Require what users cannot change: public metadata, not unsafe metadata.
func Claim(name string, values ...any) Requirement {
	r := Requirement{kind: requireClaim, name: name}
	var lines []string
	for _, value := range values {
		text, err := json.Marshal(value)
		if err == nil {
			text, err = canonical(text)
		}
		if err != nil {
			continue // no claim equals a value that JSON cannot express
		}
		lines = append(lines, string(text))
	}
	r.values = strings.Join(lines, "\n")
	return r
}

// InPerson requires that the session's user acts: neither an impersonator nor an
// agent does ([Caller].Actor). A machine never meets it.
func InPerson() Requirement { return Requirement{kind: requireInPerson} }

// Reverify requires that the user has proved who they are recently. A token
// without factor verification ages (fva) never meets it.
func Reverify(r Reverification) Requirement {
	return Requirement{kind: requireReverification, reverification: r}
}

// Scope requires a scope of a machine token, exactly. A session token has none:
// what a person may do is a matter of roles, permissions, features and plans.
//
// The scopes of an M2M token are the machines that it is for. A secret key of
// the instance verifies the tokens of all its machines, so a service that is one
// of several requires its own id: Scope("mch_…").
func Scope(scope string) Requirement { return Requirement{kind: requireScope, name: scope} }

// Accepts requires one of the kinds of token. A caller without a token never
// meets it.
func Accepts(types ...TokenType) Requirement {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = string(t)
	}
	return Requirement{kind: requireTokenType, name: strings.Join(names, typeSeparator)}
}

// typeSeparator is between the names of a Requirement of token types.
const typeSeparator = " or "

// Reverification says how recently, and with which factors, a user must have
// proved who they are. Without that factor, the session's other one counts.
type Reverification struct {
	Level Level
	// AfterMinutes is the age in minutes at which a verification is too old.
	AfterMinutes int
}

// Level says which factors have to be recent.
type Level string

// Clerk's levels of reverification.
const (
	FirstFactor  Level = "first_factor"
	SecondFactor Level = "second_factor" // the first, where the user has no second
	MultiFactor  Level = "multi_factor"  // both; the first, where the user has no second
)

// Clerk's presets of reverification.
var (
	StrictMFA = Reverification{Level: MultiFactor, AfterMinutes: 10}
	Strict    = Reverification{Level: SecondFactor, AfterMinutes: 10}
	Moderate  = Reverification{Level: SecondFactor, AfterMinutes: 60}
	Lax       = Reverification{Level: SecondFactor, AfterMinutes: 24 * 60}
)

// MarshalJSON gives what Clerk's frontend SDKs read in an error's
// metadata.reverification: the name of a preset, or level and minutes.
func (r Reverification) MarshalJSON() ([]byte, error) {
	switch r {
	case StrictMFA:
		return []byte(`"strict_mfa"`), nil
	case Strict:
		return []byte(`"strict"`), nil
	case Moderate:
		return []byte(`"moderate"`), nil
	case Lax:
		return []byte(`"lax"`), nil
	}
	return json.Marshal(struct {
		Level        Level `json:"level"`
		AfterMinutes int   `json:"afterMinutes"`
	}{r.Level, r.AfterMinutes})
}

// Has reports whether the caller meets every requirement. It decides as has()
// of Clerk's SDKs does; with no requirement it is false, as there.
func (c *Caller) Has(requirements ...Requirement) bool {
	return c.Require(requirements...) == nil
}

// Require returns a [*MissingError] unless the caller meets every requirement:
// [Caller.Has] with its reason. The error is about a reverification only if
// everything else is met: to verify again would not help a caller who lacks the
// role. For a claim that was left out when the Caller was encoded, the error is a
// [*NotCarriedError].
func (c *Caller) Require(requirements ...Requirement) error {
	if len(requirements) == 0 {
		return &MissingError{}
	}
	var stale *MissingError
	for _, r := range requirements {
		switch {
		case c.has(r):
		case r.kind == requireReverification:
			stale = &MissingError{r}
		case r.kind == requireClaim && c.leftOut(r.path()[0]):
			return &NotCarriedError{Claim: r.path()[0]}
		default:
			return &MissingError{r}
		}
	}
	if stale != nil {
		return stale
	}
	return nil
}

// MissingError is the error of [Caller.Require]: the caller is authenticated,
// and lacks something.
type MissingError struct {
	// Requirement is what the caller lacks. It is the zero Requirement, which
	// no caller meets, where nothing was required.
	Requirement Requirement
}

// Error implements error. The text names the requirement, never the caller.
func (e *MissingError) Error() string { return "clerkauth: requires " + e.Requirement.String() }

// has decides on one requirement. The requirements of a person are decided as
// in @clerk/shared, authorization.ts. A machine meets none of them, not even
// with the id of a user whose API key it has.
func (c *Caller) has(r Requirement) bool {
	switch {
	case c == nil:
		return false
	case r.kind == requireTokenType:
		return c.TokenType != "" && slices.Contains(strings.Split(r.name, typeSeparator), string(c.TokenType))
	case c.isMachine():
		return r.kind == requireScope && r.name != "" && slices.Contains(c.Scopes, r.name)
	case c.UserID == "":
		return false
	}
	switch r.kind {
	case requireRole:
		return r.name != "" && c.Organization.ID != "" && c.Organization.Role != "" && withOrg(c.Organization.Role) == withOrg(r.name)
	case requirePermission:
		return r.name != "" && c.Organization.ID != "" && slices.Contains(c.Organization.Permissions, withOrg(r.name))
	case requireFeature:
		return containsScoped(c.Features, r.name)
	case requirePlan:
		return containsScoped(c.Plans, r.name)
	case requireReverification:
		return c.FactorVerificationAge.meets(r.reverification)
	case requireClaim:
		value, ok := c.RawClaims.lookup(r.path())
		return ok && r.matches(value)
	case requireInPerson:
		return c.Actor == nil
	}
	return false
}

// leftOut reports whether a claim of the user's token was left out on the way.
func (c *Caller) leftOut(claim string) bool {
	return c != nil && !c.isMachine() && c.RawClaims.missing(claim)
}

// path splits the name of a claim.
func (r Requirement) path() []string {
	if strings.HasPrefix(r.name, "/") {
		return slices.Collect(jsontext.Pointer(r.name).Tokens())
	}
	return strings.Split(r.name, ".")
}

// matches compares a claim, and the elements of one that is a list.
func (r Requirement) matches(claim jsontext.Value) bool {
	candidates := []jsontext.Value{claim}
	if claim.Kind() == '[' {
		var elements []jsontext.Value
		if json.Unmarshal(claim, &elements) == nil {
			candidates = append(candidates, elements...)
		}
	}
	return slices.ContainsFunc(candidates, func(candidate jsontext.Value) bool {
		text, err := canonical(candidate)
		return err == nil && slices.Contains(strings.Split(r.values, "\n"), string(text))
	})
}

// canonical is RFC 8785 but for integers, which keep all their digits: ids of 64
// bits differ beyond what the RFC's float64 can tell apart.
func canonical(value jsontext.Value) (jsontext.Value, error) {
	value = value.Clone()
	err := value.Canonicalize(jsontext.CanonicalizeRawInts(false))
	return value, err
}

// withOrg begins a role or permission with exactly one "org:".
func withOrg(name string) string {
	for strings.HasPrefix(name, "org:") {
		name = name[len("org:"):]
	}
	return "org:" + name
}

// containsScoped looks for a feature or plan, with or without a scope.
func containsScoped(granted []string, wanted string) bool {
	scope, name, scoped := strings.Cut(wanted, ":")
	name, _, _ = strings.Cut(name, ":")
	if name == "" {
		name = scope
	}
	inOrganization, inUser := true, true
	if scoped {
		switch scope {
		case "o", "org", "organization":
			inUser = false
		case "u", "user":
			inOrganization = false
		default:
			return false
		}
	}
	return name != "" && slices.ContainsFunc(granted, func(element string) bool {
		scope, id, _ := strings.Cut(element, ":")
		return id == name && (inOrganization && isOrganizationScope(scope) || inUser && isUserScope(scope))
	})
}

// meets takes the other factor for one that was never verified, except that a
// second factor alone is not multi-factor.
func (age FactorVerificationAge) meets(r Reverification) bool {
	if !age.Known || r.AfterMinutes <= 0 {
		return false
	}
	fresh := func(minutes int) bool { return minutes >= 0 && minutes < r.AfterMinutes }
	hasSecond := age.SecondFactor >= 0
	switch r.Level {
	case FirstFactor:
		return fresh(age.FirstFactor)
	case SecondFactor:
		if !hasSecond {
			return fresh(age.FirstFactor)
		}
		return fresh(age.SecondFactor)
	case MultiFactor:
		if !hasSecond {
			return fresh(age.FirstFactor)
		}
		return fresh(age.FirstFactor) && fresh(age.SecondFactor)
	}
	return false
}

// String names the requirement in the words of a message to the caller.
func (r Requirement) String() string {
	switch r.kind {
	case requireRole:
		return "role " + r.name
	case requirePermission:
		return "permission " + r.name
	case requireFeature:
		return "feature " + r.name
	case requirePlan:
		return "plan " + r.name
	case requireReverification:
		return "reverification"
	case requireScope:
		return "scope " + r.name
	case requireTokenType:
		return "token type " + r.name
	case requireClaim:
		return "claim " + r.name + " " + strings.ReplaceAll(r.values, "\n", " or ")
	case requireInPerson:
		return "user in person"
	}
	return "nothing"
}

// Hint is what Clerk's frontend SDKs look for in an answer, to let the user
// verify again and then repeat the request (useReverification).
type Hint struct {
	ClerkError struct {
		Type     string `json:"type"`
		Reason   string `json:"reason"`
		Metadata struct {
			Reverification Reverification `json:"reverification"`
		} `json:"metadata"`
	} `json:"clerk_error"`
}

// Hint returns the hint for a requirement of reverification, and false for any
// other requirement.
func (r Requirement) Hint() (Hint, bool) {
	if r.kind != requireReverification {
		return Hint{}, false
	}
	var h Hint
	h.ClerkError.Type = "forbidden"
	h.ClerkError.Reason = "reverification-error"
	h.ClerkError.Metadata.Reverification = r.reverification
	return h, true
}
