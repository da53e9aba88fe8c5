package conformance

import (
	"crypto"
	"encoding/base64"
	"fmt"
	"strings"

	"encore.app/auth/clerkauth"
)

// variation is one thing that is different about a token.
type variation struct {
	name  string
	apply func(*draft)
}

// subject is what a variation changes, such as "claim exp".
func (v variation) subject() string {
	words := strings.Fields(strings.Replace(v.name, "_with_o", "", 1))
	return strings.Join(words[:min(len(words), 2)], " ")
}

// variations are all of them: each header field and claim in every state, other
// signatures, other spellings of the same bytes, other kinds of token.
func variations(k keys, now int64) []variation {
	all := headerStates()
	all = append(all, claimStates(
		"azp", "exp", "iat", "nbf", "iss", "sub", "sid", "sts", "jti", "v", "fva", "fea", "pla", "act", "o", "email", "aud",
		"org_id", "org_slug", "org_role", "org_permissions", "new",
	)...)
	for _, name := range []string{"id", "slg", "rol", "per", "fpm", "new"} {
		all = append(all, states("claim o."+name, name, func(d *draft, change func([]member) []member) {
			o := []member{{"id", `"org_1"`}, {"slg", `"one"`}, {"rol", `"admin"`}, {"per", `"manage,read"`}, {"fpm", `"3,2"`}}
			d.payload = set(set(d.payload, "fea", `"o:dashboard,o:teams"`), "o", object(change(o)))
		})...)
	}
	// The reference reads fea only when there is an organization, in version 2.
	all = append(all, states("claim fea_with_o", "fea", func(d *draft, change func([]member) []member) {
		d.payload = change(set(set(d.payload, "fea", usual["fea"]), "o", usual["o"]))
	})...)
	all = append(all, values(now)...)
	all = append(all, signatures(k)...)
	all = append(all, spellings()...)
	all = append(all, documents()...)
	return append(all, kinds(now)...)
}

// headerStates puts each header field into every state.
func headerStates() []variation {
	var all []variation
	for _, name := range []string{"alg", "kid", "typ", "cat", "crit", "b64", "cty", "jku", "jwk", "x5c", "zip", "new"} {
		all = append(all, states("header "+name, name, func(d *draft, change func([]member) []member) { d.header = change(d.header) })...)
	}
	return all
}

// claimStates puts each of the claims into every state.
func claimStates(names ...string) []variation {
	var all []variation
	for _, name := range names {
		all = append(all, states("claim "+name, name, func(d *draft, change func([]member) []member) { d.payload = change(d.payload) })...)
	}
	return all
}

// states puts one member into every state that a member can be in. Of a draft,
// edit changes the object that has the member.
func states(label, name string, edit func(d *draft, change func([]member) []member)) []variation {
	var all []variation
	add := func(state string, change func(members []member) []member) {
		all = append(all, variation{label + " " + state, func(d *draft) { edit(d, change) }})
	}
	add("absent", func(m []member) []member { return remove(m, name) })
	for state, value := range map[string]string{
		"null": "null", "true": "true", "false": "false", "0": "0", "1": "1", "-1": "-1", "1.5": "1.5", "1e3": "1e3",
		"empty": `""`, "a word": `"word"`, "a space": `" "`, "a number in words": `"1"`,
		"an empty list": "[]", "a list of a word": `["word"]`, "a list of null": "[null]", "an empty object": "{}", "an object": `{"id":"x"}`,
		"huge": `"` + strings.Repeat("x", 5000) + `"`, "a huge number": "1" + strings.Repeat("0", 400),
		"a lone surrogate": `"\ud800"`, "a NUL": `"\u0000"`,
	} {
		add(state, func(m []member) []member { return set(m, name, value) })
	}
	add("in upper case", func(m []member) []member { return set(m, name, strings.ToUpper(valueOf(m, name))) })
	add("with its name in upper case", func(m []member) []member {
		value := valueOf(m, name)
		return append(remove(m, name), member{strings.ToUpper(name), value})
	})
	add("with its name capitalized", func(m []member) []member {
		value := valueOf(m, name)
		return append(remove(m, name), member{strings.ToUpper(name[:1]) + name[1:], value})
	})
	add("with another beside it in upper case", func(m []member) []member { return append(m, member{strings.ToUpper(name), `"word"`}) })
	add("with its name escaped", func(m []member) []member {
		value := valueOf(m, name)
		return append(remove(m, name), member{fmt.Sprintf(`"\u%04x%s"`, name[0], name[1:]), value})
	})
	add("with its value escaped", func(m []member) []member {
		value := valueOf(m, name)
		if value[0] != '"' {
			return m
		}
		return set(m, name, fmt.Sprintf(`"\u%04x%s`, value[1], value[2:]))
	})
	add("twice", func(m []member) []member { return append(m, member{name, valueOf(m, name)}) })
	add("twice, the first another", func(m []member) []member { return append([]member{{name, `"word"`}}, m...) })
	add("twice, the last another", func(m []member) []member { return append(m, member{name, `"word"`}) })
	return all
}

// values are particular values of claims.
func values(now int64) []variation {
	var all []variation
	named := func(name, what, value string) {
		all = append(all, variation{"claim " + name + " " + what, func(d *draft) { d.payload = set(d.payload, name, value) }})
	}
	claim := func(name, value string) { named(name, value, value) }
	// Around the limits of the five seconds of clock skew.
	for _, offset := range []float64{-3600, -61, -6, -5.5, -5, -4.5, -4, -1, 0, 0.5, 1, 4, 4.5, 5, 5.5, 6, 61, 3600} {
		at := float64(now) + offset
		for _, name := range []string{"exp", "nbf", "iat"} {
			what := fmt.Sprintf("now %+g s", offset)
			named(name, what, fmt.Sprintf("%.10g", at))
			named(name, what+" with a fraction", fmt.Sprintf("%.3f", at))
			named(name, what+" as an exponent", fmt.Sprintf("%.10e", at))
		}
	}
	for _, name := range []string{"exp", "nbf", "iat"} {
		named(name, "now in milliseconds", fmt.Sprint(now*1000))
		named(name, "in words", quote(fmt.Sprint(now)))
		for _, value := range []string{
			"253402300799", "253402300800", "8640000000000", "8640000000001", "9007199254740993",
			"-62135596800", "1e18", "1e300", "-1e300", "1e999", "0.0001", "-0",
		} {
			claim(name, value)
		}
	}
	for _, value := range []string{
		"http://localhost:3001/", "http://LOCALHOST:3001", "https://localhost:3001", "http://localhost", "http://localhost:3001 ",
		"http://localhost:3001.evil.example", "https://evil.example", "localhost:3001", "http://localhost:3001,https://evil.example",
		"https://second.example", "null", "undefined", "*",
	} {
		claim("azp", quote(value))
	}
	claim("azp", `["http://localhost:3001"]`)
	for _, value := range []string{
		"https://clerk.example.com", "https://x.clerk.accounts.dev", "https://evil.example", "http://clerk.example.com",
		"https://clerk.evil.example", "https://evil.example/.clerk.accounts", "//clerk.example.com",
	} {
		claim("iss", quote(value))
	}
	for _, value := range []string{
		"user_2abcDEF", "user_", "USER_ada", "mch_1", "user_ada\x00", "user_ada ", " user_ada", "user_/../jwks", "user_ä", "oauth_1", "org_1",
	} {
		claim("sub", quote(value))
	}
	for _, value := range []string{"active", "pending", "Pending", "PENDING", "revoked", "ended", "expired", "pending ", "abandoned"} {
		claim("sts", quote(value))
	}
	for _, value := range []string{"2", "3", "99", `"2"`, "2.0", "2.5"} {
		claim("v", value)
	}
	for _, value := range []string{"[0]", "[0,-1,5]", `["0","-1"]`, "[-1,-1]", "[99999,99999]", "[1.5,2]", "[null,null]"} {
		claim("fva", value)
	}
	for _, value := range []string{
		`{"id":"org_1","slg":"one","rol":"admin","per":"read,manage","fpm":"3"}`, `{"id":1}`, `{"id":"org_1","rol":7}`, `{"fpm":"x"}`,
	} {
		claim("o", value)
	}
	claim("act", `{"sub":"user_boss","iss":"https://dashboard.clerk.com"}`)
	claim("aud", `"https://api.example.com"`)
	claim("aud", `["a","b"]`)
	for _, version := range []string{"1", "3"} {
		all = append(all, variation{"claim fea_with_o without a scope, in version " + version, func(d *draft) {
			d.payload = set(set(set(d.payload, "fea", `"a"`), "o", usual["o"]), "v", version)
		}})
	}
	for _, value := range []string{"o:a,b", "a,o:b", "o:a,,u:b", "o:a,", ",", "o:", ":", ":a", "x:a", "O:a", " o:a , u:b ", "o:a:b"} {
		all = append(all, variation{"claim fea_with_o " + quote(value), func(d *draft) {
			d.payload = set(set(d.payload, "fea", quote(value)), "o", usual["o"])
		}})
	}
	claim("email", `{"a":1}`)
	claim("__proto__", `{"azp":"http://localhost:3001"}`)
	claim("constructor", `"x"`)

	head := func(name, value string) {
		all = append(all, variation{"header " + name + " " + value, func(d *draft) { d.header = set(d.header, name, value) }})
	}
	for _, value := range []string{"RS384", "RS512", "PS256", "ES256", "HS256", "HS512", "EdDSA", "none", "None", "nOnE", "rs256", "RS256 "} {
		head("alg", quote(value))
	}
	for _, value := range []string{"jwt", "JWT ", "at+jwt", "application/at+jwt", "AT+JWT", "JOSE", "application/jwt", "logout+jwt"} {
		head("typ", quote(value))
	}
	for _, value := range []string{"cl_B7d4PD111AAA", "cl_B7d4PD222AAA", "cl_B7d4PD333AAA", "cl_I7d4PD111III", "cl_b7d4pd111aaa", "cl_B7d4PD444AAA"} {
		head("cat", quote(value))
	}
	for _, value := range []string{"ins_other", "INS_FAKECLERK", "ins_fakeclerk ", "__proto__", "constructor", "../jwks", "local-ins_fakeclerk"} {
		head("kid", quote(value))
	}
	head("crit", `["exp"]`)
	head("crit", `["b64"]`)
	return all
}

// signatures are made with other keys and algorithms.
func signatures(k keys) []variation {
	all := []variation{
		{"signed with another key", func(d *draft) { d.key = k.other }},
		{"signed with nothing", func(d *draft) { d.sign = unsigned }},
		{"alg none, unsigned", func(d *draft) { d.header = set(d.header, "alg", `"none"`); d.sign = unsigned }},
		{"alg none, signed", func(d *draft) { d.header = set(d.header, "alg", `"none"`) }},
		{"alg PS256, signed so", func(d *draft) { d.header = set(d.header, "alg", `"PS256"`); d.sign = withPSS }},
		{"RS256 in the header, signed with PS256", func(d *draft) { d.sign = withPSS }},
		{"alg RS384, signed so", func(d *draft) { d.header = set(d.header, "alg", `"RS384"`); d.sign = withRSA(crypto.SHA384) }},
		{"alg RS512, signed so", func(d *draft) { d.header = set(d.header, "alg", `"RS512"`); d.sign = withRSA(crypto.SHA512) }},
		{"RS256 in the header, signed with RS512", func(d *draft) { d.sign = withRSA(crypto.SHA512) }},
	}
	for name, secret := range map[string]string{
		"the PEM": k.pem, "the PEM without its last line break": strings.TrimSpace(k.pem),
		"the modulus": string(k.clerk.N.Bytes()), "the modulus in base64url": encode(string(k.clerk.N.Bytes())), "nothing": "",
	} {
		all = append(all, variation{"alg HS256 with " + name + " as the secret", func(d *draft) {
			d.header = set(d.header, "alg", `"HS256"`)
			d.sign = withHMAC(secret)
		}})
	}
	for _, at := range []int{0, 1, 127, 254, 255} {
		all = append(all, variation{fmt.Sprintf("signature with byte %d changed", at), func(d *draft) {
			d.sign = func(d *draft, input string) []byte {
				signature := withRSA(crypto.SHA256)(d, input)
				signature[at] ^= 1
				return signature
			}
		}})
	}
	for _, length := range []int{1, 128, 255, 257, 512} {
		all = append(all, variation{fmt.Sprintf("signature of %d bytes", length), func(d *draft) {
			d.sign = func(d *draft, input string) []byte {
				return append(withRSA(crypto.SHA256)(d, input), make([]byte, 256)...)[:length]
			}
		}})
	}
	return all
}

// spellings change the finished token.
func spellings() []variation {
	var all []variation
	add := func(name string, rewrite func(string) string) {
		all = append(all, variation{"token " + name, func(d *draft) { d.rewrite = append(d.rewrite, rewrite) }})
	}
	part := func(n int, change func(string) string) func(string) string {
		return func(token string) string {
			parts := strings.Split(token, ".")
			if n < len(parts) {
				parts[n] = change(parts[n])
			}
			return strings.Join(parts, ".")
		}
	}
	for n, name := range []string{"header", "payload", "signature"} {
		add("with a padded "+name, part(n, pad))
		add("with a wrongly padded "+name, part(n, func(p string) string { return p + "=" }))
		add("with much padding in the "+name, part(n, func(p string) string { return p + "====" }))
		add("with bits to spare in the "+name, part(n, spareBits))
		add("without a "+name, part(n, func(string) string { return "" }))
		add("with a character too many in the "+name, part(n, func(p string) string { return p + "A" }))
		add("with four characters too many in the "+name, part(n, func(p string) string { return p + "AAAA" }))
		add("with a character less in the "+name, part(n, func(p string) string { return p[:max(len(p)-1, 0)] }))
		for what, space := range map[string]string{"a space": " ", "a tab": "\t", "a line feed": "\n", "a carriage return": "\r", "a NUL": "\x00", "a non-breaking space": "\u00a0", "an umlaut": "ä", "an emoji": "😀"} {
			add("with "+what+" in the "+name, part(n, func(p string) string { return p[:len(p)/2] + space + p[len(p)/2:] }))
			add("with "+what+" after the "+name, part(n, func(p string) string { return p + space }))
			add("with "+what+" before the "+name, part(n, func(p string) string { return space + p }))
		}
	}
	// The same, but before Clerk's key signs it: what would get by a verifier that
	// reads one spelling and verifies another.
	for name, change := range map[string]func(part string) string{
		"padded":                  pad,
		"with a padding too many": func(p string) string { return pad(p) + "=" },
		"with bits to spare":      spareBits,
		"in the standard alphabet": func(p string) string {
			return strings.NewReplacer("-", "+", "_", "/").Replace(p)
		},
		"with a space":                   func(p string) string { return p[:len(p)/2] + " " + p[len(p)/2:] },
		"with a line feed":               func(p string) string { return p[:len(p)/2] + "\n" + p[len(p)/2:] },
		"with a character too many":      func(p string) string { return p + "A" },
		"with padding in the middle":     func(p string) string { return p[:len(p)/2] + "=" + p[len(p)/2:] },
		"with padding in front":          func(p string) string { return "=" + p },
		"with a character of no base64":  func(p string) string { return p[:len(p)/2] + "*" + p[len(p)/2:] },
		"with a percent-encoded padding": func(p string) string { return pad(p) + "%3D" },
	} {
		// Both have a value that no alphabet writes alike, and need padding.
		all = append(all,
			variation{"header signed " + name, func(d *draft) {
				d.rawHeader = fill(set(d.header, "new", `"?????"`))
				d.spell = func(header, payload string) (string, string) { return change(header), payload }
			}},
			variation{"payload signed " + name, func(d *draft) {
				d.rawPayload = fill(set(d.payload, "new", `"?????"`))
				d.spell = func(header, payload string) (string, string) { return header, change(payload) }
			}})
	}
	add("with a signature in the standard alphabet", part(2, func(p string) string {
		return strings.NewReplacer("-", "+", "_", "/").Replace(p)
	}))
	add("of two parts", func(s string) string { return s[:max(strings.LastIndexByte(s, '.'), 0)] })
	add("of one part", func(s string) string { return strings.ReplaceAll(s, ".", "") })
	add("of four parts", func(s string) string { return s + ".AAAA" })
	add("of five parts, as in JWE", func(s string) string { return s + ".AAAA.AAAA" })
	add("with a last dot", func(s string) string { return s + "." })
	add("with a first dot", func(s string) string { return "." + s })
	add("with an upper case", strings.ToUpper)
	add("with its scheme before it", func(s string) string { return "Bearer " + s })
	add("twice", func(s string) string { return s + " " + s })
	add("twice with a comma", func(s string) string { return s + "," + s })
	add("in quotes", func(s string) string { return `"` + s + `"` })
	add("with header and payload swapped", func(s string) string {
		header, rest, _ := strings.Cut(s, ".")
		payload, signature, _ := strings.Cut(rest, ".")
		return payload + "." + header + "." + signature
	})
	for _, keep := range []int{0, 1, 10, 50, 100, 200, 300, 400, 500, 600} {
		add(fmt.Sprintf("cut after %d characters", keep), func(s string) string { return s[:min(keep, len(s))] })
	}
	for _, size := range []int{2 << 10, 12 << 10, clerkauth.MaxTokenBytes + 1, 32 << 10, 64 << 10} {
		all = append(all, variation{fmt.Sprintf("token of %d bytes", size), ofSize(size)})
	}
	return all
}

func pad(part string) string { return part + strings.Repeat("=", (4-len(part)%4)%4) }

// fill writes an object with a white space more, where it would need no padding.
func fill(members []member) string {
	document := object(members)
	if len(document)%3 == 0 {
		document += " "
	}
	return document
}

// spareBits sets bits that belong to no byte.
func spareBits(p string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	if len(p)%4 == 0 || p == "" {
		return p
	}
	last := strings.IndexByte(alphabet, p[len(p)-1])
	if last < 0 {
		return p
	}
	return p[:len(p)-1] + string(alphabet[last|1])
}

// documents are other JSON than one plain object.
func documents() []variation {
	var all []variation
	both := func(name string, change func(document string) string) {
		all = append(all,
			variation{"header " + name, func(d *draft) { d.rawHeader = change(object(d.header)) }},
			variation{"payload " + name, func(d *draft) { d.rawPayload = change(object(d.payload)) }})
	}
	for _, whole := range []string{"null", "true", "5", `"x"`, "[]", "{}", "x", "{", "[{}]"} {
		both("that is "+whole, func(string) string { return whole })
	}
	both("one level down", func(s string) string { return `{"jwt":` + s + `}` })
	both("in a list", func(s string) string { return "[" + s + "]" })
	both("with white space", func(s string) string { return " " + strings.ReplaceAll(s, ",", " ,\n\t") + "\r\n" })
	both("with a byte order mark", func(s string) string { return "\ufeff" + s })
	both("with a form feed", func(s string) string { return "\f" + s })
	both("with something behind it", func(s string) string { return s + "x" })
	both("with another behind it", func(s string) string { return s + s })
	both("with a NUL behind it", func(s string) string { return s + "\x00" })
	both("with a comment", func(s string) string { return s[:1] + "/* */" + s[1:] })
	both("with a last comma", func(s string) string { return s[:len(s)-1] + ",}" })
	both("in single quotes", func(s string) string { return strings.ReplaceAll(s, `"`, "'") })
	both("with NaN", func(s string) string { return s[:1] + `"nan":NaN,` + s[1:] })
	both("with invalid UTF-8", func(s string) string { return s[:1] + "\"bad\":\"\xff\xfe\"," + s[1:] })
	both("with invalid UTF-8 in a name", func(s string) string { return s[:1] + "\"\xff\":1," + s[1:] })
	both("with a control character", func(s string) string { return s[:1] + "\"bad\":\"\x01\"," + s[1:] })
	both("with a bad escape", func(s string) string { return s[:1] + `"bad":"\x41",` + s[1:] })
	both("with a leading zero", func(s string) string { return s[:1] + `"bad":01,` + s[1:] })
	both("in UTF-16", func(s string) string {
		var b strings.Builder
		for _, c := range s {
			b.WriteByte(byte(c))
			b.WriteByte(0)
		}
		return b.String()
	})
	for _, depth := range []int{10, 100, 1000} {
		both(fmt.Sprintf("%d deep", depth), func(s string) string {
			return s[:1] + `"deep":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) + "," + s[1:]
		})
	}
	all = append(all, variation{"payload in base64 once more", func(d *draft) {
		d.rawPayload = base64.RawURLEncoding.EncodeToString([]byte(object(d.payload)))
	}})
	return all
}

// kinds are the other tokens that an instance signs with the same key.
func kinds(now int64) []variation {
	times := fmt.Sprintf(`"exp":%d,"iat":%d,"nbf":%d`, now+60, now, now-10)
	session := `"azp":"http://localhost:3001","iss":"https://fakeclerk.clerk.accounts.dev","sid":"sess_1","sub":"user_ada",` + times
	header := func(more string) string { return `{"alg":"RS256","kid":"` + keyID + `"` + more + `}` }
	kind := func(name, header, payload string) variation {
		return variation{"kind " + name, func(d *draft) { d.rawHeader, d.rawPayload = header, payload }}
	}
	const email = `"email":"ada@example.com",`
	return []variation{
		kind("session token of a native app", header(`,"typ":"JWT"`), `{`+email+`"iss":"https://fakeclerk.clerk.accounts.dev","sid":"sess_1","sub":"user_ada","v":2,`+times+"}"),
		kind("JWT template", header(`,"typ":"JWT","cat":"cl_B7d4PD222AAA"`), `{"azp":"http://localhost:3001","iss":"https://fakeclerk.clerk.accounts.dev","sub":"user_ada","aud":"hasura",`+times+"}"),
		kind("JWT template without a category", header(`,"typ":"JWT"`), `{"azp":"http://localhost:3001","iss":"https://fakeclerk.clerk.accounts.dev","sub":"user_ada",`+times+"}"),
		kind("JWT template that does not discriminate", header(`,"typ":"JWT","cat":"cl_I7d4PD111III"`), `{"azp":"http://localhost:3001","iss":"https://fakeclerk.clerk.accounts.dev","sub":"user_ada",`+times+"}"),
		kind("OAuth access token", header(`,"typ":"at+jwt"`), `{"iss":"https://fakeclerk.clerk.accounts.dev","sub":"user_ada","client_id":"c","scope":"profile","jti":"oat_1",`+times+"}"),
		kind("OAuth access token, long typ", header(`,"typ":"application/at+jwt"`), "{"+session+`,"client_id":"c"}`),
		kind("ID token", header(`,"typ":"JWT"`), `{"iss":"https://fakeclerk.clerk.accounts.dev","sub":"user_ada","aud":"client","at_hash":"x",`+times+"}"),
		kind("machine token", header(`,"typ":"JWT","cat":"cl_B7d4PD333AAA"`), `{"iss":"https://fakeclerk.clerk.accounts.dev","sub":"mch_1","jti":"mt_1","scopes":"mch_2",`+times+"}"),
		kind("machine token without a category", header(`,"typ":"JWT"`), "{"+strings.Replace(session, "user_ada", "mch_1", 1)+"}"),
		kind("machine token of a user's id", header(`,"typ":"JWT","cat":"cl_B7d4PD333AAA"`), "{"+session+"}"),
		kind("handshake token", header(`,"typ":"JWT","cat":"cl_B7d4PD111AAA"`), `{"handshake":["__session=x; Path=/"],`+times+"}"),
		kind("handshake nonce", header(`,"typ":"JWT"`), `{"nonce":"x",`+times+"}"),
		kind("rotating token of a sign-in", header(`,"typ":"JWT"`), `{"eis":600,"iid":"ins_fakeclerk","sid":"sia_1","st":"sign_in_token","exp":`+fmt.Sprint(now+60)+"}"),
		kind("dev browser token", header(`,"typ":"JWT"`), `{"dev":"dvb_1","id":"client_1","rotating_token":"x"}`),
	}
}
