//go:build linux && !encore_local

package production

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"encore.app/internal/postgres"
	"encore.app/test/load"
)

// fleet is three instances behind haproxy, and users of them.
type fleet struct {
	*environment
	instances []*instance
	balancer  string // its address
	users     *users
}

// TestFleet plays the five scenes.
func TestFleet(t *testing.T) {
	e := setup(t)
	env, note := e.scale(t)
	f := &fleet{environment: e, instances: e.app.fleet(t, 3, env...), users: e.newUsers(t, "fleet", 100)}
	f.balancer = e.startHaproxy(t, f.instances[0].address, f.instances[1].address, f.instances[2].address)
	t.Run("a: rolling restart of all three under load", f.rollingRestart)
	t.Run("b: kill -9 of one under load", f.kill)
	t.Run("c: Clerk is gone", func(t *testing.T) { f.outage(t, note) })
	t.Run("d: a ban told to one instance", f.ban)
	t.Run("e: PostgreSQL is stopped", f.withoutDatabase)
}

// scale shrinks the durations of auth/config.cue as an outage of 5 minutes was.
func (e *environment) scale(t testing.TB) (env []string, note string) {
	if *outage >= 5*time.Minute {
		return nil, "the durations of auth/config.cue"
	}
	factor := float64(5*time.Minute) / float64(*outage)
	config, change := e.app.config(t, "auth"), make(map[string]any)
	for _, name := range []string{"UserMaxAge", "UserStaleIfError", "KeysMaxAge", "KeysStaleIfError"} {
		value := must[time.Duration](t)(time.ParseDuration(fmt.Sprint(config[name])))
		change[name] = time.Duration(float64(value) / factor).Round(time.Millisecond).String()
	}
	return []string{e.app.withConfig(t, "auth", change)}, fmt.Sprintf("standing for 5m: the durations of auth/config.cue are divided by %.0f", factor)
}

func (f *fleet) rollingRestart(t *testing.T) {
	l := f.users.startTraffic(t, f.balancer)
	for _, i := range f.instances {
		if status := i.terminate(); status != 0 {
			t.Errorf("an instance ended with status %d", status)
		}
		i.restart(t, i.env...)
		time.Sleep(2 * time.Second) // until the balancer has seen two good checks
	}
	l.stop()
	say(t, unwanted(l.gets, "200")+unwanted(l.posts, "204") == 0, "%v", l)
}

func (f *fleet) kill(t *testing.T) {
	l := f.users.startTraffic(t, f.balancer)
	time.Sleep(3 * time.Second)
	f.instances[0].kill()
	time.Sleep(4 * time.Second)
	f.instances[0].restart(t, f.instances[0].env...)
	time.Sleep(2 * time.Second)
	l.stop()
	say(t, unwanted(l.gets, "200") == 0 && unwanted(l.posts, "204") <= 2, "of the events, at most 2 that were in flight: %v", l)
}

// outage: every instance serves those it knows.
func (f *fleet) outage(t *testing.T, note string) {
	for _, i := range f.instances {
		for _, user := range f.users.ids {
			if status, err := f.users.profile(i.address, user); status != http.StatusOK {
				t.Fatalf("before the outage: %d %v", status, err)
			}
		}
	}
	stranger := f.newUsers(t, "stranger", 1)
	f.clerk.leave()
	t.Cleanup(f.clerk.comeBack)
	l := f.users.startTraffic(t, f.balancer)
	var direct, served, refused int
	for end := time.Now().Add(*outage); time.Now().Before(end); time.Sleep(*outage / 30) {
		for _, i := range f.instances {
			if status, _ := f.users.profile(i.address, f.users.ids[direct%len(f.users.ids)]); status == http.StatusOK {
				served++
			}
			direct++
		}
		if status, _ := stranger.profile(f.balancer, stranger.ids[0]); status == http.StatusServiceUnavailable {
			refused++
		}
	}
	l.stop()
	say(t, unwanted(l.gets, "200")+unwanted(l.posts, "204") == 0 && served == direct, "%v (%s): %v; asked each instance itself: %d of %d served; a user whom none knows: %d × 503",
		*outage, note, l, served, direct, refused)
	f.clerk.comeBack()
	took, ok := eventually(t, time.Minute, func() bool {
		status, _ := stranger.profile(f.balancer, stranger.ids[0])
		return status == http.StatusOK
	})
	say(t, ok, "Clerk is back: that user is served after %.1f s", took.Seconds())
}

// ban: one instance gets Clerk's event. The durations are those of the image.
func (f *fleet) ban(t *testing.T) {
	victim := f.users.ids[0]
	for _, i := range f.instances {
		i.restart(t)
		if status, err := f.users.profile(i.address, victim); status != http.StatusOK {
			t.Fatalf("before the ban: %d %v", status, err)
		}
	}
	time.Sleep(2 * time.Second) // until the balancer has seen two good checks
	f.clerk.sendEventsTo(t, "http://"+f.balancer+"/webhooks/clerk")
	began := time.Now()
	if err := f.clerk.BanUser(victim); err != nil {
		t.Fatal(err)
	}
	after := make([]float64, len(f.instances)) // seconds
	_, ok := eventually(t, 2*time.Second, func() bool {
		for n, i := range f.instances {
			if status, _ := f.users.profile(i.address, victim); after[n] == 0 && status == http.StatusUnauthorized {
				after[n] = time.Since(began).Seconds()
			}
		}
		return !slices.Contains(after, 0)
	})
	say(t, ok, "refused after %.1f s", slices.Sorted(slices.Values(after)))
}

// withoutDatabase: all services but account continue.
func (f *fleet) withoutDatabase(t *testing.T) {
	user := f.users.ids[1]
	account := func(i *instance) int {
		status, _, _ := f.users.get(i.address, "/account", user)
		return status
	}
	for _, i := range f.instances {
		if status := account(i); status != http.StatusOK {
			t.Fatalf("before PostgreSQL stops, account answers %d", status)
		}
	}
	if err := postgres.Pause(f.database.Folder()); err != nil {
		t.Fatal(err)
	}
	f.instances[2].terminate()
	f.instances[2].restart(t) // one also starts without it
	var profiles, accounts int
	for _, i := range f.instances {
		if status, _ := f.users.profile(i.address, user); status == http.StatusOK {
			profiles++
		}
		if account(i) == http.StatusServiceUnavailable {
			accounts++
		}
	}
	say(t, profiles == 3 && accounts == 3, "one instance started since: the profile %d × 200 of 3, the account %d × 503 of 3", profiles, accounts)
	if err := postgres.Resume(f.database.Folder()); err != nil {
		t.Fatal(err)
	}
	took, ok := eventually(t, 30*time.Second, func() bool {
		return !slices.ContainsFunc(f.instances, func(i *instance) bool { return account(i) != http.StatusOK })
	})
	say(t, ok, "PostgreSQL is back: the account answers 200 at all three after %.1f s, with no restart", took.Seconds())
}

// eventually asks until the condition holds or the time is over.
func eventually(t testing.TB, patience time.Duration, holds func() bool) (took time.Duration, ok bool) {
	for began := time.Now(); time.Since(began) < patience; load.Pause(t.Context(), 50*time.Millisecond) {
		if holds() {
			return time.Since(began), true
		}
	}
	return patience, false
}
