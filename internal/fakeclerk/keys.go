package fakeclerk

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"slices"

	"github.com/go-jose/go-jose/v3"
)

// keyring holds the signing key and the keys that the JWKS lists.
type keyring struct {
	id      string
	private *rsa.PrivateKey
	listed  []jose.JSONWebKey
}

// newSigningKey panics where crypto/rand fails, which the standard library says
// it never does.
func newSigningKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic("fakeclerk: generate signing key: " + err.Error())
	}
	return key
}

// add makes key the signing key and lists it, in the place of a listed key with
// the same id.
func (k *keyring) add(id string, key *rsa.PrivateKey) {
	k.id, k.private = id, key
	k.remove(id)
	k.listed = append(k.listed, jose.JSONWebKey{Key: key.Public(), KeyID: id, Algorithm: "RS256", Use: "sig"})
}

// remove takes the key off the list and reports whether it was on it.
func (k *keyring) remove(id string) bool {
	before := len(k.listed)
	k.listed = slices.DeleteFunc(slices.Clone(k.listed), func(key jose.JSONWebKey) bool { return key.KeyID == id })
	return len(k.listed) < before
}

// PublicKeyPEM is the public half of the current signing key as a PKIX "PUBLIC
// KEY" block, which is what Clerk's dashboard shows as the JWKS public key and
// its SDKs read from CLERK_JWT_KEY.
func (s *Server) PublicKeyPEM() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	der, _ := x509.MarshalPKIXPublicKey(s.keys.private.Public()) // a key made by crypto/rsa always marshals
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// KeyID is the id (kid) of the current signing key.
func (s *Server) KeyID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys.id
}

// RotateKey signs with a new key from now on. The old one stays listed in the
// JWKS until [Server.RemoveKey], unless newKID is its own id: then the new key
// takes its place. An empty newKID is made up.
func (s *Server) RotateKey(newKID string) {
	if newKID == "" {
		newKID = newID("ins")
	}
	key := newSigningKey()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys.add(newKID, key)
}

// RemoveKey takes a key off the JWKS and reports whether it was on it. If it is
// the signing key it goes on signing, unlisted.
func (s *Server) RemoveKey(kid string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys.remove(kid)
}

func (s *Server) getJWKS(*http.Request) (any, error) {
	return jose.JSONWebKeySet{Keys: s.keys.listed}, nil
}
