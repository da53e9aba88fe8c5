package main

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"

	"encore.app/internal/fakeclerk"
)

// startStandIn starts the stand-in for Clerk.
func startStandIn(s settings, logger *slog.Logger) (*fakeclerk.Server, error) {
	options := fakeclerk.Options{Addr: s.clerk, Issuer: s.issuer, Logger: logger}
	if s.page != "" {
		options.PageOrigins = append([]string{"http://" + s.page}, s.parties...)
	}
	if s.backend != "none" {
		options.WebhookURL = "http://" + s.api + "/webhooks/clerk"
	}
	if s.signingKey != "" {
		key, err := readKey(s.signingKey)
		if err != nil {
			return nil, fmt.Errorf("-signing-key: %w", err)
		}
		options.SigningKey = key
	}
	server, err := fakeclerk.Start(options)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, taken("-clerk", s.clerk)
	}
	return server, err
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

func taken(flag, address string) error {
	return fmt.Errorf("%s is in use: stop what runs there, or choose another address with %s", address, flag)
}
