package clerkauth

import (
	"os"
	"strings"
)

// ReadEnvironment has the environment's variables win over the options, by the
// names that Clerk's own SDKs read: CLERK_SECRET_KEY, CLERK_JWT_KEY and
// CLERK_API_URL; and two alike, CLERK_ISSUER and CLERK_AUTHORIZED_PARTIES, which
// has commas between its origins. It is for a developer's machine: a deployed
// app should not be pointed at anything but Clerk by its environment.
func (o *Options) ReadEnvironment() {
	for name, into := range map[string]*string{
		"CLERK_SECRET_KEY": &o.SecretKey,
		"CLERK_JWT_KEY":    &o.JWTKey,
		"CLERK_API_URL":    &o.APIURL,
		"CLERK_ISSUER":     &o.Issuer,
	} {
		if value, ok := os.LookupEnv(name); ok {
			*into = value
		}
	}
	if parties, ok := os.LookupEnv("CLERK_AUTHORIZED_PARTIES"); ok {
		o.AuthorizedParties = strings.FieldsFunc(parties, func(r rune) bool { return r == ',' || r == ' ' })
	}
}
