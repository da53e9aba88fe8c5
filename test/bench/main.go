// Command bench measures this backend against its peers in one run, and prints
// the ratios. It writes nothing else.
//
//	go run ./test/bench         under 4 minutes; on a machine that has nothing else to do
//	go run ./test/bench -quick  half a minute; shows that it runs and that the counts are right
//
// It ends with status 1 if an allocation or a call to Clerk is more than its
// target. Times are printed and never decide: they depend on the machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"encore.app/fakeclerk"
)

// plan is how much is measured.
type plan struct {
	connections  int           // of the load generator, each with one request at a time
	verifyRounds int           // of the verification part
	verifyTokens int           // verified in each of them
	rounds       int           // of the request part
	window       time.Duration // of load on one server in one round
	newTokens    int           // requests of the server that sees each token once, in one round
	countOver    int           // requests over which calls to Clerk are counted
}

var (
	full  = plan{connections: 32, verifyRounds: 15, verifyTokens: 2000, rounds: 7, window: 1500 * time.Millisecond, newTokens: 2000, countOver: 1000}
	quick = plan{connections: 32, verifyRounds: 3, verifyTokens: 500, rounds: 2, window: 300 * time.Millisecond, newTokens: 500, countOver: 1000}
)

func main() {
	// Child processes of ours.
	switch {
	case len(os.Args) == 3 && os.Args[1] == "serve":
		fail(serve(os.Args[2]))
		return
	case len(os.Args) == 2 && os.Args[1] == "load":
		fail(serveLoad())
		return
	}
	isQuick := flag.Bool("quick", false, "half a minute, for CI: the counts are right, the times are rough")
	flag.Parse()
	if flag.NArg() > 0 {
		fail(fmt.Errorf("unexpected argument %q", flag.Arg(0)))
	}
	p := full
	if *isQuick {
		p = quick
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fail(run(ctx, p))
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, p plan) error {
	guide, err := prepareGuide(ctx)
	if err != nil {
		return err
	}
	printMachine(ctx, guide)

	// Tokens live for the whole run, and all are signed before anything is timed.
	clerk, err := fakeclerk.Start(fakeclerk.Options{TokenLifetime: time.Hour})
	if err != nil {
		return err
	}
	defer clerk.Close()
	tokens, err := signTokens(clerk, max(p.verifyTokens, p.countOver+p.rounds*p.newTokens))
	if err != nil {
		return err
	}

	verified, err := measureVerification(ctx, p, clerk, guide, tokens)
	if err != nil {
		return fmt.Errorf("verification: %w", err)
	}
	verified.print()
	requested, err := measureRequests(ctx, p, clerk, guide, tokens)
	if err != nil {
		return fmt.Errorf("requests: %w", err)
	}
	requested.print()

	if !printTargets(append(verified.targets(), requested.targets()...)) {
		return errors.New("a count is over its target")
	}
	return nil
}
