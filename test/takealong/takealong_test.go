// Package takealong proves the README's section "Add it to the app you have". It
// runs the commands of that section, as written, on Encore apps of its own, and
// requests the profile of a user of the fake Clerk from each.
//
//	TESTS=encore go test -count=1 -timeout 30m ./test/takealong
//
// It needs the Encore CLI, and a Go module proxy or a filled module cache.
package takealong

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"encore.app/authtest"
)

const section = "## Add it to the app you have"

// before is the commit before cmd/adopt was made: its folders and packages had
// other names.
const before = "f8934d7"

// refused stands for 401 and 403. A machine gets 401 where AcceptsToken of
// auth/config.cue does not list its kind, and 403 otherwise.
const refused = -1

// notes is an endpoint that asks who is calling.
const notes = `package notes

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
`

// ownHandler is an auth handler as Encore's guide has it, and hello an endpoint
// that knows nothing of it.
const ownHandler = `package auth

import (
	"context"

	"encore.dev/beta/auth"
	"encore.dev/beta/errs"
)

type UserData struct{ Email string }

//encore:authhandler
func AuthHandler(ctx context.Context, token string) (auth.UID, *UserData, error) {
	return "", nil, &errs.Error{Code: errs.Unauthenticated}
}
`

const hello = `package hello

import (
	"context"

	"encore.dev/beta/auth"
)

type Greeting struct{ Name string }

//encore:api auth method=GET path=/hello
func Hello(ctx context.Context) (*Greeting, error) {
	uid, _ := auth.UserID()
	return &Greeting{Name: string(uid)}, nil
}
`

// clone is a clone of this repository with an app beside it, ../shop.
type clone struct {
	t             *testing.T
	folder, shop  string
	adopt, update string // the README's commands
}

func newClone(t *testing.T, app map[string]string) *clone {
	t.Helper()
	if os.Getenv("TESTS") != "encore" {
		t.Skip("needs the Encore CLI and several minutes: TESTS=encore runs it")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	parent := t.TempDir()
	c := &clone{t: t, folder: filepath.Join(parent, "starter"), shop: filepath.Join(parent, "shop")}
	c.run(parent, "git", "clone", "--quiet", "--no-hardlinks", root, c.folder)
	c.takeChanges(root)
	c.adopt, c.update = commands(t, filepath.Join(c.folder, "README.md"))

	c.write(c.shop, map[string]string{
		"encore.app": `{"id": ""}`,
		"go.mod":     "module example.com/shop\n\ngo 1.26\n\nrequire encore.dev v1.52.1\n",
		".gitignore": "encore.gen.go\nencore.gen.cue\n/.encore\n/encore.gen\n",
	})
	c.write(c.shop, app)
	c.run(c.shop, "git", "init", "--quiet")
	c.commit(c.shop)
	return c
}

// takeChanges commits in the clone what is not committed in the repository.
func (c *clone) takeChanges(root string) {
	patch := c.run(root, "git", "diff", "--binary", "HEAD")
	if patch == "" {
		return
	}
	apply := exec.Command("git", "-C", c.folder, "apply", "--index")
	apply.Stdin = strings.NewReader(patch)
	if output, err := apply.CombinedOutput(); err != nil {
		c.t.Fatalf("git apply: %v\n%s", err, output)
	}
	c.commit(c.folder)
}

func (c *clone) write(folder string, content map[string]string) {
	c.t.Helper()
	for name, text := range content {
		name = filepath.Join(folder, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644)); err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *clone) commit(folder string) {
	c.t.Helper()
	c.run(folder, "git", "add", "-A")
	c.run(folder, "git", "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "--quiet", "-m", "a step")
}

// try runs a command.
func (c *clone) try(folder string, command ...string) (string, error) {
	run := exec.CommandContext(c.t.Context(), command[0], command[1:]...)
	run.Dir, run.Env = folder, append(os.Environ(), "CLERK_SECRET_KEY=sk_test_fakeclerk")
	output, err := run.CombinedOutput()
	return string(output), err
}

func (c *clone) run(folder string, command ...string) string {
	c.t.Helper()
	output, err := c.try(folder, command...)
	if err != nil {
		c.t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, output)
	}
	return output
}

// check runs encore check in the app.
func (c *clone) check() {
	c.t.Helper()
	if output := c.run(c.shop, "encore", "check"); !strings.Contains(output, "app is ready") {
		c.t.Fatalf("encore check:\n%s", output)
	}
}

// shown copies a service of the documents into the app.
func (c *clone) shown(name string) {
	c.t.Helper()
	for _, file := range []string{name + ".go", name + "_test.go"} {
		content, err := os.ReadFile(filepath.Join("../docs/app", name, file))
		if err != nil {
			c.t.Fatal(err)
		}
		c.write(c.shop, map[string]string{name + "/" + file: strings.NewReplacer(
			"//go:build docs\n\n", "", "//go:build docs && ", "//go:build ", `"encore.app/`, `"example.com/shop/`,
		).Replace(string(content))})
	}
}

func TestAnEmptyApp(t *testing.T) {
	c := newClone(t, nil)
	c.run(c.folder, "bash", "-euc", c.adopt)
	c.commit(c.shop)
	c.write(c.shop, map[string]string{"notes/notes.go": notes})
	c.shown("articles")
	c.check()

	clerk := authtest.StartClerk(t)
	api := clerk.EncoreRun(c.shop)
	token := clerk.Token("user_ada")
	_, machine, err := get(t.Context(), clerk.URL()+"/token?type=api_key&email=ada@example.com", "")
	if err != nil {
		t.Fatal(err)
	}
	machine = strings.TrimSpace(machine)
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
		c.wants(api+path, want.token, want.status, want.body)
	}

	c.run(c.shop, "encore", "test", "./articles", "./auth", "./authtest", "./user/...")
	c.run(c.shop, "go", "vet", "./...")
	c.run(c.shop, "go", "test", "./...")
}

func TestAnAppWithAnAuthHandler(t *testing.T) {
	c := newClone(t, map[string]string{"auth/auth.go": ownHandler, "hello/hello.go": hello})
	output, err := c.try(c.folder, "bash", "-euc", c.adopt)
	if err == nil || !strings.Contains(output, "it has the app's auth handler") {
		t.Fatalf("got %v\n%s", err, output)
	}
	c.run(c.shop, "git", "rm", "-r", "--quiet", "auth")
	c.commit(c.shop)
	c.run(c.folder, "bash", "-euc", c.adopt)

	clerk := authtest.StartClerk(t)
	api := clerk.EncoreRun(c.shop)
	c.wants(api+"/user/profile", clerk.Token("user_ada"), http.StatusOK, `"email": "ada@example.com"`)
	c.wants(api+"/hello", clerk.Token("user_ada"), http.StatusOK, `"Name": "user_ada"`)
}

// An app with folders of an older version, one change of its own, and settings.
func TestAnUpdate(t *testing.T) {
	c := newClone(t, nil)
	if _, err := c.try(c.folder, "git", "rev-parse", "--verify", "--quiet", before+"^{commit}"); err != nil {
		t.Skip("needs the history: this is a shallow clone")
	}
	c.run(c.folder, "go", "run", "./cmd/adopt", "-version", before, "../shop",
		"auth", "callers", "internal/fakeclerk", "internal/fakesvix", "internal/faulty", "user")
	c.commit(c.shop)
	c.replace("auth/access/answer.go", `Message: "internal error"`, `Message: "something went wrong"`)
	// As CHANGELOG.md says.
	c.replace("auth/config.cue", "BudgetShare", "RateLimitShare")
	c.replace("auth/config.cue", "MachineMaxAge", "OpaqueTokenMaxAge")
	c.replace("auth/config.cue", "\nIssuer:", "\nCarryClaims: [...string] | *[\"metadata\"]\nIssuer:")
	c.commit(c.shop)

	output := c.run(c.folder, "bash", "-euc", c.update)
	for _, want := range []string{"-- auth/config.cue", "the package was `callers`"} {
		if !strings.Contains(output, want) {
			t.Errorf("the update does not say %q:\n%s", want, output)
		}
	}
	if kept := c.run(c.shop, "git", "grep", "-l", "something went wrong", "--", "auth"); strings.Contains(kept, "auth/access") {
		t.Errorf("the change stayed in %s", kept)
	}
	c.check()
	c.run(c.shop, "go", "vet", "./...")
}

// replace changes a file of the app.
func (c *clone) replace(name, from, to string) {
	c.t.Helper()
	content, err := os.ReadFile(filepath.Join(c.shop, name))
	if err != nil || !strings.Contains(string(content), from) {
		c.t.Fatalf("%s has no %q: %v", name, from, err)
	}
	c.write(c.shop, map[string]string{name: strings.ReplaceAll(string(content), from, to)})
}

// commands returns the two commands of the README's section.
func commands(t *testing.T, readme string) (adopt, update string) {
	t.Helper()
	content, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(content), section+"\n")
	rest, _, _ = strings.Cut(rest, "\n## ")
	var all []string
	for line := range strings.Lines(rest) {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			all = append(all, strings.TrimSpace(command))
		}
	}
	if len(all) != 2 {
		t.Fatalf("the README has the commands %q in the section %q", all, section)
	}
	return all[0], all[1]
}

// wants asks for a URL with a token.
func (c *clone) wants(url, token string, status int, body string) {
	c.t.Helper()
	got, text, err := get(c.t.Context(), url, token)
	if status == refused && (got == http.StatusUnauthorized || got == http.StatusForbidden) {
		return
	}
	if err != nil || got != status || !strings.Contains(text, body) {
		c.t.Errorf("GET %s: %d %s %v, want %d with %s", url, got, text, err, status, body)
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
