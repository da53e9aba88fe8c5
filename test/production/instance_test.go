//go:build linux && !encore_local

package production

import (
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
	"testing"
	"time"
)

// instance is a process of an image. It ends with its test.
type instance struct {
	image   *image
	address string
	env     []string // in addition to the image's
	command *exec.Cmd
	output  *output
	ended   chan struct{}
}

// start starts an instance with additional variables, and waits until it is
// healthy.
func (im *image) start(t testing.TB, env ...string) *instance {
	t.Helper()
	i := im.launch(t, env...)
	i.await(t)
	return i
}

// fleet starts several.
func (im *image) fleet(t testing.TB, n int, env ...string) (all []*instance) {
	t.Helper()
	for range n {
		all = append(all, im.start(t, env...))
	}
	return all
}

// launch does not wait until the instance is healthy.
func (im *image) launch(t testing.TB, env ...string) *instance {
	t.Helper()
	i := &instance{image: im, address: freeAddress(t), env: env}
	i.run(t)
	t.Cleanup(i.kill)
	return i
}

// run runs the image's entrypoint. The variables that come last win.
func (i *instance) run(t testing.TB) {
	t.Helper()
	_, port, _ := net.SplitHostPort(i.address)
	i.command = exec.Command(filepath.Join(i.image.root, i.image.entrypoint))
	i.command.Env = append(append(append([]string{}, i.image.env...), "PORT="+port), i.env...)
	i.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // with this process, however it ends
	i.output, i.ended = new(output), make(chan struct{})
	i.command.Stdout, i.command.Stderr = i.output, i.output
	if err := i.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(i.ended)
		_ = i.command.Wait()
	}()
}

// await waits until the instance is healthy.
func (i *instance) await(t testing.TB) {
	t.Helper()
	for deadline := time.After(30 * time.Second); ; {
		response, err := http.Get(i.url("/__encore/healthz"))
		if err == nil && response.Body.Close() == nil && response.StatusCode == http.StatusOK {
			return
		}
		select {
		case <-i.ended:
			t.Fatalf("the instance ended: %s", i.output)
		case <-deadline:
			t.Fatalf("the instance is never healthy: %s", i.output)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// restart starts an instance again at its address.
func (i *instance) restart(t testing.TB, env ...string) {
	t.Helper()
	i.kill()
	i.env = env
	i.run(t)
	i.await(t)
}

func (i *instance) url(path string) string { return "http://" + i.address + path }

// terminate ends the instance as a supervisor does, and returns its status.
func (i *instance) terminate() int {
	_ = i.command.Process.Signal(syscall.SIGTERM)
	<-i.ended
	return i.command.ProcessState.ExitCode()
}

// kill ends it at once.
func (i *instance) kill() {
	_ = i.command.Process.Kill()
	<-i.ended
}

// cpu is the processor time that the instance has used, user and system. The
// scheduler counts nanoseconds for each thread; proc_pid_stat(5) would count ticks
// of 10 ms. Go's threads do not end.
func (i *instance) cpu(t testing.TB) (total time.Duration) {
	t.Helper()
	for _, thread := range must[[]string](t)(filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", i.command.Process.Pid))) {
		var nanoseconds int64
		if _, err := fmt.Sscan(string(must[[]byte](t)(os.ReadFile(thread))), &nanoseconds); err != nil {
			t.Fatal(err)
		}
		total += time.Duration(nanoseconds)
	}
	return total
}

// memory is its resident memory in bytes.
func (i *instance) memory(t testing.TB) int64 {
	t.Helper()
	statm := must[[]byte](t)(os.ReadFile(fmt.Sprintf("/proc/%d/statm", i.command.Process.Pid)))
	return must[int64](t)(strconv.ParseInt(strings.Fields(string(statm))[1], 10, 64)) * int64(os.Getpagesize())
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

// freeAddress returns an address on loopback that nothing listens on.
func freeAddress(t testing.TB) string {
	t.Helper()
	listener := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	defer listener.Close()
	return listener.Addr().String()
}
