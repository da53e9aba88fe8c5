package clerkauth

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"encore.app/auth/clerkauth/internal/ratelimit"
)

// verifySecret asks Clerk whom a secret belongs to. The subject is as in
// [Backend.call]; for a secret that Clerk never knew it is "".
//
// The SDK has a client for two of the three kinds, and decodes more of the
// answer than is used.
func (b *Backend) verifySecret(ctx context.Context, kind TokenType, secret, subject string) (Caller, error) {
	purpose := ratelimit.Machine
	if subject == "" {
		purpose = ratelimit.UnknownSecret
	}
	var path string
	var params verifyParams
	switch kind {
	case APIKey:
		path, params.Secret = "/api_keys/verify", secret
	case M2MToken:
		path, params.Token = "/m2m_tokens/verify", secret
	case OAuthToken:
		path, params.AccessToken = "/oauth_applications/access_tokens/verify", secret
	}
	request := clerk.NewAPIRequest(http.MethodPost, path)
	request.SetParams(&params)
	var answer strictAnswer
	err := b.call(ctx, purpose, subject, subject, request, &answer)
	var refused *APIError
	switch {
	case err == nil:
		return answer.caller(kind)
	case !errors.As(err, &refused):
		return Caller{}, err
	}
	switch refused.Status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusGone, http.StatusUnprocessableEntity:
		return Caller{}, refuse(ReasonUnknownSecret)
	}
	// Another 4xx is not about the secret: the instance has the feature turned
	// off, say. Clerk vouches for nobody then, and anybody can cause it.
	return Caller{}, refuse(ReasonVerificationRefused, append(refused.evidence(), "token_type", string(kind))...)
}

// verifyParams is the body of a verification. Of the three, one is set.
type verifyParams struct {
	clerk.APIParams
	Secret      string `json:"secret,omitempty"`
	Token       string `json:"token,omitempty"`
	AccessToken string `json:"access_token,omitempty"`
}

// machineAnswer is the part that is used of Clerk's answer to a verification
// (github.com/clerk/openapi-specs, bapi). A token that was revoked or has expired
// is answered with status 200.
type machineAnswer struct {
	Subject    string         `json:"subject"`
	ClientID   string         `json:"client_id"`
	Scopes     []string       `json:"scopes"`
	Claims     jsontext.Value `json:"claims"`
	Revoked    *bool          `json:"revoked"`
	Expired    *bool          `json:"expired"`
	Expiration *float64       `json:"expiration"`
	// Active is false, and the only member, for a token that is not. It is
	// absent otherwise.
	Active *bool `json:"active"`

	oauthClaims
}

// strictAnswer is a machineAnswer whose member names match exactly and come once,
// as those of tokens do. The SDK's decoder takes "Revoked" for "revoked".
type strictAnswer struct {
	clerk.APIResource
	machineAnswer
}

// UnmarshalJSON implements [json.Unmarshaler].
func (a *strictAnswer) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, &a.machineAnswer)
}

var errIncomplete = errors.New("a verification without its result")

func (a *machineAnswer) caller(kind TokenType) (Caller, error) {
	switch {
	case a.Revoked != nil && *a.Revoked:
		return Caller{}, refuse(ReasonRevoked)
	case a.Expired != nil && *a.Expired, a.Active != nil && !*a.Active:
		return Caller{}, refuse(ReasonExpired)
	case a.Revoked == nil || a.Expired == nil:
		return Caller{}, &Error{Kind: Unavailable, Reason: ReasonInvalidResponse, cause: errIncomplete}
	}
	c := Caller{Scopes: scopeNames(a.Scopes), ExpiresAt: a.expiresAt(), RawClaims: RawClaims{text: "{}"}}
	if !c.setSubject(kind, a.Subject) {
		return Caller{}, refuse(ReasonInvalidSubject)
	}
	if kind == OAuthToken {
		c.ClientID = a.ClientID
		a.describe(&c)
	}
	if claims := string(a.Claims); claims != "" && claims != "null" {
		c.RawClaims.text = claims
	}
	return c, nil
}

// expiresAt is zero for a token that does not expire.
func (a *machineAnswer) expiresAt() time.Time {
	if a.Expiration == nil {
		return time.Time{}
	}
	return UnixTime(int64(min(max(*a.Expiration, 0), maxNumericDate*1000)))
}
