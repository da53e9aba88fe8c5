package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// balancer is haproxy with deploy/haproxy.cfg, its addresses exchanged.
type balancer struct {
	address string
	command *exec.Cmd
}

func startBalancer(folder string, instances []string) (*balancer, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(folder, "haproxy.cfg")
	if err := rewritten("haproxy.cfg", config, "bind :8443", "bind "+address,
		"127.0.0.1:8081", instances[0], "127.0.0.1:8082", instances[1], "127.0.0.1:8083", instances[2]); err != nil {
		return nil, err
	}
	b := &balancer{address: address, command: exec.Command("haproxy", "-db", "-q", "-f", config)}
	b.command.Stderr = os.Stderr
	return b, b.start()
}

func (b *balancer) close() {
	_ = b.command.Process.Kill()
	_ = b.command.Wait()
}

// rewritten writes a file of deploy/ with other addresses.
func rewritten(name, into string, replaced ...string) error {
	content, err := os.ReadFile(filepath.Join("deploy", name))
	if err != nil {
		return err
	}
	for i := 0; i < len(replaced); i += 2 {
		if !strings.Contains(string(content), replaced[i]) {
			return fmt.Errorf("deploy/%s has no %q", name, replaced[i])
		}
	}
	return os.WriteFile(into, []byte(strings.NewReplacer(replaced...).Replace(string(content))), 0o600)
}

// start runs the balancer and waits until any instance answers: each refuses a
// request with no token.
func (b *balancer) start() error {
	if err := b.command.Start(); err != nil {
		return err
	}
	client := &http.Client{Timeout: time.Second}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		response, err := client.Get("http://" + b.address + "/user/profile")
		if err == nil && response.Body.Close() == nil && response.StatusCode == http.StatusUnauthorized {
			return nil
		}
	}
	b.close()
	return fmt.Errorf("%s has no healthy instance", filepath.Base(b.command.Path))
}
