// Command crowd plays to this backend, and to the handler that Clerk's guide
// leads to, what happens when many users come at once and Clerk is not at its
// best. It prints what users and Clerk saw, and writes nothing else.
//
//	go run ./test/crowd                 under 3 minutes
//	go run ./test/crowd -run silently   only scenarios whose name has the word
//	go run ./test/crowd -ours           this backend alone, in half the time
//
// It ends with status 1 if a count of this backend is not as it must be. Times
// are printed and never decide.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	only := flag.String("run", "", "play only the scenarios whose name has this in it")
	alone := flag.Bool("ours", false, "play to this backend alone")
	flag.Parse()
	against := backends
	if *alone {
		against = backends[:ours+1]
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, full, against, *only); err != nil {
		fmt.Fprintln(os.Stderr, "crowd:", err)
		os.Exit(1)
	}
}

// run reports an error if a count of this backend is not as it must be.
func run(ctx context.Context, s size, backends []backend, only string) error {
	began := time.Now()
	selected := slices.DeleteFunc(slices.Clone(scenarios), func(one scenario) bool {
		return !strings.Contains(one.name, only)
	})
	users := 0
	for _, one := range selected {
		users = max(users, one.users(s))
	}
	trustLines()
	tokens, err := signTokens(users)
	if err != nil {
		return err
	}
	fmt.Printf("%s %s/%s, %d processors; Clerk answers in 80 ms and allows 1,000 calls in 10 s\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	fmt.Printf("%d tokens were signed beforehand, in %.0f s\n\n", users, time.Since(began).Seconds())

	st := stage{client: newClient(), tokens: tokens, size: s}
	defer st.client.close()
	missed := 0
	for _, one := range selected {
		outcomes, err := one.run(ctx, st, backends)
		if err != nil {
			return fmt.Errorf("%s: %w", one.name, err)
		}
		print(one.name, backends, outcomes)
		missed += len(outcomes[ours].missed)
	}
	fmt.Printf("\n%.0f s in all\n", time.Since(began).Seconds())
	if missed > 0 {
		return fmt.Errorf("%d counts are not as they must be", missed)
	}
	return nil
}
