package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"syscall"

	"encore.app/auth/clerkauth/setting"
	"encore.app/fakeclerk"
)

// startFakeClerk starts the fake Clerk, which sends webhooks to the backend.
// They are signed with the first secret of CLERK_WEBHOOK_SIGNING_SECRET, so that
// a backend that was started by hand can verify them, and with a new secret if
// the variable is unset or none.
func startFakeClerk(s settings, logger *slog.Logger) (*fakeclerk.Server, error) {
	options := fakeclerk.Options{Addr: s.clerk, Issuer: s.issuer, Logger: logger, WebhookSigningSecret: newWebhookSecret()}
	if secrets := setting.List(s.webhookSecret); len(secrets) > 0 && !strings.EqualFold(secrets[0], "none") {
		options.WebhookSigningSecret = secrets[0]
	}
	if s.backend != "none" {
		options.WebhookURL = "http://" + s.apiAddress() + "/webhooks/clerk"
	}
	if s.signingKey != "" {
		key, err := readKey(s.signingKey)
		if err != nil {
			return nil, fmt.Errorf("-signing-key: %w", err)
		}
		options.SigningKey = key
	}
	server, err := fakeclerk.Start(options)
	if err != nil {
		return nil, cannotListen("-clerk", s.clerk, err)
	}
	// A page that may use tokens may also read the ones that /token signs.
	if origins := slices.DeleteFunc(append(slices.Clone(s.parties), s.pageOrigin()), func(o string) bool { return o == "" }); len(origins) > 0 {
		server.SetPageOrigins(origins...)
	}
	return server, nil
}

// newWebhookSecret returns a signing secret in Svix's notation. If every run
// had the same one, any program on this machine could sign webhooks.
func newWebhookSecret() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	return "whsec_" + base64.StdEncoding.EncodeToString(key)
}

// readKey reads an RSA private key in PEM, PKCS#1 or PKCS#8.
func readKey(name string) (*rsa.PrivateKey, error) {
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(content)
	if block == nil {
		return nil, fmt.Errorf("%s is not PEM", name)
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s holds no private key in PKCS#1 or PKCS#8 (its PEM type is %q)", name, block.Type)
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s holds no RSA key", name)
	}
	return key, nil
}

// cannotListen says why, and which flag names another address.
func cannotListen(flag, address string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is in use: stop what runs there, or choose another address with %s", address, flag)
	}
	return fmt.Errorf("%w (another address is chosen with %s)", err, flag)
}
