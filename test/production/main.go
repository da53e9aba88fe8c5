// Command production builds the image as the deployment page says, unpacks it,
// and runs its binary with its configuration, as users will:
//
//	go run ./test/production           # start-up, e2e, and the five scenes
//	go run ./test/production -cost     # what a request costs, beside other handlers
//
// It needs Linux, the Encore CLI, and Debian's packages docker-registry,
// haproxy and postgresql. Where they are absent it says so in one line and succeeds.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"encore.app/internal/postgres"
)

// settings are the command's flags.
type settings struct {
	cost   bool
	outage time.Duration
	rounds int
	load   time.Duration // between two requests of one connection
	e2e    bool
	alone  bool
	pprof  string
}

func main() {
	var s settings
	flag.BoolVar(&s.cost, "cost", false, "measure what a request costs, instead of the scenes")
	flag.IntVar(&s.rounds, "rounds", 150, "with -cost: how many rounds")
	flag.StringVar(&s.pprof, "pprof", "", "with -cost: write processor profiles of the floor and this app to files with this prefix, and measure nothing")
	flag.BoolVar(&s.alone, "alone", false, "stop after what a single instance shows")
	flag.DurationVar(&s.outage, "outage", 15*time.Second, "how long Clerk is gone in scene c; below 5m the durations of auth/config.cue shrink as much")
	flag.DurationVar(&s.load, "every", 40*time.Millisecond, "pause between two requests of one of the 16 connections")
	flag.BoolVar(&s.e2e, "e2e", true, "run the suite test/e2e against the image")
	flag.Parse()

	if runtime.GOOS != "linux" {
		fmt.Println("test/production was not run: it needs Linux, on which the image runs")
		return
	}
	for _, program := range []string{"encore", "docker-registry", "haproxy", "git"} {
		if _, err := exec.LookPath(program); err != nil {
			fmt.Printf("test/production was not run: %s is not on PATH\n", program)
			return
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	run := runScenes
	if s.cost {
		run = runCost
	}
	err := run(ctx, s)
	if errors.Is(err, postgres.ErrUnavailable) {
		fmt.Printf("test/production was not run: %v\n", err)
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "production:", err)
		os.Exit(1)
	}
}

// environment is what every part needs: a folder that is removed at the end, the
// fake Clerk behind the name api.clerk.com, and the built images.
type environment struct {
	ctx      context.Context
	folder   string
	clerk    *clerk
	images   *images
	database *database
}

// env is what an instance is started with.
func (e *environment) env() []string { return append(e.clerk.env(), e.database.env()...) }

func newEnvironment(ctx context.Context) (*environment, func(), error) {
	folder, err := os.MkdirTemp("", "production-")
	if err != nil {
		return nil, nil, err
	}
	e := &environment{ctx: ctx, folder: folder}
	closeAll := func() {
		if e.images != nil {
			e.images.close()
		}
		if e.clerk != nil {
			e.clerk.close()
		}
		if e.database != nil {
			e.database.close()
		}
		_ = os.RemoveAll(folder)
	}
	if e.clerk, err = startClerk(folder); err == nil {
		e.database, err = startDatabase(ctx)
	}
	if err == nil {
		e.images, err = startRegistry(ctx, folder, e.database)
	}
	if err != nil {
		closeAll()
		return nil, nil, err
	}
	return e, closeAll, nil
}

// verdicts collects what was promised and whether it held.
type verdicts struct{ broken int }

func (v *verdicts) say(held bool, format string, arguments ...any) {
	word := "ok     "
	if !held {
		word = "BROKEN "
		v.broken++
	}
	fmt.Println("  "+word, fmt.Sprintf(format, arguments...))
}

func (v *verdicts) err() error {
	if v.broken > 0 {
		return fmt.Errorf("%d of the promises above are broken", v.broken)
	}
	return nil
}

var errNotReady = errors.New("never healthy")
