package docs

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// answers has a part of what each curl command of the documents prints beside
// go run ./cmd/dev, by a part of the command.
var answers = []struct{ command, want string }{
	{"type=m2m_token", `"tokenType":"m2m_token"`},
	{"scopes=whoami:read", `"tokenType":"api_key"`},
	{"type=api_key", `"code":"permission_denied"`},
	{"azp=')", `"code":"unauthenticated"`},
	{"org=analytical", "eyJ"},
	{"-s 127.0.0.1:4100", "GET /v1/jwks"},
	{"/fakeclerk/session_token_claims", ""},
	{"/users/user_ada/metadata", `"role":"editor"`},
	{"cl_B7d4PD222AAA", `"code":"unauthenticated"`},
	{"/debug/counters", `"decisions`},
	{"/user/profile", `"userId":"user_ada"`},
	{"/users/user_grace/ban", `"banned":true`},
}

// needEncore are commands for an endpoint that only Encore serves.
var needEncore = []string{"/account.Reconcile"}

func TestCurl(t *testing.T) {
	if os.Getenv("TESTS") != "whole" {
		t.Skip("TESTS=whole runs the commands of the documents")
	}
	var commands []string
	for path, text := range documents(t) {
		for _, block := range append(fenced(text, "console"), fenced(text, "")...) {
			for line := range strings.Lines(block) {
				command := strings.TrimPrefix(strings.TrimSpace(line), "$ ")
				if strings.HasPrefix(command, "curl ") && !strings.Contains(command, "encore.dev/install") {
					commands = append(commands, path+": "+command)
				}
			}
		}
	}
	// The order keeps the ban from the others.
	slices.SortFunc(commands, func(a, b string) int {
		return strings.Compare(a[strings.Index(a, ": "):], b[strings.Index(b, ": "):])
	})
	dev(t)
	for _, named := range commands {
		_, command, _ := strings.Cut(named, ": ")
		if slices.ContainsFunc(needEncore, func(part string) bool { return strings.Contains(command, part) }) {
			continue
		}
		at := slices.IndexFunc(answers, func(a struct{ command, want string }) bool { return strings.Contains(command, a.command) })
		if at < 0 {
			t.Errorf("%s: what does it print?", named)
			continue
		}
		output, err := exec.CommandContext(t.Context(), "bash", "-c", command).CombinedOutput()
		if err != nil || !strings.Contains(strings.ReplaceAll(string(output), `": `, `":`), answers[at].want) {
			t.Errorf("%s: %v\n%.300s\nwant %s", named, err, output, answers[at].want)
		}
	}
}

// dev runs the development command as the README does, with the backend on
// net/http, until the test ends.
func dev(t *testing.T) {
	t.Helper()
	for _, address := range []string{"127.0.0.1:4000", "127.0.0.1:4100"} {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Skipf("the commands of the documents need the port of %s", address)
		}
		_ = listener.Close()
	}
	program := filepath.Join(t.TempDir(), "dev.exe")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./cmd/dev")
	build.Dir = root
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	var log bytes.Buffer
	command := exec.Command(program, "-backend", "standalone", "-page", "")
	command.Stdout, command.Stderr = &log, &log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	t.Cleanup(func() {
		if errors.Is(command.Process.Signal(os.Interrupt), os.ErrProcessDone) {
			return
		}
		<-ended
	})
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("cmd/dev ended: %v\n%s", err, &log)
		case <-t.Context().Done():
			t.Fatal("the test was stopped")
		case <-tick.C:
		}
		if response, err := http.Get("http://127.0.0.1:4000/user/profile"); err == nil {
			_ = response.Body.Close()
			return
		}
	}
}
