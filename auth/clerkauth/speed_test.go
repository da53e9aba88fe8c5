package clerkauth_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/jwt"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
)

// BenchmarkVerify compares one verification with clerk-sdk-go's jwt.Verify with
// the key at hand, and with what no verification can do without: SHA-256 and
// RSA-2048 over what was decoded beforehand.
//
//	go test -run '^$' -bench Verify ./auth/clerkauth
func BenchmarkVerify(b *testing.B) {
	server, err := fakeclerk.Start(fakeclerk.Options{TokenLifetime: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	defer server.Close()
	key, err := clerk.JSONWebKeyFromPEM(server.PublicKeyPEM())
	if err != nil {
		b.Fatal(err)
	}
	tokens, signatures := make([]string, 500), make([][]byte, 500)
	for i := range tokens {
		if tokens[i], err = server.SessionToken("user_ada"); err != nil {
			b.Fatal(err)
		}
		signatures[i], _ = base64.RawURLEncoding.DecodeString(tokens[i][strings.LastIndexByte(tokens[i], '.')+1:])
	}
	ctx := b.Context()
	var authenticator *clerkauth.Authenticator
	// forget starts with an empty token cache, and with the keys and the user cached.
	forget := func() error {
		authenticator, err = clerkauth.New(clerkauth.Options{SecretKey: server.SecretKey(), APIURL: server.URL(), Issuer: server.Issuer()})
		if err == nil {
			_, err = authenticator.Authenticate(ctx, tokens[0])
		}
		return err
	}
	var sdk float64 // nanoseconds
	for _, row := range []struct {
		name   string
		verify func(b *testing.B, i int) error
	}{
		{"jwt.Verify", func(b *testing.B, i int) error {
			_, err := jwt.Verify(ctx, &jwt.VerifyParams{Token: tokens[i], JWK: key})
			return err
		}},
		{"one RSA-2048 check", func(b *testing.B, i int) error {
			hash := sha256.Sum256([]byte(tokens[i][:strings.LastIndexByte(tokens[i], '.')]))
			return rsa.VerifyPKCS1v15(key.Key.(*rsa.PublicKey), crypto.SHA256, hash[:], signatures[i])
		}},
		{"a new token", func(b *testing.B, i int) error {
			if i == 0 {
				b.StopTimer()
				defer b.StartTimer()
				return forget()
			}
			_, err := authenticator.Authenticate(ctx, tokens[i])
			return err
		}},
		{"a remembered token", func(b *testing.B, i int) error {
			_, err := authenticator.Authenticate(ctx, tokens[0])
			return err
		}},
	} {
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if err := row.verify(b, i%len(tokens)); err != nil {
					b.Fatal(err)
				}
			}
			each := float64(b.Elapsed()) / float64(b.N)
			if sdk == 0 {
				sdk = each
			}
			b.ReportMetric(each/sdk, "×jwt.Verify")
		})
	}
}
