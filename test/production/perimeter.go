package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"encore.app/fakeclerk"
	"encore.app/internal/perimeter"
	"encore.app/webhooks/clerkevent"
)

// caddyModule is built where caddy is not on PATH.
const caddyModule = "github.com/caddyserver/caddy/v2/cmd/caddy@v2.10.2"

// perimeter sends an instance behind each of the balancers what they must not
// let through, and the instance itself two hundred webhooks that stall.
func (e *environment) perimeter(im *image, v *verdicts) error {
	fmt.Println("one instance behind each balancer")
	m, err := e.member(im)
	if err != nil {
		return err
	}
	defer m.kill()
	b, err := startBalancer(e.folder, []string{m.address, m.address, m.address})
	if err != nil {
		return err
	}
	defer b.close()
	results := map[string][]perimeter.Result{}
	if results["haproxy"], err = e.tryBalancer(b); err != nil {
		return err
	}
	caddy, err := e.startCaddy(m.address)
	if err != nil {
		fmt.Println("  caddy was not run:", err)
	} else {
		defer caddy.close()
		if results["caddy"], err = e.tryBalancer(caddy); err != nil {
			return err
		}
	}
	for name, list := range results {
		held := 0
		for _, r := range list {
			if r.Err == nil {
				held++
				continue
			}
			v.say(false, "%s: %s: %v", name, r.Name, r.Err)
		}
		v.say(held == len(list), "%s: %d of %d cases of upgrades, paths, headers, bodies and slow senders", name, held, len(list))
	}
	return e.stalledWebhooks(m.instance, v)
}

// tryBalancer signs in anew: a token lives a minute.
func (e *environment) tryBalancer(b *balancer) ([]perimeter.Result, error) {
	token, err := e.clerk.SessionToken("user_ada", fakeclerk.Claim("azp", party))
	if err != nil {
		return nil, err
	}
	return append(perimeter.Try(b.address, b.address, token), perimeter.TrySlow(b.address, b.address)...), nil
}

// member starts an instance as one of a fleet.
func (e *environment) member(im *image) (*member, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	m := &member{address: address, image: im, env: e.env()}
	return m, m.restart(e.ctx)
}

// startCaddy runs Caddy with deploy/Caddyfile, its addresses exchanged.
func (e *environment) startCaddy(instance string) (*balancer, error) {
	program, err := exec.LookPath("caddy")
	if err != nil {
		program = filepath.Join(e.folder, "caddy")
		install := exec.CommandContext(e.ctx, "go", "install", caddyModule)
		install.Env = append(os.Environ(), "GOBIN="+e.folder, "GOFLAGS=")
		install.Dir = e.folder
		if output, err := install.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%w: %s", err, output)
		}
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(e.folder, "Caddyfile")
	if err := rewritten("Caddyfile", config, "{$API_HOST} {", "http://"+address+" {", "one:8080 two:8080", instance, "{\n\tservers", "{\n\tadmin off\n\tservers"); err != nil {
		return nil, err
	}
	b := &balancer{address: address, command: exec.Command(program, "run", "--adapter", "caddyfile", "--config", config)}
	b.command.Env = append(os.Environ(), "HOME="+e.folder, "XDG_DATA_HOME="+e.folder, "XDG_CONFIG_HOME="+e.folder)
	return b, b.start()
}

// stalledWebhooks opens two hundred webhooks that stop one byte before the end.
func (e *environment) stalledWebhooks(i *instance, v *verdicts) error {
	head := fmt.Appendf(nil, "POST /webhooks/clerk HTTP/1.1\r\nHost: api\r\nsvix-id: msg_1\r\nsvix-timestamp: %d\r\nsvix-signature: v1,x\r\nContent-Length: %d\r\n\r\n",
		time.Now().Unix(), clerkevent.MaxBodyBytes)
	sent := append(head, bytes.Repeat([]byte(" "), clerkevent.MaxBodyBytes-1)...)
	before, most, began := i.memory(), int64(0), time.Now()
	var open sync.WaitGroup
	for range 200 {
		open.Go(func() {
			connection, err := net.Dial("tcp", i.address)
			if err != nil {
				return
			}
			defer connection.Close()
			_ = connection.SetDeadline(time.Now().Add(time.Minute))
			if _, err := connection.Write(sent); err == nil {
				_, _ = io.Copy(io.Discard, connection)
			}
		})
	}
	ended := make(chan struct{})
	go func() {
		open.Wait()
		close(ended)
	}()
	for done := false; !done; {
		select {
		case <-ended:
			done = true
		case <-time.After(20 * time.Millisecond):
			most = max(most, i.memory()-before)
		}
	}
	took := time.Since(began)
	v.say(most <= 40<<20 && took < 10*time.Second, "200 webhooks that stop one byte before the end of %d KiB: %d MB, closed after %.1f s",
		clerkevent.MaxBodyBytes>>10, most>>20, took.Seconds())
	return e.ctx.Err()
}
