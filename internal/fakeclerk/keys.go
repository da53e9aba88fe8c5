package fakeclerk

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"slices"
	"sync"

	"github.com/go-jose/go-jose/v3"
)

// keyring holds the signing key and the keys that the JWKS lists.
type keyring struct {
	mu      sync.RWMutex
	current signingKey
	listed  []jose.JSONWebKey
	jwks    json.RawMessage // listed, ready to send
}

type signingKey struct {
	id      string
	private *rsa.PrivateKey
}

// newSigningKey panics where crypto/rand fails, which the standard library says it never does.
func newSigningKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic("fakeclerk: generate signing key: " + err.Error())
	}
	return key
}

// add makes key the signing key and lists it, in the place of a listed key with the same id.
func (k *keyring) add(id string, key *rsa.PrivateKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.current = signingKey{id: id, private: key}
	k.unlist(id)
	k.listed = append(k.listed, jose.JSONWebKey{Key: key.Public(), KeyID: id, Algorithm: "RS256", Use: "sig"})
	k.render()
}

// remove takes the key off the list and reports whether it was on it.
func (k *keyring) remove(id string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	before := len(k.listed)
	k.unlist(id)
	k.render()
	return len(k.listed) < before
}

func (k *keyring) unlist(id string) {
	k.listed = slices.DeleteFunc(k.listed, func(key jose.JSONWebKey) bool { return key.KeyID == id })
}

func (k *keyring) render() {
	// An RSA public key always marshals.
	k.jwks, _ = json.Marshal(jose.JSONWebKeySet{Keys: k.listed})
}

func (k *keyring) signing() signingKey {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.current
}

// PublicKeyPEM is the public half of the current signing key as a PKIX "PUBLIC KEY" block, which is
// what Clerk's dashboard shows as the JWKS public key and its SDKs read from CLERK_JWT_KEY.
func (s *Server) PublicKeyPEM() string {
	// A key made by crypto/rsa always marshals.
	der, _ := x509.MarshalPKIXPublicKey(s.keys.signing().private.Public())
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// KeyID is the id (kid) of the current signing key.
func (s *Server) KeyID() string { return s.keys.signing().id }

// RotateKey signs with a new key from now on. The old one stays listed in the JWKS until [Server.RemoveKey],
// unless newKID is its own id: then the new key takes its place. An empty newKID is made up.
func (s *Server) RotateKey(newKID string) {
	if newKID == "" {
		newKID = newID("ins")
	}
	s.keys.add(newKID, newSigningKey())
}

// RemoveKey takes a key off the JWKS. If it is the signing key it goes on signing, unlisted.
func (s *Server) RemoveKey(kid string) { s.keys.remove(kid) }

// getJWKS answers GET /v1/jwks.
func (s *Server) getJWKS(*http.Request) (any, error) {
	s.keys.mu.RLock()
	defer s.keys.mu.RUnlock()
	return s.keys.jwks, nil
}

// newID returns an id as Clerk's, such as "sess_…".
func newID(prefix string) string { return prefix + "_" + rand.Text() }
