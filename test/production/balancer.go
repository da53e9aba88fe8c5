package main

import (
	"context"
	"errors"
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

func startBalancer(ctx context.Context, folder string, instances []string) (*balancer, error) {
	root, err := exec.CommandContext(ctx, "git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return nil, fmt.Errorf("git: %w", err)
	}
	content, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "deploy", "haproxy.cfg"))
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	replaced := []string{"bind :8443", "bind " + address}
	for i, old := range []string{"127.0.0.1:8081", "127.0.0.1:8082", "127.0.0.1:8083"} {
		replaced = append(replaced, old, instances[i])
	}
	name := filepath.Join(folder, "haproxy.cfg")
	if err := os.WriteFile(name, []byte(strings.NewReplacer(replaced...).Replace(string(content))), 0o600); err != nil {
		return nil, err
	}
	b := &balancer{address: address, command: exec.Command("haproxy", "-db", "-q", "-f", name)}
	b.command.Stderr = os.Stderr
	if err := b.command.Start(); err != nil {
		return nil, err
	}
	// Any answer of an instance will do: it refuses a request with no token.
	client := &http.Client{Timeout: time.Second}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		response, err := client.Get("http://" + address + "/user/profile")
		if err == nil && response.Body.Close() == nil && response.StatusCode == http.StatusUnauthorized {
			return b, nil
		}
	}
	b.close()
	return nil, errors.New("haproxy has no healthy instance")
}

func (b *balancer) close() {
	_ = b.command.Process.Kill()
	_ = b.command.Wait()
}
