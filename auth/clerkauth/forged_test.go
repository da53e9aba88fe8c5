package clerkauth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"encore.app/auth/clerkauth"
)

const (
	ordinaryHeader  = `{"alg":"RS256","cat":"cl_B7d4PD111AAA","kid":"ins_fakeclerk","typ":"JWT"}`
	ordinaryPayload = `{"azp":"http://localhost:3001","exp":4102444800,"iat":1700000000,"iss":"https://fakeclerk.clerk.accounts.dev","nbf":1700000000,"sid":"sess_1","sts":"active","sub":"user_ada","v":2}`
)

// forgery returns a token of at most the longest length, with a made-up
// signature of the right length.
func forgery(header, payload string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(header)) + "." + encode([]byte(payload)) + "." + encode(make([]byte, 256))
}

// many repeats what part returns to the given length.
func many(length int, part func(i int) string) string {
	var b strings.Builder
	for i := 0; b.Len() < length; i++ {
		b.WriteString(part(i))
	}
	return b.String()
}

// forgeries are tokens that anybody can make up. Each shape is as expensive as
// possible: in a header of the longest length, in a header that fills the whole
// token, and in the payload.
func forgeries() map[string]string {
	point, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		panic(err)
	}
	uncompressed, err := point.PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	coordinate := func(i int) string {
		return base64.RawURLEncoding.EncodeToString(uncompressed[1+66*i:][:66])
	}
	members := map[string]func(length int) string{
		"many names":       func(n int) string { return many(n, func(i int) string { return fmt.Sprintf(`,"%x":0`, i) }) },
		"a repeated name":  func(n int) string { return many(n, func(int) string { return `,"x":0` }) },
		"a repeated sub":   func(n int) string { return many(n, func(int) string { return `,"sub":"mch_1"` }) },
		"escaped names":    func(n int) string { return many(n, func(i int) string { return fmt.Sprintf(`,"\u%04x":0`, i+32) }) },
		"deep arrays":      func(n int) string { return `,"x":` + strings.Repeat("[", n/2) + strings.Repeat("]", n/2) },
		"deep objects":     func(n int) string { return `,"x":` + strings.Repeat(`{"":`, n/5) + "0" + strings.Repeat("}", n/5) },
		"many objects":     func(n int) string { return `,"x":[` + many(n, func(int) string { return `{"a":0},` }) + `0]` },
		"many arrays":      func(n int) string { return `,"x":[` + many(n, func(int) string { return `[],` }) + `0]` },
		"many numbers":     func(n int) string { return `,"x":[` + many(n, func(int) string { return `1e9,` }) + `0]` },
		"a long string":    func(n int) string { return `,"x":"` + strings.Repeat("x", n) + `"` },
		"an escaped value": func(n int) string { return `,"x":"` + strings.Repeat(`\u0041`, n/6) + `"` },
		"a long number":    func(n int) string { return `,"x":` + strings.Repeat("9", n) },
		"a long date":      func(n int) string { return `,"exp":1.` + strings.Repeat("9", n) },
		"permissions": func(n int) string {
			return `,"o":{"id":"org_1","per":"` + strings.Repeat("a,", n/8) + `a","fpm":"` + strings.Repeat("9", n/4) + `"},"fea":"` + strings.Repeat("o:a,", n/8) + `o:a"`
		},
		"an embedded key": func(int) string {
			return `,"jwk":{"kty":"EC","crv":"P-521","x":"` + coordinate(0) + `","y":"` + coordinate(1) + `"}`
		},
		"a certificate": func(n int) string { return `,"x5c":["` + strings.Repeat("A", n/4*4) + `"]` },
		"a wrong field": func(int) string { return `,"x5c":[7]` },
		"crit": func(n int) string {
			return `,"crit":["b64",` + many(n, func(int) string { return `"b64",` }) + `"b64"]`
		},
	}
	within := func(object string, members string) string { return strings.TrimSuffix(object, "}") + members + "}" }
	shapes := map[string]string{}
	const longest = clerkauth.MaxTokenBytes/4*3 - 600 // of a header or payload, undecoded
	const maxHeaderBytes = 1 << 10
	withoutCategory := strings.Replace(ordinaryHeader, `"cat":"cl_B7d4PD111AAA",`, "", 1)
	for name, member := range members {
		// 192 and 4,096 bytes are the bounds below which the SDK gets the token
		// unchanged.
		shapes["small header, "+name] = forgery(within(ordinaryHeader, member(140-len(ordinaryHeader))), ordinaryPayload)
		shapes["small payload, "+name] = forgery(withoutCategory, within(`{"a":0}`, member(2450)))
		shapes["small both, "+name] = forgery(within(withoutCategory, member(140-len(withoutCategory))), within(`{"a":0}`, member(2450)))
		shapes["header, "+name] = forgery(within(ordinaryHeader, member(maxHeaderBytes/4*3-100)), ordinaryPayload)
		shapes["whole header, "+name] = forgery(within(ordinaryHeader, member(longest)), ordinaryPayload)
		shapes["payload, "+name] = forgery(ordinaryHeader, within(`{"a":0}`, member(longest)))
		shapes["payload without cat, "+name] = forgery(withoutCategory, within(`{"a":0}`, member(longest)))
		shapes["payload behind a wrong field, "+name] = forgery(within(ordinaryHeader, `,"x5c":[7]`), within(`{"a":0}`, member(longest)))
		shapes["both, "+name] = forgery(within(withoutCategory, member(maxHeaderBytes/4*3-100)), within(`{"a":0}`, member(longest-1000)))
	}
	full := strings.Repeat("A", clerkauth.MaxTokenBytes)
	for name, token := range map[string]string{
		"dots":                   strings.Repeat(".", len(full)),
		"parts":                  strings.Repeat("AA.", len(full)/3),
		"no dot":                 full,
		"a long signature":       forgery(ordinaryHeader, ordinaryPayload)[:500] + full[:15_000],
		"not base64":             forgery(ordinaryHeader, ordinaryPayload)[:500] + strings.Repeat("!", 15_000),
		"bits left over":         forgery(ordinaryHeader, strings.Repeat(" ", 11_000)) + "B",
		"a huge kid":             forgery(strings.Replace(ordinaryHeader, "ins_fakeclerk", full[:11_000], 1), ordinaryPayload),
		"a long kid":             forgery(strings.Replace(ordinaryHeader, "ins_fakeclerk", full[:600], 1), ordinaryPayload),
		"an access token":        forgery(strings.Replace(ordinaryHeader, `"JWT"`, `"at+jwt"`, 1), within(ordinaryPayload, members["many names"](10_000))),
		"a machine's token":      forgery(strings.Replace(ordinaryHeader, "111", "333", 1), within(`{"sub":"mch_1"}`, members["many names"](10_000))),
		"a machine's, sub last":  forgery(withoutCategory, `{"a":0`+members["many names"](10_000)+`,"sub":"mch_1"}`),
		"an opaque token":        "ak_" + full[:16_000],
		"a payload of no object": forgery(withoutCategory, strings.Repeat("[", longest)),
		"white space":            forgery(withoutCategory, strings.Repeat(" ", longest)+"{}"),
	} {
		shapes[name] = token
	}
	return shapes
}

// TestForgeriesAreRefused: a forgery of any shape is refused without a call
// about it, whichever kinds of token are accepted.
func TestForgeriesAreRefused(t *testing.T) {
	for kinds, configure := range map[string]func(*clerkauth.Options){"session tokens": func(*clerkauth.Options) {}, "every kind": acceptEvery} {
		f := newFixture(t, configure)
		if _, err := f.authenticate(t, "user_ada"); err != nil {
			t.Fatal(err)
		}
		f.clerk.ResetRequests()
		for name, token := range forgeries() {
			if len(token) > clerkauth.MaxTokenBytes {
				t.Fatalf("%s: %d bytes", name, len(token))
			}
			if _, err := f.authenticator.Authenticate(t.Context(), token); clerkauth.AsError(err).Kind != clerkauth.Unauthenticated {
				t.Errorf("%s, %s: %v", kinds, name, err)
			}
		}
		if n := f.clerk.TotalRequests(); n != 0 {
			t.Errorf("%s: %d calls", kinds, n)
		}
	}
}

// BenchmarkForged prints what forgeries cost, each as a multiple of an ordinary
// one: ×ordinary. The quickest of many runs counts on both sides, because the
// machine may have other work.
func BenchmarkForged(b *testing.B) {
	f := newFixture(b, acceptEvery)
	if _, err := f.authenticate(b, "user_ada"); err != nil {
		b.Fatal(err)
	}
	quickest := func(b *testing.B, token string) float64 {
		b.ReportAllocs()
		least := time.Hour
		for b.Loop() {
			start := time.Now()
			_, _ = f.authenticator.Authenticate(context.Background(), token)
			least = min(least, time.Since(start))
		}
		return float64(least.Nanoseconds())
	}
	var ordinary float64
	b.Run("ordinary", func(b *testing.B) { ordinary = quickest(b, forgery(ordinaryHeader, ordinaryPayload)) })
	for name, token := range forgeries() {
		b.Run(name, func(b *testing.B) { b.ReportMetric(quickest(b, token)/ordinary, "×ordinary") })
	}
}
