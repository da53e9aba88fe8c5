package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// runScenes shows the image on its own, then a fleet of three.
func runScenes(ctx context.Context, s settings) error {
	e, closeAll, err := newEnvironment(ctx)
	if err != nil {
		return err
	}
	defer closeAll()
	fmt.Println("building the image: encore build docker --config deploy/infra.json --push …")
	app := filepath.Join(e.folder, "src")
	if err := copyApp(ctx, app); err != nil {
		return err
	}
	im, err := e.images.build(app, "deploy/infra.json", "app")
	if err == nil {
		err = im.modules(app)
	}
	if err != nil {
		return err
	}
	v := new(verdicts)
	if err := e.alone(im, v, s.e2e); err != nil {
		return err
	}
	if err := e.perimeter(im, v); err != nil {
		return err
	}
	if err := e.refusals(app, im, v); err != nil {
		return err
	}
	if s.alone {
		return v.err()
	}
	if err := e.fleet(im, v, s); err != nil {
		return err
	}
	return v.err()
}

// alone starts one instance with nothing beside it.
func (e *environment) alone(im *image, v *verdicts, suite bool) error {
	fmt.Println("one instance with nothing beside it")
	address, err := freeAddress()
	if err != nil {
		return err
	}
	// The suite also expects the one setting that is optional. It asks Clerk more
	// often than one instance of a fleet may.
	issuer, err := im.withAuthConfig(map[string]any{"Issuer": e.clerk.Issuer(), "RateLimitShare": 0.8})
	if err != nil {
		return err
	}
	began := time.Now()
	i, err := im.startHealthy(e.ctx, address, append(e.env(), issuer[len(issuer)-1])...)
	if err != nil {
		v.say(false, "it starts: %v", err)
		return v.err()
	}
	defer i.kill()
	v.say(true, "it starts, healthy after %d ms", time.Since(began).Milliseconds())
	if err := e.forge(i, v); err != nil {
		return err
	}
	if suite {
		command := exec.CommandContext(e.ctx, "go", "test", "-count=1", "./test/e2e")
		command.Env = append(os.Environ(), "E2E_API_URL="+i.url(""), "E2E_CLERK_URL="+e.clerk.e2eURL, "POSTGRES_FOLDER="+e.database.server.Folder())
		output, err := command.CombinedOutput()
		v.say(err == nil, "the suite test/e2e passes against it")
		if err != nil {
			fmt.Printf("%s\n", output)
		}
	}
	for _, secret := range []string{secretKey, e.clerk.WebhookSigningSecret(), serviceKey, "@example.com", "eyJ", "Quetzal"} { // the last is in bodies of the suite
		if strings.Contains(i.output.String(), secret) {
			v.say(false, "its log holds %.8s…", secret)
		}
	}
	i.terminate()
	v.say(i.command.ProcessState.ExitCode() == 0, "SIGTERM ends it with status %d", i.command.ProcessState.ExitCode())
	return nil
}

// forge sends what a service of this app would send to another one.
func (e *environment) forge(i *instance, v *verdicts) error {
	for _, target := range []struct{ method, path, callee string }{
		{http.MethodGet, "/user/profile", "user.GetProfile"},
		{http.MethodPost, "/auth.UserDeleted", "auth.UserDeleted"},
	} {
		for _, authentication := range []string{"noop", "encore-auth"} {
			request, err := http.NewRequest(target.method, i.url(target.path), strings.NewReader("{}"))
			if err != nil {
				return err
			}
			for name, value := range map[string]string{
				"Caller": "api:webhooks.Clerk", "Callee": target.callee, "Svc-Auth-Method": authentication,
				"UserID": "user_ada", "AuthData": `{"UserID":"user_ada"}`,
			} {
				request.Header.Set("X-Encore-Meta-"+name, value)
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				return err
			}
			_ = response.Body.Close()
			if response.StatusCode/100 == 2 {
				v.say(false, "%s believes headers that claim to come from a service (%s): %d", target.path, authentication, response.StatusCode)
				return nil
			}
		}
	}
	v.say(true, "headers that claim to come from a service are not believed")
	return nil
}

// member is one of the fleet.
type member struct {
	*instance
	address string
	image   *image
	env     []string
}

func (m *member) restart(ctx context.Context) (err error) {
	m.instance, err = m.image.startHealthy(ctx, m.address, m.env...)
	return err
}

// fleet plays the four scenes on three instances behind a balancer.
func (e *environment) fleet(im *image, v *verdicts, s settings) error {
	env, note, err := scale(im, s.outage)
	if err != nil {
		return err
	}
	var fleet []*member
	var addresses []string
	for range 3 {
		address, err := freeAddress()
		if err != nil {
			return err
		}
		m := &member{address: address, image: im, env: append(e.env(), env...)}
		if err := m.restart(e.ctx); err != nil {
			return err
		}
		fleet, addresses = append(fleet, m), append(addresses, address)
	}
	defer func() {
		for _, m := range fleet {
			m.kill()
		}
	}()
	b, err := startBalancer(e.folder, addresses)
	if err != nil {
		return err
	}
	defer b.close()
	users, err := newCrowd(e.clerk, "fleet", 100)
	if err != nil {
		return err
	}
	fmt.Printf("three instances behind haproxy, %d connections, a request every %v each\n", connections, s.load)
	if err := e.rollingRestart(fleet, b, users, v, s); err != nil {
		return err
	}
	if err := e.killed(fleet, b, users, v, s); err != nil {
		return err
	}
	if err := e.outage(fleet, b, users, v, s, note); err != nil {
		return err
	}
	if err := e.ban(fleet, b, users, v); err != nil {
		return err
	}
	return e.withoutDatabase(fleet, users, v)
}

// scale shrinks the durations of auth/config.cue as an outage of 5 minutes was.
func scale(im *image, outage time.Duration) (env []string, note string, err error) {
	if outage >= 5*time.Minute {
		return nil, "the durations of auth/config.cue", nil
	}
	config, err := im.authConfig()
	if err != nil {
		return nil, "", err
	}
	factor := float64(5*time.Minute) / float64(outage)
	change := make(map[string]any)
	for _, name := range []string{"UserMaxAge", "UserStaleIfError", "KeysMaxAge", "KeysStaleIfError"} {
		value, err := time.ParseDuration(fmt.Sprint(config[name]))
		if err != nil {
			return nil, "", err
		}
		change[name] = (time.Duration(float64(value) / factor)).Round(time.Millisecond).String()
	}
	all, err := im.withAuthConfig(change)
	return all[len(all)-1:], fmt.Sprintf("standing for 5m: the durations of auth/config.cue are divided by %.0f", factor), err
}

func (e *environment) rollingRestart(fleet []*member, b *balancer, users *crowd, v *verdicts, s settings) error {
	l := users.startLoad(e.ctx, b.address, s.load)
	defer l.stop()
	for _, m := range fleet {
		m.terminate()
		if code := m.command.ProcessState.ExitCode(); code != 0 {
			v.say(false, "a: an instance ended with status %d", code)
		}
		if err := m.restart(e.ctx); err != nil {
			return err
		}
		pause(e.ctx, 2*time.Second) // until the balancer has seen two good checks
	}
	l.stop()
	v.say(others(l.gets, "200")+others(l.posts, "204") == 0, "a: rolling restart of all three under load: %v", l)
	return nil
}

func (e *environment) killed(fleet []*member, b *balancer, users *crowd, v *verdicts, s settings) error {
	l := users.startLoad(e.ctx, b.address, s.load)
	defer l.stop()
	pause(e.ctx, 3*time.Second)
	fleet[0].kill()
	pause(e.ctx, 4*time.Second)
	if err := fleet[0].restart(e.ctx); err != nil {
		return err
	}
	pause(e.ctx, 2*time.Second)
	l.stop()
	v.say(others(l.gets, "200") == 0 && others(l.posts, "204") <= 2,
		"b: kill -9 of one under load (2 connections write: at most 2 in flight): %v", l)
	return nil
}

// outage: Clerk is gone, and every instance serves those it knows.
func (e *environment) outage(fleet []*member, b *balancer, users *crowd, v *verdicts, s settings, note string) error {
	client := &http.Client{Timeout: 20 * time.Second}
	for _, m := range fleet {
		for _, user := range users.users {
			if status, err := users.profile(client, m.address, user); status != http.StatusOK {
				return fmt.Errorf("before the outage: %d %w", status, err)
			}
		}
	}
	stranger, err := newCrowd(e.clerk, "stranger", 1)
	if err != nil {
		return err
	}
	e.clerk.leave()
	l := users.startLoad(e.ctx, b.address, s.load)
	defer l.stop()
	var direct, served, refused int
	for end := time.Now().Add(s.outage); time.Now().Before(end); pause(e.ctx, s.outage/30) {
		for _, m := range fleet {
			status, _ := users.profile(client, m.address, users.users[direct%len(users.users)])
			direct++
			if status == http.StatusOK {
				served++
			}
		}
		if status, _ := stranger.profile(client, b.address, stranger.users[0]); status == http.StatusServiceUnavailable {
			refused++
		}
		if e.ctx.Err() != nil {
			return e.ctx.Err()
		}
	}
	l.stop()
	v.say(others(l.gets, "200")+others(l.posts, "204") == 0 && served == direct, "c: Clerk gone for %v (%s): %v; asked each instance itself: %d of %d served; a user whom none knows: %d × 503",
		s.outage, note, l, served, direct, refused)
	e.clerk.comeBack()
	began := time.Now()
	for time.Since(began) < time.Minute {
		if status, _ := stranger.profile(client, b.address, stranger.users[0]); status == http.StatusOK {
			v.say(true, "c: Clerk is back: that user is served after %.1f s", time.Since(began).Seconds())
			return e.ctx.Err()
		}
		pause(e.ctx, 100*time.Millisecond)
	}
	v.say(false, "c: Clerk is back, and that user is not served after a minute")
	return e.ctx.Err()
}

// ban: one instance gets Clerk's event. The durations are those of the image.
func (e *environment) ban(fleet []*member, b *balancer, users *crowd, v *verdicts) error {
	client := &http.Client{Timeout: 20 * time.Second}
	victim := users.users[0]
	for _, m := range fleet {
		m.kill()
		m.env = e.env()
		if err := m.restart(e.ctx); err != nil {
			return err
		}
		if status, err := users.profile(client, m.address, victim); status != http.StatusOK {
			return fmt.Errorf("before the ban: %d %w", status, err)
		}
	}
	pause(e.ctx, 2*time.Second) // until the balancer has seen two good checks
	if err := e.clerk.sendEventsTo("http://" + b.address + "/webhooks/clerk"); err != nil {
		return err
	}
	began := time.Now()
	if err := e.clerk.BanUser(victim); err != nil {
		return err
	}
	after := make([]time.Duration, len(fleet))
	for time.Since(began) < 2*time.Minute && slices.Contains(after, 0) && e.ctx.Err() == nil {
		for i, m := range fleet {
			if after[i] > 0 {
				continue
			}
			if status, _ := users.profile(client, m.address, victim); status == http.StatusUnauthorized {
				after[i] = time.Since(began)
			}
		}
		pause(e.ctx, 50*time.Millisecond)
	}
	slices.Sort(after)
	v.say(after[0] > 0 && after[0] < 2*time.Second && after[2] > 0 && after[2] < 2*time.Second,
		"d: a ban told to one instance: refused there after %.1f s, by the others after %.1f s and %.1f s",
		after[0].Seconds(), after[1].Seconds(), after[2].Seconds())
	return e.ctx.Err()
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
