//go:build linux && !encore_local

package production

import (
	"embed"
	"errors"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"encore.app/fakeclerk"
	"encore.app/test/load"
)

// apps is the floor that this app is compared with.
//
//go:embed apps
var apps embed.FS

// runner is an app whose cost is measured.
type runner struct {
	*instance
	tokens []string
}

// measure lets the app serve one round, and returns the microseconds of processor
// time a request. A round has a few garbage collections. It is short, so that a busy
// machine slows both apps.
func (r *runner) measure(b *testing.B) float64 {
	const requests = 8000
	before := r.cpu(b)
	must[load.Result](b)(load.Closed{Address: r.address, Connections: 8, Requests: requests, Lasting: time.Minute, Tokens: r.tokens}.Run())
	return float64((r.cpu(b) - before).Microseconds()) / requests
}

// BenchmarkCost lets this app and one whose auth handler compares a string serve
// in turn. A slow moment of the machine slows both sides of a round, so the result
// is the median of the rounds' ratios.
//
//	TESTS=encore go test -run '^$' -bench Cost -benchtime 150x -timeout 30m ./test/production
func BenchmarkCost(b *testing.B) {
	e := setup(b)
	u := e.newUsers(b, "cost", 32)
	var tokens []string
	for _, user := range u.ids {
		// Long enough that none ends while it is measured.
		tokens = append(tokens, must[string](b)(e.clerk.SessionToken(user, fakeclerk.Claim("azp", party), fakeclerk.Claim("exp", time.Now().Add(time.Hour).Unix()))))
	}
	im := must[*image](b)(e.buildFloor())
	began := time.Now()
	floor := &runner{im.start(b, "CLERK_SECRET_KEY=Bearer "+tokens[0]), tokens[:1]}
	floorStarted := time.Since(began)
	ours := &runner{e.app.start(b), tokens}
	started := time.Since(began) - floorStarted
	var costs, floors, ratios []float64
	for round := 0; b.Loop(); round++ {
		if round%30 == 0 {
			// Where its memory happens to lie makes a process some percent faster or slower.
			floor.restart(b, floor.env...)
			ours.restart(b)
			floor.measure(b) // warms up
			ours.measure(b)
		}
		var base, cost float64
		if rand.N(2) == 0 { // so that none always comes first
			base, cost = floor.measure(b), ours.measure(b)
		} else {
			cost, base = ours.measure(b), floor.measure(b)
		}
		costs, floors, ratios = append(costs, cost), append(floors, base), append(ratios, cost/base)
	}
	b.ReportMetric(load.Quantile(floors, 0.5), "µs/floor")
	b.ReportMetric(load.Quantile(costs, 0.5), "µs/request")
	b.ReportMetric(load.Quantile(ratios, 0.5), "×floor")
	b.ReportMetric(0, "ns/op")
	b.Logf("the middle half of the rounds: %.2f to %.2f × the floor", load.Quantile(ratios, 0.25), load.Quantile(ratios, 0.75))
	b.Logf("floor: start-up %d ms, image %.0f MB, compressed %.0f MB", floorStarted.Milliseconds(), float64(im.size())/1e6, float64(im.compressed)/1e6)
	b.Logf("this app: start-up %d ms, image %.0f MB, compressed %.0f MB", started.Milliseconds(), float64(e.app.size())/1e6, float64(e.app.compressed)/1e6)
	before := ours.memory(b)
	e.meet(b, ours.instance, 10_000)
	b.Logf("memory (resident): %d MB, %d MB with 10,000 remembered users and their tokens", before>>20, ours.memory(b)>>20)
}

// meet lets an instance serve n new users.
func (e *environment) meet(b *testing.B, i *instance, n int) {
	u := e.newUsers(b, "many", n)
	var working sync.WaitGroup
	for part := range 4 {
		working.Go(func() {
			for n := part; n < len(u.ids); n += 4 {
				if status, err := u.profile(i.address, u.ids[n]); status != http.StatusOK {
					b.Errorf("user %d: %d %v", n, status, err)
					return
				}
			}
		})
	}
	working.Wait()
}

// buildFloor copies the app, and replaces its services by those of the floor.
func (e *environment) buildFloor() (*image, error) {
	folder := filepath.Join(e.folder, "src-floor")
	if err := copyApp(folder); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if entry.IsDir() && entry.Name() != "deploy" {
			err = errors.Join(err, os.RemoveAll(filepath.Join(folder, entry.Name())))
		}
	}
	tests, err2 := filepath.Glob(filepath.Join(folder, "deploy", "*_test.go")) // they import what is gone
	err = errors.Join(err, err2)
	for _, name := range tests {
		err = errors.Join(err, os.Remove(name))
	}
	for _, name := range []string{"auth", "user"} {
		content, err2 := apps.ReadFile("apps/" + name + ".go.txt")
		err = errors.Join(err, err2, os.MkdirAll(filepath.Join(folder, name), 0o755),
			os.WriteFile(filepath.Join(folder, name, name+".go"), content, 0o600))
	}
	if err != nil {
		return nil, err
	}
	return e.build(folder, "deploy/infra.json", "floor")
}
