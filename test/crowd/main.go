// Command crowd plays to this backend, and to the handler that Clerk's guide
// leads to, what happens when many users come at once and Clerk is not at its
// best. It prints what users and Clerk saw, and writes nothing else.
//
//	go run ./test/crowd                 under 3 minutes
//	go run ./test/crowd -run silently   only scenarios whose name has the word
//
// It ends with status 1 if a count of this backend is not as it must be. Times
// are printed and never decide.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

func main() {
	only := flag.String("run", "", "play only the scenarios whose name has this in it")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, full, *only); err != nil {
		fmt.Fprintln(os.Stderr, "crowd:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s size, only string) error {
	began := time.Now()
	trustLines()
	selected := slices.DeleteFunc(slices.Clone(scenarios), func(one scenario) bool {
		return !strings.Contains(one.name, only)
	})
	most := 0
	for _, one := range selected {
		most = max(most, one.users(s))
	}
	users, err := newUsers(most)
	if err != nil {
		return err
	}
	st := &stage{users: users, client: newClient(), size: s}
	defer st.client.close()
	fmt.Printf("%s %s/%s, %d processors; Clerk answers in 80 ms and allows 1,000 calls in 10 s\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	fmt.Printf("%d tokens were signed beforehand, in %.0f s\n\n", len(users.all), time.Since(began).Seconds())

	missed := false
	for _, scenario := range selected {
		fmt.Println(scenario.name)
		for _, r := range print(scenario.run(ctx, st, backends)) {
			if r.err != nil {
				return fmt.Errorf("%s, %s: %w", scenario.name, r.backend.name, r.err)
			}
			missed = missed || r.backend.ours && len(r.outcome.missed) > 0
		}
	}
	fmt.Printf("\n%.0f s in all\n", time.Since(began).Seconds())
	if missed {
		return errors.New("a count is not as it must be")
	}
	return nil
}

// print writes a table and gives the results on.
func print(results []result) []result {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\trequests\tserved\trefused\tcalls to Clerk\tof them 429\tlast served after\t")
	for _, r := range results {
		o := r.outcome
		fmt.Fprintf(w, "  %s\t%d\t%d\t%d\t%d\t%d\t%.1f s\t%s\n", r.backend.name,
			o.users, o.served, o.refused, o.calls, o.limited, o.took.Seconds(), o.note)
	}
	_ = w.Flush()
	for _, r := range results {
		if !r.backend.ours {
			continue
		}
		for _, count := range r.outcome.missed {
			fmt.Printf("  not met: %s\n", count)
		}
	}
	return results
}
