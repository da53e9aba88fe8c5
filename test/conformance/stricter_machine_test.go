package conformance

import (
	"slices"

	"encore.app/auth/clerkauth"
)

// stricterMachine are tokens that authenticateRequest accepts where it is told
// to accept machines, and this project refuses, beside those of stricter.
var stricterMachine = []stricterCase{
	{
		"an M2M token whose payload cannot be read", []clerkauth.Reason{clerkauth.ReasonNotSessionToken, clerkauth.ReasonTokenTypeMismatch},
		`claim \w+ (twice.*|a lone surrogate)|payload with (a byte order mark|invalid UTF-8.*)`,
		"its subject alone tells that it is one, and a payload that is not JSON, or that names a claim twice, has none",
	},
	{
		"a header that the JOSE library cannot read", []clerkauth.Reason{clerkauth.ReasonMalformed},
		`header (jwk|x5c|crit) .*|header \w+ a huge number`,
		"nobody verifies with these fields, and Clerk does not send them",
	},
	{
		"scopes of the wrong type", []clerkauth.Reason{clerkauth.ReasonMalformedClaims},
		`claim scp .*`,
		"a list of scopes that is not one; in JavaScript a string is searched for the scope as a part of it",
	},
	{
		"a category that is not a string", []clerkauth.Reason{clerkauth.ReasonMalformed},
		`header cat .*`,
		"the reference does not look at the category of an OAuth access token",
	},
	{
		"a secret that was revoked or has expired", []clerkauth.Reason{clerkauth.ReasonRevoked, clerkauth.ReasonExpired},
		`(revoked|expired .*) of the type .*`,
		"the reference does not read what the answer says of that, and relies on its status",
	},
	{
		"a secret of the wrong subject", []clerkauth.Reason{clerkauth.ReasonInvalidSubject},
		`subject .* of the type .*`,
		"Clerk's API keys belong to users, organizations and machines, M2M tokens to machines and OAuth access tokens to users",
	},
	{
		"two tokens", []clerkauth.Reason{clerkauth.ReasonMalformed},
		`token twice|twice of the type .*`,
		"the reference takes the first word after the scheme, and ignores the rest",
	},
}

var machineStricter = compile(slices.Concat(stricterMachine, stricter))
