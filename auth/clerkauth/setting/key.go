package setting

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"regexp"
	"strings"
	"unicode"
)

// minKeyBits is the size of Clerk's keys.
const minKeyBits = 2048

// framed is one block of PEM, with line breaks of any form.
var framed = regexp.MustCompile(`(?s)^-----\s*BEGIN ([A-Z0-9 ]+?)\s*-----(.*)-----\s*END ([A-Z0-9 ]+?)\s*-----$`)

// exampleKey ends every error about a public key.
const exampleKey = ": write the JWKS Public Key of Clerk's dashboard (API keys), " +
	`such as "-----BEGIN PUBLIC KEY-----\nMIIB…\n-----END PUBLIC KEY-----"`

// PublicKey returns an RSA public key as PEM. It takes PEM with line breaks of
// any kind, or with the two characters \n in their place. The PEM may also be
// on one line, in quotes, without its first and last line, or in base64.
func PublicKey(value string) (string, error) {
	key, problem := publicKey(value)
	if problem != "" {
		return "", errors.New(problem + exampleKey)
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), nil
}

func publicKey(value string) (key *rsa.PublicKey, problem string) {
	value = strings.NewReplacer(`\r`, "\n", `\n`, "\n", "\ufeff", "").Replace(value)
	value = strings.TrimFunc(value, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("\"'`", r) })
	label, body := "PUBLIC KEY", value
	if parts := framed.FindStringSubmatch(value); parts != nil && parts[1] == parts[3] {
		label, body = parts[1], parts[2]
	}
	switch {
	case strings.HasSuffix(label, "PRIVATE KEY"):
		return nil, "is a private key"
	case label == "CERTIFICATE":
		return nil, "is a certificate"
	case strings.HasPrefix(body, "{"), strings.HasPrefix(body, "["):
		return nil, "is JSON"
	case strings.HasPrefix(body, "http"):
		return nil, "is a URL"
	case strings.HasPrefix(body, "pk_"):
		return nil, "is a publishable key"
	}
	der, err := decodeBase64(body)
	if err != nil {
		return nil, "is not PEM"
	}
	if strings.HasPrefix(string(der), "-----BEGIN") {
		return publicKey(string(der))
	}
	if label == "RSA PUBLIC KEY" {
		if key, err = x509.ParsePKCS1PublicKey(der); err != nil {
			return nil, "is damaged"
		}
		return key, weakness(key)
	}
	return parsePublicKey(der)
}

func parsePublicKey(der []byte) (*rsa.PublicKey, string) {
	if _, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return nil, "is a private key"
	}
	if _, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return nil, "is a private key"
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, "is damaged"
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return nil, "is no RSA key"
	}
	return key, weakness(key)
}

func weakness(key *rsa.PublicKey) string {
	if key.N.BitLen() < minKeyBits {
		return "is shorter than Clerk's keys"
	}
	return ""
}

// decodeBase64 decodes base64 with any white space inside, padded or not.
func decodeBase64(s string) ([]byte, error) {
	s = strings.Join(strings.Fields(s), "")
	return base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
}
