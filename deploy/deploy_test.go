// Package deploy tests the balancers' configurations with the real programs.
// test/production does the same before a real image of the app.
package deploy

//lint:file-ignore SA1019 Encore's server upgrades to HTTP/2 with h2c, and net/http alone does not.

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"

	"encore.app/internal/perimeter"
)

// app is a server that, as Encore's, takes an upgrade to HTTP/2 and reads bodies
// to their end. What must not arrive is an error of the test.
func app(t *testing.T) *httptest.Server {
	answer := func(w http.ResponseWriter, r *http.Request) {
		socket := r.URL.Path == "/live/socket" && len(r.Header["Upgrade"]) == 1 && r.Header.Get("Upgrade") == "websocket"
		for name := range r.Header {
			if strings.HasPrefix(name, "X-Encore-") || name == "Http2-Settings" || name == "Upgrade" && !socket {
				t.Errorf("%s %s arrives with the header %s", r.Method, r.URL, name)
			}
		}
		if n, _ := io.Copy(io.Discard, r.Body); n > 1<<20 {
			t.Errorf("%s %s arrives with %d bytes", r.Method, r.URL, n)
		}
		switch r.URL.Path {
		case "/__encore/healthz":
		case "/live/socket":
			if r.Header.Get("Sec-WebSocket-Protocol") == "" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			if socket, err := websocket.Accept(w, r, nil); err == nil {
				_ = socket.CloseNow()
			}
		case "/user/profile":
			w.WriteHeader(http.StatusUnauthorized)
		case "/webhooks/clerk":
			w.WriteHeader(http.StatusBadRequest)
		case "/account/settings":
		default:
			if strings.Contains(r.URL.Path, "__encore") {
				t.Errorf("%s arrives", r.URL)
			}
			w.WriteHeader(http.StatusNotFound)
		}
	}
	server := httptest.NewServer(h2c.NewHandler(http.HandlerFunc(answer), &http2.Server{}))
	t.Cleanup(server.Close)
	return server
}

func TestHAProxy(t *testing.T) {
	instance := strings.TrimPrefix(app(t).URL, "http://")
	address := free(t)
	config := read(t, "haproxy.cfg",
		"bind :8443", "bind "+address, "127.0.0.1:8081", instance, "127.0.0.1:8082", instance, "127.0.0.1:8083", instance)
	start(t, address, "haproxy", "-db", "-q", "-f", config)
	try(t, address, "api.example.com")
}

// The command of docs/deploy.md makes the sidecar's configuration.
func TestKubernetesSidecar(t *testing.T) {
	document, err := os.ReadFile("../docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	command := regexp.MustCompile(`(?m)^\$ (sed .*) >haproxy.cfg$`).FindSubmatch(document)
	if command == nil {
		t.Fatal("docs/deploy.md has no sed command")
	}
	shell := exec.CommandContext(t.Context(), "sh", "-c", string(command[1]))
	shell.Dir = ".."
	content, err := shell.Output()
	if err != nil {
		t.Skipf("sh and sed are needed: %v", err)
	}
	instance, address, config := strings.TrimPrefix(app(t).URL, "http://"), free(t), filepath.Join(t.TempDir(), "haproxy.cfg")
	changed := strings.NewReplacer("bind :8443", "bind "+address, "127.0.0.1:8080", instance).Replace(string(content))
	if strings.Count(changed, instance) != 1 || strings.Contains(changed, " check ") {
		t.Errorf("not one server without a check: %s", changed)
	}
	if err := os.WriteFile(config, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, address, "haproxy", "-db", "-q", "-f", config)
	try(t, address, "api.example.com")
}

func TestCaddy(t *testing.T) {
	instance := strings.TrimPrefix(app(t).URL, "http://")
	address := free(t)
	config := read(t, "Caddyfile", "{$API_HOST} {", "http://"+address+" {", "one:8080", instance, "two:8080", "localhost:1",
		"{\n\tservers", "{\n\tadmin off\n\tservers")
	start(t, address, "caddy", "run", "--adapter", "caddyfile", "--config", config)
	try(t, address, address)
}

func try(t *testing.T, address, host string) {
	for _, result := range perimeter.Try(address, host, "token") {
		if result.Err != nil {
			t.Errorf("%s: %v", result.Name, result.Err)
		}
	}
}

// read writes the shipped configuration with other addresses to a file.
func read(t *testing.T, name string, replaced ...string) string {
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(replaced); i += 2 {
		if !strings.Contains(string(content), replaced[i]) {
			t.Fatalf("%s has no %q", name, replaced[i])
		}
	}
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(strings.NewReplacer(replaced...).Replace(string(content))), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func free(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// start runs the balancer until the test ends, and waits until the app answers
// through it.
func start(t *testing.T, address, program string, arguments ...string) {
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("%s is not on PATH", program)
	}
	command := exec.Command(program, arguments...)
	command.Env = append(os.Environ(), "HOME="+t.TempDir(), "XDG_DATA_HOME="+t.TempDir(), "XDG_CONFIG_HOME="+t.TempDir())
	output := new(strings.Builder)
	command.Stdout, command.Stderr = output, output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		if t.Failed() {
			t.Log(output)
		}
	})
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		response, err := http.Get("http://" + address + "/user/profile")
		if err == nil && response.Body.Close() == nil && response.StatusCode == http.StatusUnauthorized {
			return
		}
	}
	t.Fatalf("%s has no healthy instance", program)
}

// What is shipped stays within Clerk's rate limit, also while instances are
// exchanged.
func TestTheFleetsStayWithinClerksLimit(t *testing.T) {
	find := func(file, pattern string) (found []string) {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(content), -1) {
			found = append(found, match[len(match)-1])
		}
		if len(found) == 0 {
			t.Fatalf("%s has no %s", file, pattern)
		}
		return found
	}
	number := func(file, pattern string) float64 {
		value, err := strconv.ParseFloat(find(file, pattern)[0], 64)
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	share := number("../auth/config.cue", `(?s)Type != "ephemeral" \{.*?RateLimitShare: ([0-9.]+)`)
	for name, processes := range map[string]float64{
		"compose.yaml":    float64(len(find("compose.yaml", `(?m)^  \w+: [&*]app$`))),
		"kubernetes.yaml": number("kubernetes.yaml", `replicas: (\d+)`) + number("kubernetes.yaml", `maxSurge: (\d+)`),
		"haproxy.cfg":     float64(len(find("haproxy.cfg", `(?m)^    server `))) + 1,
	} {
		if total := share * processes; total > 0.8 {
			t.Errorf("%s: %v processes take %.0f %% of Clerk's rate limit", name, processes, 100*total)
		}
	}
}
