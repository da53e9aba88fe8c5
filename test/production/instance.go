package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// serviceKey signs calls between services; see "auth" in deploy/infra.json.
const serviceKey = "0123456789abcdef0123456789abcdef"

// instance is a running binary of an image.
type instance struct {
	address string
	command *exec.Cmd
	output  *output
	ended   chan struct{}
}

// start runs the image's entrypoint with the image's variables and the given
// ones, which win. It does not wait until the instance is healthy.
func (im *image) start(address string, env ...string) (*instance, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	command := exec.Command(filepath.Join(im.root, im.entrypoint))
	// The image is unpacked rather than mounted at /.
	infra := filepath.Join(im.root, im.variable("ENCORE_INFRA_CONFIG_PATH"))
	command.Env = append(append([]string{}, im.env...), "PORT="+port, "ENCORE_INFRA_CONFIG_PATH="+infra,
		"ENCORE_K8S_GRACE_TERMINATION_SECONDS=20", "GOMEMLIMIT=200MiB", "GOGC=400") // as deploy/compose.yaml
	command.Env = append(command.Env, env...)
	i := &instance{address: address, command: command, output: new(output), ended: make(chan struct{})}
	command.Stdout, command.Stderr = i.output, i.output
	endWithThisProcess(command)
	if err := command.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(i.ended)
		_ = command.Wait()
	}()
	return i, nil
}

// startHealthy also waits until the instance is healthy.
func (im *image) startHealthy(ctx context.Context, address string, env ...string) (*instance, error) {
	i, err := im.start(address, env...)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-i.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := await(ctx, i.url("/__encore/healthz")); err != nil {
		i.kill()
		return nil, fmt.Errorf("%w: %s", err, i.output)
	}
	return i, nil
}

func (i *instance) url(path string) string { return "http://" + i.address + path }

// terminate ends the instance as a supervisor does, and waits.
func (i *instance) terminate() {
	_ = i.command.Process.Signal(syscall.SIGTERM)
	<-i.ended
}

// kill ends it at once.
func (i *instance) kill() {
	_ = i.command.Process.Kill()
	<-i.ended
}

// endsWithin reports whether it ends by itself; if not, it is killed.
func (i *instance) endsWithin(d time.Duration) bool {
	select {
	case <-i.ended:
		return true
	case <-time.After(d):
		i.kill()
		return false
	}
}

// cpu is the processor time that the instance has used, user and system. The
// scheduler counts nanoseconds for each thread; proc_pid_stat(5) would count ticks
// of 10 ms. Go's threads do not end.
func (i *instance) cpu() (total time.Duration, err error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", i.command.Process.Pid))
	if err != nil {
		return 0, err
	}
	for _, thread := range threads {
		stat, err := os.ReadFile(thread)
		if err != nil {
			return 0, err
		}
		var nanoseconds int64
		if _, err := fmt.Sscan(string(stat), &nanoseconds); err != nil {
			return 0, err
		}
		total += time.Duration(nanoseconds)
	}
	return total, nil
}

// memory is its resident memory in bytes.
func (i *instance) memory() int64 {
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", i.command.Process.Pid))
	if err != nil {
		return 0
	}
	pages, _ := strconv.ParseInt(strings.Fields(string(statm))[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// output keeps the last of what an instance writes.
type output struct {
	mu   sync.Mutex
	kept []byte
}

// Write implements [io.Writer].
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.kept = append(o.kept, p...)
	o.kept = o.kept[max(0, len(o.kept)-1<<20):]
	return len(p), nil
}

// String returns it.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.TrimSpace(string(o.kept))
}

// await waits until the URL answers 200.
func await(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err == nil && response.Body.Close() == nil && response.StatusCode == http.StatusOK {
			return nil
		}
		select {
		case <-ctx.Done():
			return errNotReady
		case <-tick.C:
		}
	}
}

// freeAddress returns an address on loopback that nothing listens on.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}
