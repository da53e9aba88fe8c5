package clerkauth

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/sync/singleflight"

	"encore.app/auth/clerkauth/internal/breaker"
	"encore.app/auth/clerkauth/internal/clerkapi"
	"encore.app/auth/clerkauth/setting"
)

const (
	// refreshAhead is the last part of KeysMaxAge, here a fifth, in which a set
	// that is in use is refreshed in the background. By default this is from
	// the fourth minute on.
	refreshAhead = 5
	// unknownKeyInterval is the least time between two fetches that unknown key
	// ids cause. Anyone can send those. Clerk does not limit how often keys are
	// fetched, so the interval is short. After an unannounced rotation, users
	// with tokens of the new key wait for at most this time, however many
	// forged ids arrive.
	unknownKeyInterval = 3 * time.Second
)

// algorithm is the only one with which Clerk signs session tokens.
const algorithm = "RS256"

// publicKey is one key of the JWKS. Its address is its identity. A refreshed
// set keeps the publicKey of a key that did not change, so that a token
// verified with a removed key can be recognized.
type publicKey struct{ jwk *clerk.JSONWebKey }

func (k *publicKey) equal(other *clerk.JSONWebKey) bool {
	key, ok := k.jwk.Key.(*rsa.PublicKey)
	return ok && key.Equal(other.Key)
}

// signed reports whether the token, in compact form, has a signature of the key.
func (k *publicKey) signed(token string) bool {
	dot := strings.LastIndexByte(token, '.')
	signature, err := base64url.DecodeString(token[dot+1:])
	if err != nil {
		return false
	}
	digest := sha256.Sum256([]byte(token[:dot]))
	return rsa.VerifyPKCS1v15(k.jwk.Key.(*rsa.PublicKey), crypto.SHA256, digest[:], signature) == nil
}

// keys are the public keys of the Clerk instance. The set of them is in one of
// these states, by its age and by whether the newest fetch failed:
//
//	age                         newest fetch   a request
//	none yet                    -              waits for a fetch
//	< 4/5 maxAge                -              uses the set
//	< maxAge                    -              uses the set, starts a fetch
//	< maxAge + staleIfError     succeeded      waits for a fetch; uses the set if that fails
//	< maxAge + staleIfError     failed         uses the set, starts a fetch
//	older                       -              waits for a fetch
//
// A request whose key id is not in the set waits for a fetch as well, if the
// newest was at least unknownKeyInterval ago. There is one fetch at a time, and
// none during a back-off.
type keys struct {
	client       *clerkapi.Client
	breaker      *breaker.Breaker // separate: Clerk limits calls for users, not for keys
	counts       counts
	now          func() time.Time
	maxAge       time.Duration
	staleIfError time.Duration

	local *publicKey // networkless: the only key there is
	state atomic.Pointer[keySet]
	fetch singleflight.Group
}

// keySet is an immutable snapshot of the JWKS.
type keySet struct {
	byID        map[string]*publicKey
	fetchedAt   time.Time // of byID
	attemptedAt time.Time // of the newest fetch, failed or not
	err         *Error    // of the newest fetch
}

func newKeys(c *clerkapi.Client, o Options) (*keys, error) {
	k := &keys{
		client:       c,
		breaker:      breaker.New(o.Now),
		counts:       counts{o.Observer},
		now:          o.Now,
		maxAge:       o.KeysMaxAge,
		staleIfError: o.KeysStaleIfError,
	}
	k.state.Store(&keySet{})
	if strings.TrimSpace(o.JWTKey) != "" {
		pem, err := setting.PublicKey(o.JWTKey)
		if err != nil {
			return nil, err
		}
		jwk, err := clerk.JSONWebKeyFromPEM(pem)
		if err != nil {
			return nil, err
		}
		k.local = &publicKey{jwk: jwk}
	}
	return k, nil
}

// find returns the key with the given id (kid). It waits for Clerk only when
// there is nothing usable yet, or for an id that may be a new key's.
func (k *keys) find(ctx context.Context, id string) (*publicKey, error) {
	if k.local != nil {
		return k.local, nil
	}
	set, err := k.usable(ctx)
	if err != nil {
		return nil, err
	}
	if key := set.byID[id]; key != nil {
		return key, nil
	}
	if id == "" {
		return nil, refuse(ReasonUnknownKey, "kid", id, "known", set)
	}
	if k.now().Sub(set.attemptedAt) >= unknownKeyInterval {
		if set, err = k.refresh(ctx, set); err != nil {
			return nil, err
		}
	}
	if key := set.byID[id]; key != nil {
		return key, nil
	}
	if set.err != nil {
		return nil, set.err // it may be a key that was not fetched
	}
	return nil, refuse(ReasonUnknownKey, "kid", id, "known", set)
}

// usable returns a set that may be verified with: see the states of [keys].
func (k *keys) usable(ctx context.Context) (*keySet, error) {
	set := k.state.Load()
	age := k.now().Sub(set.fetchedAt)
	if set.byID != nil {
		switch {
		case age < k.maxAge-k.maxAge/refreshAhead:
			return set, nil
		case age < k.maxAge:
			k.startFetch(set)
			return set, nil
		case age < k.maxAge+k.staleIfError && set.err != nil:
			k.startFetch(set)
			k.counts.add(CountStale, "keys", 1)
			return set, nil
		}
	}
	fetched, err := k.refresh(ctx, set)
	if err == nil && fetched.err != nil {
		err, set = fetched.err, fetched
	}
	if err == nil {
		return fetched, nil
	}
	if set.byID != nil && AsError(err).Kind != Canceled && age < k.maxAge+k.staleIfError {
		k.counts.add(CountStale, "keys", 1)
		return set, nil
	}
	return nil, err
}

// refresh waits for a fetch, its own or one that is under way.
func (k *keys) refresh(ctx context.Context, seen *keySet) (*keySet, error) {
	select {
	case result := <-k.startFetch(seen):
		return result.Val.(*keySet), nil
	case <-ctx.Done():
		return nil, canceled(ctx)
	}
}

// startFetch starts a fetch that replaces the set seen, unless one is under way.
func (k *keys) startFetch(seen *keySet) <-chan singleflight.Result {
	return k.fetch.DoChan("", func() (any, error) {
		if set := k.state.Load(); set != seen {
			return set, nil // replaced in between
		}
		done, blocked := k.breaker.Begin()
		if blocked != nil {
			return &keySet{byID: seen.byID, fetchedAt: seen.fetchedAt, attemptedAt: seen.attemptedAt, err: AsError(blocked)}, nil
		}
		next := k.next(seen)
		if next.err != nil {
			done(breaker.Failed, next.err, next.err.retryAfter)
		} else {
			done(breaker.Succeeded, nil, 0)
		}
		k.state.Store(next)
		return next, nil
	})
}

// next fetches the keys. If that fails, the old ones stay.
func (k *keys) next(old *keySet) *keySet {
	now := k.now()
	var loaded map[string]*clerk.JSONWebKey
	err := clerkapi.Guard(func() (err error) {
		loaded, err = k.load()
		return err
	})
	if err != nil {
		failure := AsError(exported(err))
		k.counts.add(CountKeyFetches, failed(failure), 1)
		return &keySet{byID: old.byID, fetchedAt: old.fetchedAt, attemptedAt: now, err: failure}
	}
	k.counts.add(CountKeyFetches, "ok", 1)
	return &keySet{byID: merge(old.byID, loaded), fetchedAt: now, attemptedAt: now}
}

func (k *keys) load() (map[string]*clerk.JSONWebKey, error) {
	var body clerkapi.Raw
	err := exported(k.client.Call(context.Background(), clerkapi.CallTimeout, clerk.NewAPIRequest(http.MethodGet, "/jwks"), &body))
	var refused *APIError
	if errors.As(err, &refused) {
		return nil, &Error{Kind: Misconfigured, Reason: ReasonRequestRefused, cause: refused, evidence: refused.evidence()}
	}
	if err != nil {
		return nil, err
	}
	// The keys are read one by one: a key of an unknown type is to be ignored
	// (RFC 7517, section 5), and the SDK fails the whole set.
	var set struct {
		Keys []jsontext.Value `json:"keys"`
	}
	if err := json.Unmarshal(body, &set, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)); err != nil {
		return nil, &Error{Kind: Unavailable, Reason: ReasonInvalidResponse, cause: errors.New("not a JWKS")}
	}
	byID := make(map[string]*clerk.JSONWebKey, len(set.Keys))
	for _, raw := range set.Keys {
		if jwk := parseKey(raw); jwk != nil {
			byID[jwk.KeyID] = jwk
		}
	}
	if len(byID) == 0 {
		return nil, &Error{Kind: Unavailable, Reason: ReasonInvalidResponse, cause: errors.New("JWKS without a usable key")}
	}
	return byID, nil
}

// parseKey returns nil for a key that does not sign session tokens. One that is
// for something else says so in use or key_ops (RFC 7517, sections 4.2 and 4.3).
func parseKey(raw jsontext.Value) *clerk.JSONWebKey {
	var purpose struct {
		Use        *string   `json:"use"`
		Operations *[]string `json:"key_ops"`
	}
	if json.Unmarshal(raw, &purpose) != nil ||
		purpose.Use != nil && *purpose.Use != "sig" ||
		purpose.Operations != nil && !slices.Contains(*purpose.Operations, "verify") {
		return nil
	}
	jwk := new(clerk.JSONWebKey)
	if err := jwk.UnmarshalJSON(raw); err != nil || jwk.KeyID == "" || jwk.Algorithm != algorithm {
		return nil
	}
	if _, ok := jwk.Key.(*rsa.PublicKey); !ok {
		return nil
	}
	return jwk
}

// merge keeps the old publicKey of every key that did not change.
func merge(old map[string]*publicKey, loaded map[string]*clerk.JSONWebKey) map[string]*publicKey {
	merged := make(map[string]*publicKey, len(loaded))
	for id, jwk := range loaded {
		if key := old[id]; key != nil && key.equal(jwk) {
			merged[id] = key
		} else {
			merged[id] = &publicKey{jwk: jwk}
		}
	}
	return merged
}
