// Package wrongsettings lists what people write in the place of settings. Each
// start of the app is tested with it: under Encore, standalone, and as an image.
package wrongsettings

import "reflect"

// Case is a value with which the app must not start.
type Case struct {
	// Setting is a field of auth/config.cue, or the variable of a secret.
	Setting string
	Value   any
	Says    string // part of the one line that the app ends with
}

// Set sets the case's value in a struct of settings, such as *preflight.Settings.
func (c Case) Set(settings any) {
	name := c.Setting
	if name == secretKey {
		name = "SecretKey"
	}
	reflect.ValueOf(settings).Elem().FieldByName(name).Set(reflect.ValueOf(c.Value))
}

const (
	// Secrets are recognizable: no error may hold them.
	Secret = "4eC39HqLyjWDarjtT1zdp7dc"

	secretKey  = "CLERK_SECRET_KEY"
	signingKey = "CLERK_WEBHOOK_SIGNING_SECRET"
)

// Cases returns all cases.
func Cases() []Case {
	cases := []Case{
		{secretKey, "pk_live_" + Secret, "publishable key"},
		{secretKey, "whsec_" + Secret, "webhook"},
		{secretKey, Secret, "sk_live_…"},
		{secretKey, "CLERK_SECRET_KEY=sk_live_" + Secret, "NAME=value"},
		{secretKey, `"sk_live_` + Secret + `"`, "quotes"},
		{secretKey, "'sk_live_" + Secret + "'", "quotes"},
		{secretKey, "\ufeffsk_live_" + Secret, "byte order mark"},
		{secretKey, "sk_live_" + Secret + "\x1b", "control character"},
		{secretKey, "sk_live_4eC39 HqLyjWDarjtT1zdp7dc", "white space"},
		{secretKey, "sk_live_…", "ASCII"},
		{secretKey, "sk_live_...", "incomplete"},
		{secretKey, " \n", "ClerkSecretKey"},

		{signingKey, "sk_live_" + Secret, "is a secret key"},
		{signingKey, `"whsec_` + Secret + `4eC39HqLyjWDarjtT1zdp7dc"`, "quotes"},
		{signingKey, "whsec_c2hvcnQ=", "incomplete"},
		{signingKey, "off", "does not begin"},
		{signingKey, "none,none", "does not begin"},
		{signingKey, "CLERK_WEBHOOK_SIGNING_SECRET=whsec_" + Secret, "NAME=value"},
		{signingKey, "\ufeffwhsec_" + Secret, "byte order mark"},
		{signingKey, "whsec_" + Secret + "\x1b", "control character"},
		{signingKey, "whsec_…", "ASCII"},
		{signingKey, Secret, "does not begin"},
		{signingKey, "pk_live_" + Secret, "publishable key"},
	}
	for _, value := range []string{
		"https://clerk.example.com/.well-known/jwks.json", `"https://clerk.example.com"`, "clerk.example.com", "https://clerk.example.com/",
		"https://Clerk.example.com", "https://clerk.example.com/v1", "http://clerk.example.com", "https://clerk.example.com:443", "pk_live_Y2xlcmsuZXhhbXBsZS5jb20k",
		"https://clerk.example.com?a=b",
	} {
		cases = append(cases, Case{"Issuer", value, `write "https://clerk.example.com"`})
	}
	for _, value := range []string{
		"https://App.example.com", "https://app.example.com/", "app.example.com", `"https://app.example.com"`, "https://app.example.com:443",
		"https://app.example.com.", "https://app.example.com/sign-in", " https://app.example.com", "https://ada@app.example.com", "//app.example.com",
	} {
		cases = append(cases, Case{"AuthorizedParties", []string{value}, `write "https://app.example.com"`})
	}
	cases = append(cases,
		Case{"AuthorizedParties", []string{"*"}, "AuthorizedParties"},
		Case{"AuthorizedParties", []string{"null"}, "AuthorizedParties"},
		Case{"AuthorizedParties", []string{"https://*.vercel.app"}, "AuthorizedParties"},
		Case{"AuthorizedParties", []string{""}, "AuthorizedParties"},
		Case{"AuthorizedParties", []string{"sk_live_" + Secret}, "AuthorizedParties"},
	)
	for _, value := range []string{
		"MIIB", "your key", `{"keys":[]}`, "https://clerk.example.com/.well-known/jwks.json", "pk_live_x", "-----BEGIN PUBLIC KEY-----\n…\n-----END PUBLIC KEY-----",
		"-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", "-----BEGIN PUBLIC KEY-----", "sk_live_" + Secret,
	} {
		cases = append(cases, Case{"JWTKey", value, "JWTKey"})
	}
	for _, value := range []string{"session", "Session_Token", "api-key", "", "*", "session_token,api_key", "jwt", "all", " session_token", "m2m"} {
		cases = append(cases, Case{"AcceptsToken", []string{value}, "AcceptsToken"})
	}
	for _, value := range []string{"", " metadata", "metadata\n"} {
		cases = append(cases, Case{"CarryClaims", []string{value}, "CarryClaims"})
	}
	for _, setting := range []string{"KeysMaxAge", "KeysStaleIfError", "UserMaxAge", "UserStaleIfError", "OpaqueTokenMaxAge"} {
		for _, value := range []string{"", "5", "5 m", "1d", "-1m", "five", `"5m"`, "5m\n", "PT5M", "100000h", "9999999999h"} {
			cases = append(cases, Case{setting, value, setting})
		}
	}
	cases = append(cases, Case{"OpaqueTokenMaxAge", "100h", "write 1h0m0s at most"})
	for _, value := range []float64{0, -1, 0.0001, 1e-9, 1e9, -0.8, 1e300, 0.001, -1e-9, 12345678} {
		cases = append(cases, Case{"RateLimitShare", value, "RateLimitShare"})
	}
	for _, value := range []float64{-1, -0.1, -5, -1e9, 2e8, 1e9, 1e12, 1e300, -1e300, 123456789} {
		cases = append(cases, Case{"UnknownTokensPerSecond", value, "UnknownTokensPerSecond"})
	}
	return cases
}
