package clerkauth

import "strings"

// subprotocolPrefix begins the WebSocket subprotocol that carries a token.
const subprotocolPrefix = "bearer."

// SubprotocolToken returns the token that a page sends with a WebSocket, for which
// browsers let it set no other header than Sec-WebSocket-Protocol:
//
//	new WebSocket(url, ["live", "bearer." + await getToken()])
//
// rest is the header's value without the token, for the server to choose from.
// The token is "" where there is none.
func SubprotocolToken(protocols string) (token, rest string) {
	var others []string
	for protocol := range strings.SplitSeq(protocols, ",") {
		protocol = strings.TrimSpace(protocol)
		if sent, ok := strings.CutPrefix(protocol, subprotocolPrefix); ok && token == "" {
			token = sent
		} else if protocol != "" {
			others = append(others, protocol)
		}
	}
	return token, strings.Join(others, ", ")
}

// AllowsOrigin reports whether a page of the origin is one of the
// AuthorizedParties. A WebSocket is open to pages of every site: its server
// compares the Origin header. "", which only a client other than a browser sends,
// is allowed.
func (a *Authenticator) AllowsOrigin(origin string) bool {
	return origin == "" || a.parties.Accept(origin)
}

// ScopeName returns the scope that r requires, and false if r is no [Scope].
func (r Requirement) ScopeName() (string, bool) { return r.name, r.kind == requireScope }

// IsFor reports whether an OAuth access token was issued for the resource: the URL
// that the client sent as resource (RFC 8707), with or without a final slash.
func (c *Caller) IsFor(resource string) bool {
	for _, audience := range c.Audience {
		if strings.TrimSuffix(audience, "/") == strings.TrimSuffix(resource, "/") {
			return true
		}
	}
	return false
}

// Issuer returns [Options].Issuer, "" where none is configured.
func (a *Authenticator) Issuer() string { return a.options.Issuer }
