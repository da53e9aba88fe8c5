package clerkauth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"

	"encore.app/auth/clerkauth/internal/cache"
	"encore.app/auth/clerkauth/internal/clerkapi"
	"encore.app/auth/clerkauth/internal/ratelimit"
	"encore.app/auth/clerkauth/internal/usercache"
)

const (
	minSecretBytes = 20 // less is guessed, and Clerk's are longer
	maxSecretBytes = 512

	// defaultOpaqueTokenMaxAge makes a revocation count as soon as that of a session
	// token, which lives for a minute. Clerk bills each verification
	// ($0.00001): a secret in constant use costs one each 45 s, some 60,000 a
	// month and process, of which Clerk gives away 100,000.
	defaultOpaqueTokenMaxAge = time.Minute

	// renewAhead: an answer in use is renewed in the last quarter of its time.
	renewAhead = 4
	// keepKnown is how long a secret that Clerk has accepted is verified before
	// secrets that Clerk never accepted.
	keepKnown = time.Hour
	// keepUnknown is how long a secret that Clerk does not have stays refused.
	// It may have been created this moment.
	keepUnknown = 10 * time.Second

	maxKnownBytes     = 16 << 20
	maxRefusedSecrets = 50_000 // at some 150 bytes each
	// maxUnknown is how many secrets that Clerk never knew are verified
	// or wait for it at a time.
	maxUnknown = 64
)

// secretHash is the SHA-256 of a secret, under which it is remembered.
type secretHash [sha256.Size]byte

// machineRecord is what Clerk said of a secret that is good.
type machineRecord struct {
	caller    Caller
	checkedAt time.Time                       // the time of the call to Clerk
	user      atomic.Pointer[usercache.Entry] // see usercache.Cache.Find
}

// machines caches Clerk's answers about API keys and opaque M2M and OAuth
// tokens.
//
// Anybody can make up secrets, each of which costs a call. A made-up secret
// looks like a secret that was created a moment ago. So secrets that Clerk
// never accepted come last: they take no part of the budget that other callers
// may need, are cached separately, and few of them wait at a time. During a
// flood of them, the first request of a new secret may be answered Unavailable.
type machines struct {
	backend *Backend
	now     func() time.Time
	maxAge  time.Duration
	known   cache.Cache[secretHash, *machineRecord]
	refused cache.Cache[secretHash, Reason]

	verifications singleflight.Group // by hash
	unknown       atomic.Int64       // verifications of secrets that Clerk never knew
}

func newMachines(b *Backend, o Options) *machines {
	keep := func(e otter.Entry[secretHash, Reason]) time.Duration {
		if e.Value == ReasonUnknownSecret {
			return keepUnknown
		}
		return max(o.OpaqueTokenMaxAge, keepUnknown)
	}
	return &machines{
		backend: b,
		now:     o.Now,
		maxAge:  o.OpaqueTokenMaxAge,
		known: cache.New(o.Now, otter.Options[secretHash, *machineRecord]{
			MaximumWeight:    maxKnownBytes,
			Weigher:          func(_ secretHash, r *machineRecord) uint32 { return uint32(r.size()) },
			ExpiryCalculator: otter.ExpiryWriting[secretHash, *machineRecord](max(o.OpaqueTokenMaxAge, keepKnown)),
		}),
		refused: cache.New(o.Now, otter.Options[secretHash, Reason]{
			MaximumSize:      maxRefusedSecrets,
			ExpiryCalculator: otter.ExpiryWritingFunc(keep),
		}),
	}
}

// find returns what Clerk said of a secret. It waits for Clerk only when
// Clerk was not asked within maxAge; all who present the same secret share the
// call.
func (m *machines) find(ctx context.Context, kind TokenType, secret string) (*machineRecord, error) {
	if !isSecret(secret) {
		return nil, refuseMalformed(secret)
	}
	hash := secretHash(sha256.Sum256([]byte(secret)))
	record, known := m.known.GetIfPresent(hash)
	if known {
		if age := m.now().Sub(record.checkedAt); age < m.maxAge {
			if age >= m.maxAge-m.maxAge/renewAhead {
				m.verify(ctx, kind, hash, secret, record) // later requests have the result
			}
			return m.use(record)
		}
	} else if reason, ok := m.refused.GetIfPresent(hash); ok {
		return nil, refuse(reason, "token_type", string(kind))
	}
	select {
	case result := <-m.verify(ctx, kind, hash, secret, record):
		if result.Err != nil {
			return nil, result.Err
		}
		return m.use(result.Val.(*machineRecord))
	case <-ctx.Done():
		return nil, canceled(ctx)
	}
}

// use returns the record, unless the token has expired since the call to Clerk.
func (m *machines) use(record *machineRecord) (*machineRecord, error) {
	if expiry := record.caller.ExpiresAt; !expiry.IsZero() && !m.now().Before(expiry) {
		return nil, refuse(ReasonExpired)
	}
	return record, nil
}

// verify starts a verification of a secret of which no more is known than the
// record, which may be nil, unless one is under way.
func (m *machines) verify(ctx context.Context, kind TokenType, hash secretHash, secret string, record *machineRecord) <-chan singleflight.Result {
	return m.verifications.DoChan(string(hash[:]), func() (any, error) {
		if newer, ok := m.known.GetIfPresent(hash); ok && newer != record {
			return newer, nil // verified since the caller looked
		}
		if reason, ok := m.refused.GetIfPresent(hash); ok {
			return nil, refuse(reason, "token_type", string(kind))
		}
		subject := ""
		if record != nil {
			subject = "secret " + hex.EncodeToString(hash[:])
		} else {
			defer m.unknown.Add(-1)
			if m.unknown.Add(1) > maxUnknown {
				return nil, errRateLimitShare
			}
		}
		next := &machineRecord{checkedAt: m.now()}
		err := clerkapi.Guard(func() (err error) {
			next.caller, err = m.backend.verifySecret(context.WithoutCancel(ctx), kind, secret, subject)
			return err
		})
		return next, m.store(hash, next, exported(err))
	})
}

// store keeps the result of a verification, and returns its error.
func (m *machines) store(hash secretHash, record *machineRecord, err error) error {
	var refusal *Error
	switch {
	case err == nil:
		m.known.Set(hash, record)
	case errors.As(err, &refusal) && refusal.Kind == Unauthenticated:
		m.known.Invalidate(hash)
		m.refused.Set(hash, refusal.Reason)
	}
	return err
}

// isSecret checks the form of what would otherwise cost a call: the characters
// of a bearer token (RFC 6750, section 2.1) without the dots of a JWT.
func isSecret(s string) bool {
	return len(s) >= minSecretBytes && len(s) <= maxSecretBytes && isAlphanumeric(s, "-_~+/=")
}

// size estimates the bytes that remembering r takes.
func (r *machineRecord) size() int {
	const fixed = 640 // the structs, the hash and the cache's own book-keeping
	return fixed + len(r.caller.Subject) + len(r.caller.RawClaims.text) + r.caller.authorizationSize()
}

// verifySecret fetches the owner of a secret from Clerk. The subject is as in
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
	// off, say. Clerk then confirms no caller, and anybody can cause it.
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
