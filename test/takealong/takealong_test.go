// Package takealong proves the README's section "Add it to the app you have":
// it runs the commands of that section in an Encore app of its own, and asks
// the app for the profile of a user of the fake Clerk.
//
//	TAKEALONG=1 go test -count=1 ./test/takealong
//
// It needs the Encore CLI, and a Go module proxy or a filled module cache.
package takealong

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"encore.app/fakeclerk"
)

const section = "## Add it to the app you have"

// refused stands for 401 and 403. A machine gets 401 where AcceptsToken of
// auth/config.cue does not list its kind, and 403 otherwise.
const refused = -1

// app is the app that the folders are copied into: a module with another name
// than this one's, and an endpoint that asks who is calling.
var app = map[string]string{
	"encore.app": `{"id": ""}`,
	"go.mod":     "module example.com/shop\n\ngo 1.26\n\nrequire encore.dev v1.52.1\n",
	"notes/notes.go": `package notes

import (
	"context"

	"example.com/shop/auth"
)

type Note struct{ Owner string }

//encore:api auth method=GET path=/notes
func Get(ctx context.Context) (*Note, error) {
	caller, err := auth.Caller()
	if err != nil {
		return nil, err
	}
	return &Note{Owner: caller.UserID}, nil
}

// Count asks nothing about its caller.
//
//encore:api auth method=GET path=/notes/count
func Count(ctx context.Context) error { return nil }
`,
}

// The app gets the versions that this repository is tested with.
func TestTheVersionsAreThoseOfGoMod(t *testing.T) {
	required, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	versions := regexp.MustCompile(`\S+@v\S+`).FindAllString(commands(t, "../../README.md"), -1)
	if len(versions) == 0 {
		t.Fatal("the README names no version")
	}
	for _, version := range versions {
		if !strings.Contains(string(required), "\t"+strings.Replace(version, "@", " ", 1)+"\n") {
			t.Errorf("README: %s is not in go.mod", version)
		}
	}
}

func TestTheFoldersStandAloneInAnotherApp(t *testing.T) {
	if os.Getenv("TAKEALONG") == "" {
		t.Skip("needs the Encore CLI and several minutes: TAKEALONG=1 runs it")
	}
	encore, err := exec.LookPath("encore")
	if err != nil {
		t.Fatal(err)
	}
	folder := copied(t)
	clerk, err := fakeclerk.Start(fakeclerk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = clerk.Close() })
	environment := append(os.Environ(),
		"CLERK_SECRET_KEY="+clerk.SecretKey(),
		"CLERK_API_URL="+clerk.URL(),
		"CLERK_ISSUER="+clerk.Issuer(),
		"CLERK_AUTHORIZED_PARTIES="+fakeclerk.DefaultAuthorizedParty,
	)

	check := exec.CommandContext(t.Context(), encore, "check")
	check.Dir, check.Env = folder, environment
	output, err := check.CombinedOutput()
	if err != nil || !strings.Contains(string(output), "app is ready") {
		t.Fatalf("encore check: %v\n%s", err, output)
	}

	token, err := clerk.SessionToken("user_ada")
	if err != nil {
		t.Fatal(err)
	}
	_, machine, err := get(t.Context(), clerk.URL()+"/token?type=api_key&email=ada@example.com", "")
	if err != nil {
		t.Fatal(err)
	}
	machine = strings.TrimSpace(machine)
	api := run(t, encore, folder, environment)
	for path, want := range map[string]struct {
		token  string
		status int
		body   string
	}{
		"/user/profile":          {token, http.StatusOK, `"email": "ada@example.com"`},
		"/notes":                 {token, http.StatusOK, `"Owner": "user_ada"`},
		"/notes/count":           {token, http.StatusOK, ""},
		"/notes/count?machine":   {machine, refused, ""},
		"/notes?machine":         {machine, refused, ""},
		"/user/profile?unsigned": {token[:strings.LastIndexByte(token, '.')+1], http.StatusUnauthorized, `"not signed in"`},
	} {
		status, body, err := get(t.Context(), api+path, want.token)
		if want.status == refused && (status == http.StatusUnauthorized || status == http.StatusForbidden) {
			continue
		}
		if err != nil || status != want.status || !strings.Contains(body, want.body) {
			t.Errorf("GET %s: %d %s %v, want %d with %s", path, status, body, err, want.status, want.body)
		}
	}
}

// copied returns the folder of the app after the README's commands.
func copied(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), "shop")
	for name, content := range app {
		name = filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(root, filepath.Join(folder, "..", "starter")); err != nil {
		t.Fatal(err)
	}
	script := commands(t, filepath.Join(root, "README.md"))
	shell := exec.CommandContext(t.Context(), "bash", "-eu", "-o", "pipefail", "-c", script)
	shell.Dir = folder
	if output, err := shell.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, script, output)
	}
	return folder
}

// commands returns the first block of shell commands in the README's section.
func commands(t *testing.T, readme string) string {
	t.Helper()
	content, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(content), section+"\n")
	_, rest, _ = strings.Cut(rest, "```console\n")
	block, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatalf("the README has no commands in the section %q", section)
	}
	var script strings.Builder
	for line := range strings.Lines(block) {
		command, ok := strings.CutPrefix(line, "$ ")
		if !ok {
			t.Fatalf("not a command: %q", line)
		}
		script.WriteString(command)
	}
	return script.String()
}

// run starts the app under encore run and returns its address once it answers.
func run(t *testing.T, encore, folder string, environment []string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().(*net.TCPAddr)
	_ = listener.Close()

	var out output
	ctx, cancel := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, encore, "run", "--browser=never", "--listen="+address.IP.String(), fmt.Sprintf("--port=%d", address.Port))
	command.Dir, command.Env = folder, environment
	command.Stdout, command.Stderr = &out, &out
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 10 * time.Second
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	t.Cleanup(func() {
		cancel()
		<-ended
	})

	api := "http://" + address.String()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		// Encore answers 502 in the app's place while it starts.
		if status, _, err := get(ctx, api+"/user/profile", ""); err == nil && status != http.StatusBadGateway {
			return api
		}
		select {
		case err := <-ended:
			ended <- err // for the cleanup
			t.Fatalf("encore run ended: %v\n%s", err, out.String())
		case <-tick.C:
		}
	}
}

func get(ctx context.Context, url, token string) (status int, body string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return response.StatusCode, string(content), err
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
