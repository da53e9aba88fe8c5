package main

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"encore.app/internal/fakeclerk"
)

// secretKey is a production key, so that Clerk's limit is 1,000 calls in 10 s.
const secretKey = "sk_live_fakeclerk"

// admin is an account of every fake Clerk, and admin of an organization.
const admin = "user_ada"

// user is one of the crowd.
type user struct {
	id, token, profile string // profile is the only right answer to the token
}

// users are a crowd with its tokens, which are signed before any case begins.
// One key signs for all fake Clerks, so every case takes from the same crowd.
type users struct {
	key   *rsa.PrivateKey
	all   []user
	admin user
}

func newUsers(n int) (*users, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	u := &users{key: key, all: make([]user, n)}
	clerk, err := u.clerk(fakeclerk.Options{}, n)
	if err != nil {
		return nil, err
	}
	defer clerk.Close()
	token, err := clerk.SessionToken(admin, fakeclerk.ActiveOrganization("org_analytical"))
	if err != nil {
		return nil, err
	}
	u.admin = user{id: admin, token: token}

	workers := runtime.GOMAXPROCS(0)
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n && errs[w] == nil; i += workers {
				id := userID(i)
				token, err := clerk.SessionToken(id)
				errs[w] = err
				u.all[i] = user{id: id, token: token, profile: fmt.Sprintf(`{"userId":%q,"email":%q}`, id, email(i))}
			}
		})
	}
	wg.Wait()
	return u, errors.Join(errs...)
}

func userID(i int) string { return fmt.Sprintf("user_%05d", i) }
func email(i int) string  { return fmt.Sprintf("%05d@example.com", i) }

// clerk starts a fake Clerk that knows the first n users of the crowd. It
// answers after 80 ms and has Clerk's limit, unless the options say otherwise.
func (u *users) clerk(o fakeclerk.Options, n int) (*fakeclerk.Server, error) {
	o.SecretKey, o.SigningKey = secretKey, u.key
	o.TokenLifetime = time.Hour // longer than the run
	o.RateLimit = fakeclerk.RateLimit{Requests: 1000, Window: 10 * time.Second}
	o.Latency = 80 * time.Millisecond
	clerk, err := fakeclerk.Start(o)
	if err != nil {
		return nil, err
	}
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
