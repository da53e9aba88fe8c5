//go:build linux && !encore_local

package production

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"encore.app/fakeclerk"
	"encore.app/internal/perimeter"
	"encore.app/webhooks/clerkevent"
)

// caddyModule is built where caddy is not on PATH.
const caddyModule = "github.com/caddyserver/caddy/v2/cmd/caddy@v2.10.2"

// startHaproxy runs haproxy with deploy/haproxy.cfg in front of three instances.
func (e *environment) startHaproxy(t testing.TB, instances ...string) (address string) {
	t.Helper()
	address = freeAddress(t)
	config := filepath.Join(t.TempDir(), "haproxy.cfg")
	rewrite(t, "haproxy.cfg", config, "bind :8443", "bind "+address,
		"127.0.0.1:8081", instances[0], "127.0.0.1:8082", instances[1], "127.0.0.1:8083", instances[2])
	startBalancer(t, address, exec.Command("haproxy", "-db", "-q", "-f", config))
	return address
}

// startCaddy runs Caddy with deploy/Caddyfile.
func (e *environment) startCaddy(t testing.TB, instance string) (address string) {
	t.Helper()
	program, err := exec.LookPath("caddy")
	if err != nil {
		program = filepath.Join(e.folder, "caddy")
		install := exec.Command("go", "install", caddyModule)
		install.Env = append(os.Environ(), "GOBIN="+e.folder, "GOFLAGS=")
		install.Dir = e.folder
		if output, err := install.CombinedOutput(); err != nil {
			t.Skipf("caddy cannot be built: %v: %s", err, output)
		}
	}
	address = freeAddress(t)
	folder := t.TempDir()
	config := filepath.Join(folder, "Caddyfile")
	rewrite(t, "Caddyfile", config, "{$API_HOST} {", "http://"+address+" {", "one:8080 two:8080", instance, "{\n\tservers", "{\n\tadmin off\n\tservers")
	command := exec.Command(program, "run", "--adapter", "caddyfile", "--config", config)
	command.Env = append(os.Environ(), "HOME="+folder, "XDG_DATA_HOME="+folder, "XDG_CONFIG_HOME="+folder)
	startBalancer(t, address, command)
	return address
}

// rewrite writes a file of deploy/ with other addresses.
func rewrite(t testing.TB, name, into string, replaced ...string) {
	t.Helper()
	content := string(must[[]byte](t)(os.ReadFile(filepath.Join("../../deploy", name))))
	for i := 0; i < len(replaced); i += 2 {
		if !strings.Contains(content, replaced[i]) {
			t.Fatalf("deploy/%s has no %q", name, replaced[i])
		}
	}
	if err := os.WriteFile(into, []byte(strings.NewReplacer(replaced...).Replace(content)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// startBalancer waits until any instance answers: each refuses a request with no
// token.
func startBalancer(t testing.TB, address string, command *exec.Cmd) {
	t.Helper()
	said := new(output)
	command.Stdout, command.Stderr = said, said
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	client := &http.Client{Timeout: time.Second}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		response, err := client.Get("http://" + address + "/user/profile")
		if err == nil && response.Body.Close() == nil && response.StatusCode == http.StatusUnauthorized {
			return
		}
	}
	t.Fatalf("%s has no healthy instance: %s", command.Args[0], said)
}

// TestBalancers sends an instance behind each balancer what they must not let
// through, and the instance itself two hundred webhooks that stall.
func TestBalancers(t *testing.T) {
	e := setup(t)
	i := e.app.start(t)
	for name, start := range map[string]func(t testing.TB) string{
		"haproxy": func(t testing.TB) string { return e.startHaproxy(t, i.address, i.address, i.address) },
		"caddy":   func(t testing.TB) string { return e.startCaddy(t, i.address) },
	} {
		t.Run(name, func(t *testing.T) {
			address := start(t)
			token := must[string](t)(e.clerk.SessionToken("user_ada", fakeclerk.Claim("azp", party)))
			results := append(perimeter.Try(address, address, token), perimeter.TrySlow(address, address)...)
			for _, r := range results {
				if r.Err != nil {
					t.Errorf("%s: %v", r.Name, r.Err)
				}
			}
			t.Logf("%d cases of upgrades, paths, headers, bodies and slow senders", len(results))
		})
	}
	t.Run("webhooks that stall", func(t *testing.T) { stallWebhooks(t, i) })
}

// stallWebhooks opens two hundred webhooks that stop one byte before the end.
func stallWebhooks(t *testing.T, i *instance) {
	sent := fmt.Appendf(nil, "POST /webhooks/clerk HTTP/1.1\r\nHost: api\r\nsvix-id: msg_1\r\nsvix-timestamp: %d\r\nsvix-signature: v1,x\r\nContent-Length: %d\r\n\r\n",
		time.Now().Unix(), clerkevent.MaxBodyBytes)
	sent = append(sent, bytes.Repeat([]byte(" "), clerkevent.MaxBodyBytes-1)...)
	before, most, began := i.memory(t), int64(0), time.Now()
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
			most = max(most, i.memory(t)-before)
		}
	}
	took := time.Since(began)
	say(t, most <= 40<<20 && took < 10*time.Second, "200 webhooks that stop one byte before the end of %d KiB: %d MB, closed after %.1f s",
		clerkevent.MaxBodyBytes>>10, most>>20, took.Seconds())
}
