package main

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"encore.app/fakeclerk"
)

// secretKey is that of a production instance, whose limit clerkLimit is.
const secretKey = "sk_live_fakeclerk"

var clerkLimit = fakeclerk.RateLimit{Requests: 1000, Window: 10 * time.Second}

// user is one of the crowd. The profile is the only right answer to the token.
type user struct{ id, token, profile string }

// tokens are a crowd with its session tokens, signed before any scenario
// begins. All fake Clerks have the same key, so one crowd serves every scenario.
type tokens struct {
	key   *rsa.PrivateKey
	users []user
	admin user
}

func signTokens(n int) (*tokens, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	clerk, err := startClerk(key, fakeclerk.Options{}, n)
	if err != nil {
		return nil, err
	}
	defer clerk.Close()
	admin, err := clerk.SessionToken("user_ada", fakeclerk.ActiveOrganization("org_analytical"))
	if err != nil {
		return nil, err
	}
	t := &tokens{key: key, users: make([]user, n), admin: user{id: "user_ada", token: admin}}

	workers := runtime.GOMAXPROCS(0)
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n && errs[w] == nil; i += workers {
				id := userID(i)
				u := user{id: id, profile: fmt.Sprintf(`{"userId":%q,"email":%q}`, id, email(i))}
				u.token, errs[w] = clerk.SessionToken(id)
				t.users[i] = u
			}
		})
	}
	wg.Wait()
	return t, errors.Join(errs...)
}

func userID(i int) string { return fmt.Sprintf("user_%05d", i) }
func email(i int) string  { return fmt.Sprintf("%05d@example.com", i) }

// startClerk starts a fake Clerk that knows the first n users of the crowd,
// answers after 80 ms and has Clerk's limit.
func startClerk(key *rsa.PrivateKey, o fakeclerk.Options, n int) (*fakeclerk.Server, error) {
	o.SecretKey, o.SigningKey = secretKey, key
	o.TokenLifetime = time.Hour // longer than the run
	clerk, err := fakeclerk.Start(o)
	if err != nil {
		return nil, err
	}
	clerk.SetRateLimit(clerkLimit)
	clerk.SetLatency(80 * time.Millisecond)
	for i := range n {
		if _, err := clerk.AddUser(fakeclerk.User{
			ID:             userID(i),
			EmailAddresses: []fakeclerk.EmailAddress{{EmailAddress: email(i)}},
		}); err != nil {
			_ = clerk.Close()
			return nil, err
		}
	}
	return clerk, nil
}
