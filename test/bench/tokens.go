package main

import (
	"runtime"
	"sync"

	"encore.app/fakeclerk"
)

// The one user of all measurements, and what a server answers about her.
const (
	userID  = "user_ada"
	email   = "ada@example.com"
	profile = `{"userId":"user_ada","email":"ada@example.com"}`
)

// signTokens signs distinct session tokens of the user.
func signTokens(clerk *fakeclerk.Server, n int) ([]string, error) {
	tokens := make([]string, n)
	workers := runtime.GOMAXPROCS(0)
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n && errs[w] == nil; i += workers {
				tokens[i], errs[w] = clerk.SessionToken(userID)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return tokens, nil
}
