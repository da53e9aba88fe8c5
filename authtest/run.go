package authtest

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"
)

// stopTimeout is the time that encore run has to stop. Then it is killed.
const stopTimeout = 10 * time.Second

// EncoreRun runs the app in a folder, such as "..", under encore run until the
// test ends, and returns its URL once it answers. The app asks this Clerk in the
// place of yours. The test fails if encore run ends, with its output.
func (c *Clerk) EncoreRun(folder string) (url string) {
	c.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	_ = listener.Close()

	var out output
	ctx, cancel := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, "encore", "run", "--browser=never", "--listen=127.0.0.1", "--port="+strconv.Itoa(port))
	command.Dir, command.Env = folder, append(os.Environ(), c.Environment()...)
	command.Stdout, command.Stderr = &out, &out
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = stopTimeout
	if err := command.Start(); err != nil {
		c.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = command.Wait()
		close(ended)
	}()
	c.t.Cleanup(func() {
		cancel()
		<-ended
	})

	url = "http://127.0.0.1:" + strconv.Itoa(port)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		// Encore answers 502 in the app's place while it starts.
		if response, err := http.Get(url); err == nil && response.Body.Close() == nil && response.StatusCode != http.StatusBadGateway {
			return url
		}
		select {
		case <-ended:
			c.t.Fatalf("encore run ended:\n%s", out.String())
		case <-tick.C:
		}
	}
}

// output is what a running command has printed so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
