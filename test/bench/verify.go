package main

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/jwt"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
)

// rememberedPasses is how often a round goes over the tokens when they are
// remembered: one pass would be too short to time.
const rememberedPasses = 20

// verification is one way to verify a session token.
type verification struct {
	name   string
	times  []float64 // nanoseconds, one value a round
	allocs float64   // -1 where Go cannot count them
}

func (v *verification) median() float64 { return median(v.times) }

// verifications are the ways that are compared.
type verifications struct {
	floor, sdk, fresh, remembered, node verification
}

func measureVerification(ctx context.Context, p plan, clerkServer *fakeclerk.Server, folder string, tokens []string) (*verifications, error) {
	tokens = tokens[:p.verifyTokens]
	v := &verifications{
		floor:      verification{name: "one RSA-2048 check, the floor"},
		sdk:        verification{name: "clerk-sdk-go, jwt.Verify with the key at hand"},
		fresh:      verification{name: "ours, a new token"},
		remembered: verification{name: "ours, a remembered token"},
		node:       verification{name: "@clerk/backend, verifyToken with jwtKey", allocs: -1},
	}
	key, err := clerk.JSONWebKeyFromPEM(clerkServer.PublicKeyPEM())
	if err != nil {
		return nil, err
	}
	floor, err := rawCheck(key, tokens)
	if err != nil {
		return nil, err
	}
	sdk := func(i int) error {
		_, err := jwt.Verify(ctx, &jwt.VerifyParams{Token: tokens[i], JWK: key})
		return err
	}
	var authenticator *clerkauth.Authenticator
	ours := func(i int) error {
		_, err := authenticator.Authenticate(ctx, tokens[i])
		return err
	}
	// forget begins anew, with Clerk's keys and the user known but no token of the round.
	warm, err := clerkServer.SessionToken(userID)
	if err != nil {
		return nil, err
	}
	forget := func() error {
		if authenticator, err = clerkauth.New(clerkauth.Options{
			SecretKey:         clerkServer.SecretKey(),
			APIURL:            clerkServer.URL(),
			Issuer:            clerkServer.Issuer(),
			AuthorizedParties: []string{fakeclerk.DefaultAuthorizedParty},
		}); err != nil {
			return err
		}
		_, err := authenticator.Authenticate(ctx, warm)
		return err
	}
	node, err := startNodeVerifier(ctx, clerkServer, folder, tokens)
	if err != nil {
		return nil, err
	}
	defer node.stop()

	for round := range p.verifyRounds + 1 { // the first warms up
		times := [5]float64{}
		err := errors.Join(
			timed(&times[0], len(tokens), 1, floor),
			timed(&times[1], len(tokens), 1, sdk),
			forget(),
			timed(&times[2], len(tokens), 1, ours),
			timed(&times[3], len(tokens), rememberedPasses, ours),
			node.round(&times[4]),
		)
		if err != nil {
			return nil, err
		}
		if round == 0 {
			continue
		}
		for i, one := range []*verification{&v.floor, &v.sdk, &v.fresh, &v.remembered, &v.node} {
			one.times = append(one.times, times[i])
		}
	}

	v.floor.allocs = allocations(floor)
	v.sdk.allocs = allocations(sdk)
	if err := forget(); err != nil {
		return nil, err
	}
	v.fresh.allocs = allocations(ours)
	v.remembered.allocs = allocations(ours)
	return v, nil
}

// timed gives the nanoseconds of one verification.
func timed(into *float64, tokens, passes int, verify func(i int) error) error {
	runtime.GC() // nobody pays for the garbage of the one before
	began := time.Now()
	for range passes {
		for i := range tokens {
			if err := verify(i); err != nil {
				return err
			}
		}
	}
	*into = float64(time.Since(began).Nanoseconds()) / float64(passes*tokens)
	return nil
}

// allocations goes over tokens 0 to 100, each of them once.
func allocations(verify func(i int) error) float64 {
	i := 0
	return testing.AllocsPerRun(100, func() {
		if err := verify(i); err != nil {
			panic(err) // it was in order a moment ago
		}
		i++
	})
}

// rawCheck is what no verification can do without: SHA-256 over what was
// signed, and RSA with a 2048-bit key. The base64 is decoded beforehand.
func rawCheck(key *clerk.JSONWebKey, tokens []string) (func(i int) error, error) {
	public, ok := key.Key.(*rsa.PublicKey)
	if !ok || public.Size() != 2048/8 {
		return nil, errors.New("not an RSA-2048 key")
	}
	signed, signatures := make([][]byte, len(tokens)), make([][]byte, len(tokens))
	for i, token := range tokens {
		dot := strings.LastIndexByte(token, '.')
		signature, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
		if err != nil {
			return nil, err
		}
		signed[i], signatures[i] = []byte(token[:dot]), signature
	}
	return func(i int) error {
		hash := sha256.Sum256(signed[i])
		return rsa.VerifyPKCS1v15(public, crypto.SHA256, hash[:], signatures[i])
	}, nil
}

// nodeVerifier is guide/verify.mjs.
type nodeVerifier struct{ *process }

func startNodeVerifier(ctx context.Context, clerkServer *fakeclerk.Server, folder string, tokens []string) (nodeVerifier, error) {
	p, err := start(ctx, environment(clerkServer, true), folder, "node", "guide/verify.mjs")
	if err != nil {
		return nodeVerifier{}, err
	}
	return nodeVerifier{p}, json.NewEncoder(p.stdin).Encode(tokens)
}

func (n nodeVerifier) round(into *float64) error {
	if _, err := fmt.Fprintln(n.stdin, "round"); err != nil {
		return err
	}
	line, err := n.line()
	if err != nil {
		return err
	}
	*into, err = strconv.ParseFloat(line, 64)
	return err
}

func (v *verifications) print() {
	fmt.Println("One verification, one after the other on one core")
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tµs\t× jwt.Verify\tallocations\tspread\t")
	for _, one := range []*verification{&v.floor, &v.sdk, &v.fresh, &v.remembered, &v.node} {
		allocs := "-"
		if one.allocs >= 0 {
			allocs = strconv.FormatFloat(one.allocs, 'f', 0, 64)
		}
		fmt.Fprintf(w, "%s\t%.2f\t%.3f\t%s\t%s\t\n", one.name, one.median()/1000, v.ratio(one), allocs, spread(one.times))
	}
	_ = w.Flush()
	fmt.Println()
}

// ratio compares with clerk-sdk-go's jwt.Verify in the same rounds.
func (v *verifications) ratio(one *verification) float64 { return pairedRatio(one.times, v.sdk.times) }

func (v *verifications) targets() []target {
	fresh, remembered := v.ratio(&v.fresh), v.ratio(&v.remembered)
	return []target{
		{
			text: "a new token costs at most 1.2 × jwt.Verify",
			got:  fmt.Sprintf("%.2f", fresh), met: fresh <= 1.2,
		},
		{
			text: "a remembered token costs at most 1/15 of jwt.Verify",
			got:  fmt.Sprintf("1/%.0f", 1/remembered), met: remembered <= 1.0/15,
		},
		{
			text: "a remembered token costs at most 3 allocations",
			got:  fmt.Sprintf("%.0f", v.remembered.allocs), met: v.remembered.allocs <= 3, count: true,
		},
	}
}
