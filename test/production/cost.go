package main

import (
	"bufio"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"encore.app/fakeclerk"
)

// apps are the two that this one is compared with, and the files to fill them.
//
//go:embed apps
var apps embed.FS

const (
	costConnections = 8
	costUsers       = 32
	costStarts      = 5    // of the floor and of this app, and some rounds of each start
	costRequests    = 8000 // of a round: a few garbage collections, and short, so that a busy machine slows all alike
	guideRequests   = 160
	profileRequests = 250000
	manyUsers       = 10000
)

// runner is an app whose cost is measured.
type runner struct {
	name      string
	requests  int
	tokens    []string
	image     *image
	env       []string
	*instance               // nil before the first start
	started   time.Duration // how long the last start took

	last struct { // the last round's
		perCall float64 // microseconds of processor time a request
		rate    float64 // requests a second
	}
	// By round; the ratio is perCall to the floor's of the same round.
	perCall, rate, ratio []float64
}

// runCost measures this app and the guide's handler, each in turn with the floor.
func runCost(ctx context.Context, s settings) error {
	e, closeAll, err := newEnvironment(ctx)
	if err != nil {
		return err
	}
	defer closeAll()
	users, err := newCrowd(e.clerk, "cost", costUsers)
	if err != nil {
		return err
	}
	var tokens []string
	for _, user := range users.users {
		// Long enough that none ends while it is measured.
		token, err := e.clerk.SessionToken(user, fakeclerk.Claim("azp", party), fakeclerk.Claim("exp", time.Now().Add(time.Hour).Unix()))
		if err != nil {
			return err
		}
		tokens = append(tokens, token)
	}
	runners := []*runner{
		{name: "floor", requests: costRequests, tokens: tokens[:1]},
		{name: "this app", requests: costRequests, tokens: tokens},
		{name: "guide", requests: guideRequests, tokens: tokens},
	}
	for _, r := range runners {
		fmt.Printf("building %s\n", r.name)
		if err := e.buildRunner(r, s.pprof != ""); err != nil {
			return err
		}
		defer r.stop()
	}
	if s.pprof != "" {
		return profileBoth(ctx, runners[:2], s.pprof)
	}
	floor, ours, guide := runners[0], runners[1], runners[2]
	for range costStarts {
		// Where its memory happens to lie makes a process some percent faster or slower.
		if err := errors.Join(floor.start(ctx), ours.start(ctx)); err != nil {
			return err
		}
		if err := compare(floor, ours, max(s.rounds/costStarts, 1)); err != nil {
			return err
		}
	}
	if err := guide.start(ctx); err != nil {
		return err
	}
	if err := compare(floor, guide, max(s.rounds/10, 1)); err != nil {
		return err
	}
	fmt.Printf("\nmedians of %d rounds, %d for the guide, %d connections, log level info\n", len(ours.perCall), len(guide.perCall), costConnections)
	fmt.Printf("%-10s %18s %10s %24s %12s %10s %12s\n", "", "CPU per request", "× floor", "middle half of rounds", "requests/s", "start-up", "image")
	for _, r := range runners {
		r.report()
	}
	return e.reportMemory(ours)
}

// compare lets two apps serve in turn. What slows the machine down for a while
// slows both sides of a round, so each round has a ratio of its own.
func compare(base, other *runner, rounds int) error {
	pair := []*runner{base, other}
	for round := range rounds + 1 {
		if rand.N(2) == 0 { // so that none always comes first
			slices.Reverse(pair)
		}
		for _, r := range pair {
			if err := r.measure(); err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
		}
		if round == 0 {
			continue // it warms up
		}
		for _, r := range pair {
			r.perCall = append(r.perCall, r.last.perCall)
			r.rate = append(r.rate, r.last.rate)
			r.ratio = append(r.ratio, r.last.perCall/base.last.perCall)
		}
	}
	return nil
}

// measure lets the app serve one round.
func (r *runner) measure() error {
	before, err := r.cpu()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := r.ask(r.requests); err != nil {
		return err
	}
	r.last.rate = float64(r.requests) / time.Since(began).Seconds()
	after, err := r.cpu()
	r.last.perCall = float64((after - before).Microseconds()) / float64(r.requests)
	return err
}

func (r *runner) report() {
	fmt.Printf("%-10s %15.1f µs %10.2f %16.2f to %4.2f %12.0f %7d ms %5.0f (%2.0f) MB\n", r.name, quantile(r.perCall, 0.5),
		quantile(r.ratio, 0.5), quantile(r.ratio, 0.25), quantile(r.ratio, 0.75), quantile(r.rate, 0.5),
		r.started.Milliseconds(), float64(r.image.size())/1e6, float64(r.image.compressed)/1e6)
}

// reportMemory measures the app's memory before and after it met many users.
func (e *environment) reportMemory(ours *runner) error {
	before := ours.memory()
	many, err := newCrowd(e.clerk, "many", manyUsers)
	if err != nil {
		return err
	}
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 4}}
	var working sync.WaitGroup
	failed := make(chan error, 4)
	for part := range 4 {
		working.Go(func() {
			for i := part; i < manyUsers; i += 4 {
				if status, err := many.profile(client, ours.address, many.users[i]); status != http.StatusOK {
					failed <- fmt.Errorf("user %d: %d %w", i, status, err)
					return
				}
			}
		})
	}
	working.Wait()
	select {
	case err := <-failed:
		return err
	default:
	}
	fmt.Printf("memory (resident): %d MB before, %d MB with %d remembered users and their tokens\n", before>>20, ours.memory()>>20, manyUsers)
	return nil
}

// buildRunner builds the app's image.
func (e *environment) buildRunner(r *runner, pprof bool) error {
	folder := filepath.Join(e.folder, "src-"+r.name)
	if err := copyApp(e.ctx, folder); err != nil {
		return err
	}
	tag := map[string]string{"this app": "app", "floor": "floor", "guide": "guide"}[r.name]
	if tag != "app" {
		if err := exchange(folder, tag); err != nil {
			return err
		}
	}
	if pprof {
		if err := fill("apps/pprof.go.txt", filepath.Join(folder, "user", "pprof.go")); err != nil {
			return err
		}
	}
	var err error
	if r.image, err = e.images.build(folder, "deploy/infra.json", tag); err != nil {
		return err
	}
	r.env = append(e.env(), "PPROF_ADDRESS="+pprofAddress)
	if tag == "floor" {
		r.env = append(r.env, "CLERK_SECRET_KEY=Bearer "+r.tokens[0])
	}
	return nil
}

// start starts the app, anew if it runs.
func (r *runner) start(ctx context.Context) error {
	r.stop()
	address, err := freeAddress()
	if err != nil {
		return err
	}
	began := time.Now()
	r.instance, err = r.image.startHealthy(ctx, address, r.env...)
	r.started = time.Since(began)
	return err
}

// stop ends the app, if it runs.
func (r *runner) stop() {
	if r.instance != nil {
		r.kill()
	}
}

// exchange leaves of the copied app its module and encore.app, and puts another
// app's services in the place of its own.
func exchange(folder, name string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() && entry.Name() != "deploy" {
			if err := os.RemoveAll(filepath.Join(folder, entry.Name())); err != nil {
				return err
			}
		}
	}
	return errors.Join(
		fill("apps/"+name+"/auth.go.txt", filepath.Join(folder, "auth", "auth.go")),
		fill("apps/user.go.txt", filepath.Join(folder, "user", "user.go")))
}

func fill(name, target string) error {
	content, err := apps.ReadFile(name)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	return os.WriteFile(target, content, 0o644)
}

// ask sends requests over a few connections, each with one under way.
func (r *runner) ask(requests int) error {
	var working sync.WaitGroup
	failed := make(chan error, costConnections)
	for i := range costConnections {
		working.Go(func() {
			if err := r.askOver(i, requests/costConnections); err != nil {
				failed <- err
			}
		})
	}
	working.Wait()
	close(failed)
	return <-failed
}

func (r *runner) askOver(first, requests int) error {
	connection, err := net.Dial("tcp", r.address)
	if err != nil {
		return err
	}
	defer connection.Close()
	reader := bufio.NewReader(connection)
	for i := range requests {
		token := r.tokens[(first+i)%len(r.tokens)]
		if _, err := io.WriteString(connection, "GET /user/profile HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: Bearer "+token+"\r\n\r\n"); err != nil {
			return err
		}
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			return err
		}
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%d %s", response.StatusCode, body)
		}
	}
	return nil
}

const pprofAddress = "127.0.0.1:6061"

// profileBoth writes each binary's processor profile to prefix-N.pprof. One runs
// at a time, since both serve their profile at the same address.
func profileBoth(ctx context.Context, runners []*runner, prefix string) error {
	for i, r := range runners {
		if err := r.start(ctx); err != nil {
			return err
		}
		done := make(chan error, 1)
		go func() { done <- r.ask(profileRequests) }()
		response, err := http.Get("http://" + pprofAddress + "/debug/pprof/profile?seconds=8")
		if err != nil {
			return err
		}
		file, err := os.Create(fmt.Sprintf("%s-%d.pprof", prefix, i))
		if err != nil {
			return err
		}
		_, err = io.Copy(file, response.Body)
		if err := errors.Join(err, file.Close(), response.Body.Close(), <-done); err != nil {
			return err
		}
		r.stop()
	}
	return nil
}

// quantile is the value that the given part of the values does not exceed.
func quantile(values []float64, part float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(part*float64(len(sorted)-1))]
}
