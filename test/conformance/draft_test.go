package conformance

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// member is a member of a JSON object, written as it stands: names may repeat
// and values may be anything.
type member struct{ name, value string }

// draft is a token before it is signed.
type draft struct {
	header, payload       []member
	rawHeader, rawPayload string // in place of the members, if not empty
	key                   *rsa.PrivateKey
	// spell changes how the header and the payload are written, before they
	// are signed; nil leaves them as they are.
	spell func(header, payload string) (string, string)
	// sign makes the signature; nil signs with RS256.
	sign func(d *draft, input string) []byte
	// rewrite changes the finished token.
	rewrite []func(token string) string
}

// keys are Clerk's key, and somebody else's.
type keys struct {
	clerk, other *rsa.PrivateKey
	pem          string // of Clerk's public key
}

const keyID = "ins_fakeclerk"

// newDraft is a session token that everybody accepts. The email claim spares
// asking for the user, which is not what this is about.
func newDraft(k keys, now int64) *draft {
	return &draft{
		key: k.clerk,
		header: []member{
			{"alg", `"RS256"`}, {"cat", `"cl_B7d4PD111AAA"`}, {"kid", quote(keyID)}, {"typ", `"JWT"`},
		},
		payload: []member{
			{"azp", `"http://localhost:3001"`}, {"email", `"ada@example.com"`}, {"exp", fmt.Sprint(now + 60)}, {"fva", `[0,-1]`},
			{"iat", fmt.Sprint(now)}, {"iss", `"https://fakeclerk.clerk.accounts.dev"`}, {"jti", `"0123456789abcdef0123"`},
			{"nbf", fmt.Sprint(now - 10)}, {"sid", `"sess_1"`}, {"sts", `"active"`}, {"sub", `"user_ada"`}, {"v", "2"},
		},
	}
}

func (d *draft) token() string {
	header, payload := d.rawHeader, d.rawPayload
	if header == "" {
		header = object(d.header)
	}
	if payload == "" {
		payload = object(d.payload)
	}
	header, payload = encode(header), encode(payload)
	if d.spell != nil {
		header, payload = d.spell(header, payload)
	}
	input := header + "." + payload
	sign := d.sign
	if sign == nil {
		sign = withRSA(crypto.SHA256)
	}
	token := input + "." + encode(string(sign(d, input)))
	for _, rewrite := range d.rewrite {
		token = rewrite(token)
	}
	return token
}

func object(members []member) string {
	var b strings.Builder
	for i, m := range members {
		if i > 0 {
			b.WriteByte(',')
		}
		name := m.name
		if !strings.HasPrefix(name, `"`) {
			name = quote(name)
		}
		b.WriteString(name + ":" + m.value)
	}
	return "{" + b.String() + "}"
}

// set replaces the member's value, or adds it.
func set(members []member, name, value string) []member {
	for i := range members {
		if members[i].name == name {
			members[i].value = value
			return members
		}
	}
	return append(members, member{name, value})
}

func remove(members []member, name string) []member {
	kept := members[:0]
	for _, m := range members {
		if m.name != name {
			kept = append(kept, m)
		}
	}
	return kept
}

// valueOf gives the member's value, or for an absent one what it could be.
func valueOf(members []member, name string) string {
	for _, m := range members {
		if m.name == name {
			return m.value
		}
	}
	if value, ok := usual[name]; ok {
		return value
	}
	return `"x"`
}

// usual are values of members that the ordinary token does not have.
var usual = map[string]string{
	"act":             `{"iss":"https://dashboard.clerk.com","sub":"user_support"}`,
	"fea":             `"o:dashboard,o:teams,u:export"`,
	"o":               `{"id":"org_1","slg":"one","rol":"admin","per":"manage,read","fpm":"3,2"}`,
	"org_permissions": `["org:teams:read"]`,
	"pla":             `"o:gold,u:free"`,
}

func withRSA(hash crypto.Hash) func(*draft, string) []byte {
	return func(d *draft, input string) []byte {
		signature, err := rsa.SignPKCS1v15(nil, d.key, hash, digest(hash, input))
		if err != nil {
			panic(err)
		}
		return signature
	}
}

func withPSS(d *draft, input string) []byte {
	signature, err := rsa.SignPSS(rand.Reader, d.key, crypto.SHA256, digest(crypto.SHA256, input), nil)
	if err != nil {
		panic(err)
	}
	return signature
}

func withHMAC(secret string) func(*draft, string) []byte {
	return func(_ *draft, input string) []byte {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(input))
		return mac.Sum(nil)
	}
}

func unsigned(*draft, string) []byte { return nil }

func digest(hash crypto.Hash, input string) []byte {
	switch hash {
	case crypto.SHA384:
		sum := sha512.Sum384([]byte(input))
		return sum[:]
	case crypto.SHA512:
		sum := sha512.Sum512([]byte(input))
		return sum[:]
	}
	sum := sha256.Sum256([]byte(input))
	return sum[:]
}

func encode(part string) string { return base64.RawURLEncoding.EncodeToString([]byte(part)) }

func quote(s string) string {
	quoted, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(quoted)
}
