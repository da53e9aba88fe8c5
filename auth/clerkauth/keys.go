package clerkauth

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/jwks"
)

const (
	// A set of keys in use is renewed in the background during the last fifth of
	// KeysMaxAge: from the fourth minute on, unless configured otherwise.
	refreshAhead = 5
	// unknownKeyInterval is the least time between two fetches for the sake of
	// key ids that we do not have. Anyone can send those.
	unknownKeyInterval = 30 * time.Second
)

// algorithm is the only one with which Clerk signs session tokens.
const algorithm = "RS256"

// publicKey is one key of the JWKS. Its address is its identity: a renewed set
// keeps the publicKey of a key that did not change, so whatever was verified
// with a key that is gone can be recognized.
type publicKey struct{ jwk *clerk.JSONWebKey }

func (k *publicKey) equal(other *clerk.JSONWebKey) bool {
	key, ok := k.jwk.Key.(*rsa.PublicKey)
	return ok && key.Equal(other.Key)
}

// keys are the public keys of the Clerk instance.
type keys struct {
	client       *jwks.Client
	available    func() bool
	now          func() time.Time
	maxAge       time.Duration
	staleIfError time.Duration

	local *publicKey // networkless: the only key there is
	state atomic.Pointer[keySet]

	mu       sync.Mutex
	fetching chan struct{} // closed when the fetch that is under way is done
}

// keySet is an immutable snapshot of what is known of the JWKS.
type keySet struct {
	byID        map[string]*publicKey
	fetchedAt   time.Time // of byID
	attemptedAt time.Time // of the newest fetch, failed or not
	err         *Error    // of the newest fetch
}

func newKeys(b *backend, o Options) (*keys, error) {
	k := &keys{
		client:       &jwks.Client{Backend: b},
		available:    b.available,
		now:          o.Now,
		maxAge:       o.KeysMaxAge,
		staleIfError: o.KeysStaleIfError,
	}
	k.state.Store(&keySet{})
	if o.JWTKey != "" {
		// Environment variables often carry the line breaks of PEM as \n.
		jwk, err := clerk.JSONWebKeyFromPEM(strings.ReplaceAll(o.JWTKey, `\n`, "\n"))
		if err != nil {
			return nil, fmt.Errorf("clerkauth: JWTKey: %w", err)
		}
		if _, ok := jwk.Key.(*rsa.PublicKey); !ok {
			return nil, errors.New("clerkauth: JWTKey: not an RSA public key")
		}
		k.local = &publicKey{jwk: jwk}
	}
	return k, nil
}

// find gives the key with the given id (kid). It waits for Clerk only when
// there is nothing usable yet, or for an id that may be a new key's.
func (k *keys) find(ctx context.Context, until time.Time, id string) (*publicKey, error) {
	if k.local != nil {
		return k.local, nil
	}
	set, err := k.usable(ctx, until)
	if err != nil {
		return nil, err
	}
	if key := set.byID[id]; key != nil {
		return key, nil
	}
	if id == "" {
		return nil, refuse(ReasonUnknownKey)
	}
	if k.now().Sub(set.attemptedAt) >= unknownKeyInterval {
		if set, err = k.refresh(ctx, until, set); err != nil {
			return nil, err
		}
	}
	if key := set.byID[id]; key != nil {
		return key, nil
	}
	if set.err != nil {
		return nil, set.err // it may be a key that we could not fetch
	}
	return nil, refuse(ReasonUnknownKey)
}

// usable gives a set that may be verified with: at most maxAge old, or up to
// staleIfError older while Clerk does not give us a newer one.
func (k *keys) usable(ctx context.Context, until time.Time) (*keySet, error) {
	set := k.state.Load()
	if set.byID != nil {
		age := k.now().Sub(set.fetchedAt)
		failing := set.err != nil
		switch {
		case age < k.maxAge-k.maxAge/refreshAhead:
			return set, nil
		case age < k.maxAge, failing && age < k.maxAge+k.staleIfError:
			if k.available() {
				k.fetch(set)
			}
			return set, nil
		}
	}
	fetched, err := k.refresh(ctx, until, set)
	if err == nil && fetched.err != nil {
		err, set = fetched.err, fetched
	}
	if err == nil {
		return fetched, nil
	}
	if set.byID != nil && AsError(err).Kind != Canceled && k.now().Sub(set.fetchedAt) < k.maxAge+k.staleIfError {
		return set, nil
	}
	return nil, err
}

// refresh waits for a fetch, its own or one that is under way.
func (k *keys) refresh(ctx context.Context, until time.Time, seen *keySet) (*keySet, error) {
	if _, err := await(ctx, until, k.fetch(seen)); err != nil {
		return nil, err
	}
	return k.state.Load(), nil
}

// fetch replaces the set seen, unless that has happened since. The returned
// channel is closed when it is done; whoever comes meanwhile shares it.
func (k *keys) fetch(seen *keySet) <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fetching != nil {
		return k.fetching
	}
	done := make(chan struct{})
	if k.state.Load() != seen {
		close(done)
		return done
	}
	k.fetching = done
	go func() {
		k.state.Store(k.next(seen))
		k.mu.Lock()
		k.fetching = nil
		k.mu.Unlock()
		close(done)
	}()
	return done
}

// next asks Clerk for the keys. If that fails, the old ones stay.
func (k *keys) next(old *keySet) *keySet {
	now := k.now()
	loaded, err := k.load()
	if err != nil {
		return &keySet{byID: old.byID, fetchedAt: old.fetchedAt, attemptedAt: now, err: AsError(err)}
	}
	return &keySet{byID: merge(old.byID, loaded), fetchedAt: now, attemptedAt: now}
}

func (k *keys) load() (map[string]*clerk.JSONWebKey, error) {
	set, err := k.client.Get(context.Background(), &jwks.GetParams{})
	if errors.Is(err, errNotFound) {
		return nil, &Error{Kind: Misconfigured, Reason: ReasonRequestRefused, cause: errors.New("no JWKS at this API URL")}
	}
	if err != nil {
		return nil, err
	}
	byID := make(map[string]*clerk.JSONWebKey, len(set.Keys))
	for _, jwk := range set.Keys {
		if jwk == nil || jwk.KeyID == "" || jwk.Algorithm != algorithm {
			continue
		}
		if _, ok := jwk.Key.(*rsa.PublicKey); ok {
			byID[jwk.KeyID] = jwk
		}
	}
	if len(byID) == 0 {
		return nil, &Error{Kind: Unavailable, Reason: ReasonInvalidResponse, cause: errors.New("JWKS without a usable key")}
	}
	return byID, nil
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
