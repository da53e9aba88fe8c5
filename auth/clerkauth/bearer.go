package clerkauth

import "strings"

// BearerToken gives the token of an Authorization header's value. The scheme is
// matched without regard to case (RFC 9110, section 11.1); a value of another
// scheme, or without a token, is an [*Error] with ReasonMissingToken.
func BearerToken(authorization string) (string, error) {
	scheme, token, _ := strings.Cut(authorization, " ")
	token = strings.TrimLeft(token, " ")
	if strings.EqualFold(scheme, "Bearer") && token != "" {
		return token, nil
	}
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		return "", refuse(ReasonMissingToken, "sent", "Bearer without a token")
	case strings.HasPrefix(authorization, "ey"):
		return "", refuse(ReasonMissingToken, "sent", "a token without Bearer")
	case strings.HasPrefix(token, "ey"):
		return "", refuse(ReasonMissingToken, "sent", "a token with another scheme than Bearer")
	}
	return "", refuse(ReasonMissingToken)
}
