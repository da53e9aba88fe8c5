//go:build !encore_local

// Encore's Go links no test whose packages leave its runtime out.

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// folder is a git repository of a test.
type folder struct {
	t    *testing.T
	path string
}

func newFolder(t *testing.T, content map[string]string) folder {
	t.Helper()
	f := folder{t, t.TempDir()}
	f.git("init", "-q", "-b", "main")
	f.commit(content)
	return f
}

func (f folder) git(arguments ...string) string {
	f.t.Helper()
	command := exec.Command("git", append([]string{"-C", f.path, "-c", "user.name=t", "-c", "user.email=t@localhost"}, arguments...)...)
	output, err := command.CombinedOutput()
	if err != nil {
		f.t.Fatalf("git %s: %v\n%s", arguments, err, output)
	}
	return strings.TrimSpace(string(output))
}

func (f folder) write(name, content string) {
	f.t.Helper()
	name = filepath.Join(f.path, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(content), 0o644)); err != nil {
		f.t.Fatal(err)
	}
}

// commit commits files; one without content is deleted. It returns the commit.
func (f folder) commit(content map[string]string) string {
	f.t.Helper()
	for name, text := range content {
		if text == "" {
			f.git("rm", "-q", name)
			continue
		}
		f.write(name, text)
	}
	f.git("add", "-A")
	f.git("commit", "-q", "-m", "a change")
	return f.git("rev-parse", "HEAD")
}

func (f folder) read(name string) string {
	content, err := os.ReadFile(filepath.Join(f.path, name))
	if err != nil {
		return ""
	}
	return string(content)
}

// has fails the test unless a file has all the texts. With none, it fails if
// there is such a file.
func (f folder) has(name string, texts ...string) {
	f.t.Helper()
	content := f.read(name)
	if len(texts) == 0 && content != "" {
		f.t.Errorf("%s is there", name)
	}
	for _, text := range texts {
		if !strings.Contains(content, text) {
			f.t.Errorf("%s has no %q:\n%s", name, text, content)
		}
	}
}

const handler = `package auth

import (
	"fmt"

	"encore.app/auth/rules"
)

var secrets struct {
	// SecretKey is the key of the instance. It is long.
	SecretKey string
}

//encore:authhandler
func Handler() { fmt.Println(rules.All, secrets.SecretKey) }
`

// starter returns a repository with the shapes of this repository.
func starter(t *testing.T) folder {
	return newFolder(t, map[string]string{
		"go.mod":                   "module encore.app\n\ngo 1.24\n",
		"LICENSE":                  "MIT\n",
		"CHANGELOG.md":             "# Changelog\n\n- `auth`: begins.\n",
		"auth/auth.go":             handler,
		"auth/config.cue":          "AuthorizedParties: []\n",
		"auth/rules/rules.go":      "package rules\n\n// All are the rules.\nvar All = []string{\n\t\"one\",\n\n\t\"two\",\n\n\t\"three\",\n}\n",
		"auth/rules/rules_test.go": "package rules\n\nimport (\n\t\"testing\"\n\n\t\"encore.app/fake\"\n)\n\nfunc Test(t *testing.T) { fake.Start() }\n",
		"fake/fake.go":             "package fake\n\nfunc Start() {}\n",
		"user/user.go":             "package user\n\nimport \"encore.app/auth\"\n\nfunc Get() { auth.Handler() }\n",
		"account/account.go":       "package account\n\nimport \"encore.app/auth\"\n\nfunc Apply() { auth.Handler() }\n",
		"hooks/hooks.go":           "package hooks\n\nimport (\n\t\"encore.app/account\" // account:\n\t\"encore.app/auth\"\n)\n\nfunc Take() {\n\tauth.Handler()\n\taccount.Apply() // account: the database\n}\n",
		"hooks/account.go":         "package hooks\n\nimport _ \"encore.app/account\"\n",
		"internal/tool/tool.go":    "package tool\n\nimport _ \"encore.app/auth\"\n",
		"cmd/dev/main.go":          "package main\n\nimport _ \"encore.app/internal/tool\"\n\nfunc main() {}\n",
	})
}

func shop(t *testing.T, content map[string]string) folder {
	all := map[string]string{"encore.app": "{}\n", "go.mod": "module example.com/shop\n\ngo 1.23\n", "shop.go": "package shop\n"}
	for name, text := range content {
		all[name] = text
	}
	return newFolder(t, all)
}

// adopt runs the command in the starter's folder.
func adopt(from folder, arguments ...string) (output string, err error) {
	var out bytes.Buffer
	err = run(from.t.Context(), filepath.Join(from.path, "auth"), arguments, &out)
	return out.String(), err
}

func mustAdopt(from, to folder, folders ...string) string {
	from.t.Helper()
	output, err := adopt(from, append([]string{to.path}, folders...)...)
	if err != nil {
		from.t.Fatalf("%v\n%s", err, output)
	}
	to.git("commit", "-q", "-m", "adopted")
	return output
}

func refused(t *testing.T, err error, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("got %v, want an error with %q", err, text)
		}
	}
}

func says(t *testing.T, output string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(output, text) {
			t.Errorf("the output does not say %q:\n%s", text, output)
		}
	}
}

func TestFirstCopy(t *testing.T) {
	from, to := starter(t), shop(t, nil)
	from.write("auth/new.go", "package auth\n")
	output := mustAdopt(from, to, "auth/", "user", "fake")
	to.has("auth/auth.go", `"example.com/shop/auth/rules"`)
	to.has("auth/rules/rules_test.go", `"example.com/shop/fake"`)
	to.has("auth/config.cue", "AuthorizedParties")
	to.has("user/user.go", `import "example.com/shop/auth"`)
	to.has("go.mod", "go 1.24")
	to.has(".clerk-starter.license", "MIT")
	to.has("auth/new.go")
	var r record
	if err := json.Unmarshal([]byte(to.read(recordName)), &r); err != nil || r.Version != from.git("rev-parse", "HEAD") || !slices.Equal(r.Folders, []string{"auth", "fake", "user"}) {
		t.Errorf("the record is %+v, %v", r, err)
	}
	says(t, output, "SecretKey  the key of the instance.", "auth/config.cue: AuthorizedParties", "go 1.24", "auth/new.go")
	if status := to.git("status", "--porcelain"); status != "" {
		t.Errorf("left behind: %s", status)
	}
	if refs := to.git("for-each-ref", "refs/clerk-starter"); refs != "" {
		t.Errorf("left behind: %s", refs)
	}
	test := exec.Command("go", "vet", "./auth/...", "./user/...", "./fake/...")
	test.Dir = to.path
	if output, err := test.CombinedOutput(); err != nil {
		t.Errorf("the copy does not compile: %v\n%s", err, output)
	}
}

func TestTheAppMayBeAFolderOfItsRepository(t *testing.T) {
	from := starter(t)
	whole := newFolder(t, map[string]string{"backend/encore.app": "{}", "backend/go.mod": "module example.com/shop\n\ngo 1.24\n", "auth/own.txt": "x\n"})
	to := folder{t, filepath.Join(whole.path, "backend")}
	mustAdopt(from, to, "auth")
	to.has("auth/auth.go", `"example.com/shop/auth/rules"`)
	from.commit(map[string]string{"auth/auth.go": handler + "\n// More.\n"})
	if output, err := adopt(from, "-update", to.path); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	to.has("auth/auth.go", "// More.")
	whole.has("auth/auth.go")
}

func TestWhatFoldersNeed(t *testing.T) {
	from, to := starter(t), shop(t, nil)
	_, err := adopt(from, to.path, "user")
	refused(t, err, "user import auth, too. Name them all: auth user")
	_, err = adopt(from, to.path, "cmd/dev")
	refused(t, err, "Name them all: auth cmd/dev internal/tool")
	_, err = adopt(from, to.path, "nothing")
	refused(t, err, "no folder nothing")

	// Without account, what is marked with it stays behind; so do tests that need
	// a folder that is not adopted.
	output := mustAdopt(from, to, "auth", "hooks")
	if strings.Contains(to.read("hooks/hooks.go"), "account") {
		t.Errorf("hooks.go: %s", to.read("hooks/hooks.go"))
	}
	to.has("hooks/account.go")
	to.has("auth/rules/rules_test.go")
	says(t, output, "auth/rules: fake")

	// They come with the folder, which is of the same version as the others.
	from.commit(map[string]string{"auth/auth.go": handler + "\n// More.\n"})
	mustAdopt(from, to, "account", "fake")
	to.has("hooks/hooks.go", "account.Apply()")
	to.has("hooks/account.go", "example.com/shop/account")
	to.has("auth/rules/rules_test.go", "example.com/shop/fake")
	if strings.Contains(to.read("auth/auth.go"), "More") {
		t.Error("another version of auth came along")
	}
	_, err = adopt(from, to.path, "auth")
	refused(t, err, "auth is adopted already: -update")
}

func TestRefusedApps(t *testing.T) {
	from := starter(t)
	_, err := adopt(from, t.TempDir(), "auth")
	refused(t, err, "has no encore.app")

	_, err = adopt(from, shop(t, nil).path)
	refused(t, err, "name the app and the folders")

	alone := folder{t, t.TempDir()}
	alone.write("encore.app", "{}")
	alone.write("go.mod", "module example.com/shop\n")
	_, err = adopt(from, alone.path, "auth")
	refused(t, err, "is in no git repository", "git init", "fatal: ")

	changed := shop(t, nil)
	changed.write("shop.go", "package shop // changed\n")
	_, err = adopt(from, changed.path, "auth")
	refused(t, err, "uncommitted changes", "after an interrupted run, git reset --hard (and git clean -fd", "shop.go\n")
	for i := range linesShown + 2 {
		changed.write(fmt.Sprintf("own%d.go", i), "package shop\n")
	}
	_, err = adopt(from, changed.path, "auth")
	refused(t, err, "shop.go\n", "and 3 more\n")
	if lines := strings.Count(err.Error(), ".go\n"); lines != linesShown {
		t.Errorf("%d changes are listed, want %d", lines, linesShown)
	}

	ownAuth := shop(t, map[string]string{"auth/own.go": handler})
	_, err = adopt(from, ownAuth.path, "auth")
	refused(t, err, "auth exists, and this command did not make it", "an app has one")
	ownAuth.has("auth/own.go", "package auth")
	ownAuth.has(recordName)

	ownUser := shop(t, map[string]string{"user/own.go": "package user\n"})
	_, err = adopt(from, ownUser.path, "auth", "user")
	refused(t, err, "leave user out")

	elsewhere := shop(t, map[string]string{"authn/authn.go": "package authn\n\n//encore:authhandler\nfunc Handler() {}\n"})
	_, err = adopt(from, elsewhere.path, "auth")
	refused(t, err, filepath.Join("authn", "authn.go")+" has an auth handler")
	mustAdopt(from, elsewhere, "fake") // without an auth handler

	_, err = adopt(from, "-update", shop(t, nil).path)
	refused(t, err, "has no "+recordName)

	unknown := shop(t, map[string]string{recordName: `{"version": "0123456789012345678901234567890123456789", "folders": ["auth"]}`})
	_, err = adopt(from, "-update", unknown.path)
	refused(t, err, "no commit 0123456789", "git fetch")
}

func TestUpdate(t *testing.T) {
	from, to := starter(t), shop(t, nil)
	mustAdopt(from, to, "auth", "user", "hooks")
	// The adopter changes one rule, the settings, and a file that moves here.
	to.commit(map[string]string{
		"auth/rules/rules.go": strings.Replace(to.read("auth/rules/rules.go"), `"one"`, `"my one"`, 1),
		"auth/config.cue":     "AuthorizedParties: [\"https://shop.example.com\"]\n",
		"user/user.go":        to.read("user/user.go") + "\n// Mine.\n",
	})
	from.git("mv", "user", "profile")
	from.git("mv", "auth/rules", "auth/policy")
	from.commit(map[string]string{
		"CHANGELOG.md":         "# Changelog\n\n- `auth`: three is 3.\n- `auth`: begins.\n",
		"auth/auth.go":         strings.ReplaceAll(handler, "rules", "policy"),
		"auth/policy/rules.go": strings.Replace(from.read("auth/policy/rules.go"), `"three"`, `"3"`, 1),
		"auth/policy/more.go":  "package rules\n",
		"auth/config.cue":      "AuthorizedParties: []\nNew: 1\n",
		"hooks/hooks.go":       "",
		"hooks/account.go":     "",
	})
	output, err := adopt(from, "-update", to.path)
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	to.has("auth/policy/rules.go", `"my one"`, `"3"`)
	to.has("auth/policy/more.go", "package rules")
	to.has("auth/rules/rules.go")
	to.has("auth/auth.go", `"example.com/shop/auth/policy"`)
	to.has("auth/config.cue", "https://shop.example.com")
	to.has("profile/user.go", "// Mine.")
	to.has("user/user.go")
	to.has("hooks/hooks.go")
	to.has(recordName, from.git("rev-parse", "HEAD"), `"profile"`)
	says(t, output, "`auth`: three is 3.", "-- auth/config.cue")
	if strings.Contains(output, "begins") || strings.Contains(output, "SecretKey") {
		t.Errorf("the output says what was so before:\n%s", output)
	}

	to.git("commit", "-q", "-m", "updated")
	output, err = adopt(from, "-update", to.path)
	if err != nil {
		t.Fatal(err)
	}
	says(t, output, "Nothing to merge")
}

func TestUpdateWithConflicts(t *testing.T) {
	from, to := starter(t), shop(t, nil)
	mustAdopt(from, to, "auth", "user")
	to.commit(map[string]string{
		"auth/rules/rules.go": strings.Replace(to.read("auth/rules/rules.go"), `"one"`, `"mine"`, 1),
		"user/user.go":        to.read("user/user.go") + "\n// Mine.\n",
	})
	from.commit(map[string]string{
		"auth/rules/rules.go": strings.Replace(from.read("auth/rules/rules.go"), `"one"`, `"theirs"`, 1),
		"user/user.go":        "", // changed there, deleted here
		"user/other.go":       "package user\n",
	})
	output, err := adopt(from, "-update", to.path)
	if !errors.Is(err, errConflicts) {
		t.Fatalf("%v\n%s", err, output)
	}
	says(t, output, "Conflicts:", "auth/rules/rules.go", "user/user.go")
	to.has("auth/rules/rules.go", "<<<<<<<", `"mine"`, `"theirs"`, "version "+short(from.git("rev-parse", "HEAD")))
	to.has("user/user.go", "// Mine.")
	to.has("user/other.go", "package user")

	to.git("reset", "-q", "--hard")
	if status := to.git("status", "--porcelain"); status != "" {
		t.Errorf("git reset --hard leaves %s", status)
	}
	to.has(recordName, from.git("rev-parse", "HEAD~1"))
}

func TestUpdateAddsFolders(t *testing.T) {
	from, to := starter(t), shop(t, map[string]string{"fake/own.go": "package fake\n"})
	mustAdopt(from, to, "auth")
	from.commit(map[string]string{"auth/more.go": "package auth\n\nimport _ \"encore.app/internal/tool\"\n"})
	_, err := adopt(from, "-update", to.path)
	refused(t, err, "import internal/tool, too")
	_, err = adopt(from, "-update", to.path, "internal/tool", "fake")
	refused(t, err, "leave fake out")
	if output, err := adopt(from, "-update", to.path, "internal/tool"); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	to.has("internal/tool/tool.go", "package tool")
	to.has(recordName, `"internal/tool"`)
}

func TestModulesAreRaisedAndNeverLowered(t *testing.T) {
	to := shop(t, map[string]string{"go.mod": "module example.com/shop\n\ngo 1.99\n\nrequire (\n\texample.com/a v1.0.0\n\texample.com/b v1.9.0\n)\n"})
	from := newFolder(t, map[string]string{
		"go.mod":       "module encore.app\n\ngo 1.24\n\nrequire (\n\texample.com/a v1.1.0\n\texample.com/b v1.1.0\n\texample.com/c/v2 v2.0.0\n\texample.com/d v1.0.0\n)\n",
		"auth/auth.go": "package auth\n\nimport (\n\t_ \"example.com/a\"\n\t_ \"example.com/b/sub\"\n\t_ \"example.com/c/v2\"\n)\n",
	})
	v, err := (&repository{from.path}).at(t.Context(), "HEAD")
	if err != nil {
		t.Fatal(err)
	}
	c, err := v.copyFor("example.com/shop", []string{"auth"})
	if err != nil {
		t.Fatal(err)
	}
	raised, err := (&app{folder: to.path}).require(v, c.modules)
	if want := []string{"example.com/a v1.1.0", "example.com/c/v2 v2.0.0"}; err != nil || !slices.Equal(raised, want) {
		t.Errorf("raised %q, %v, want %q", raised, err, want)
	}
	to.has("go.mod", "example.com/a v1.1.0", "example.com/b v1.9.0", "example.com/c/v2 v2.0.0", "go 1.99")
}

func TestGitUndoesAnInterruptedAdoption(t *testing.T) {
	from, to := starter(t), shop(t, nil)
	for _, ref := range []string{refBefore, refAfter} {
		to.git("update-ref", ref, "HEAD") // as another interrupted run leaves them
	}
	starter, err := openRepository(t.Context(), from.path)
	if err != nil {
		t.Fatal(err)
	}
	a, err := openApp(t.Context(), to.path)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := newPlan(t.Context(), starter, a, "HEAD", false, []string{"auth"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plan.merge(t.Context()); err != nil {
		t.Fatal(err)
	}
	to.has(recordName, `"auth"`)
	to.git("reset", "-q", "--hard")
	if status := to.git("status", "--porcelain", "--ignored"); status != "" {
		t.Errorf("git reset --hard leaves %s", status)
	}
	mustAdopt(from, to, "auth")
}

func TestTheRecordOfAnUndoneAdoptionIsRefused(t *testing.T) {
	from := starter(t)
	text := `{"version": "` + from.git("rev-parse", "HEAD") + `", "folders": ["auth"]}`

	committed := shop(t, map[string]string{recordName: text})
	_, err := adopt(from, "-update", committed.path)
	refused(t, err, "the app has no file of them", "delete "+recordName)

	ignored := shop(t, map[string]string{".gitignore": ".clerk*\n"})
	ignored.write(recordName, text)
	_, err = adopt(from, ignored.path, "auth")
	refused(t, err, recordName+" is not committed")
}

func TestIgnoredFilesAreNotOverwritten(t *testing.T) {
	from := starter(t)
	record := shop(t, map[string]string{".gitignore": ".clerk*\n"})
	_, err := adopt(from, record.path, "auth")
	refused(t, err, "git ignores these files", recordName, licenseName)
	record.has("auth/auth.go")

	license := shop(t, map[string]string{".gitignore": licenseName + "\n"})
	license.write(licenseName, "mine\n")
	_, err = adopt(from, license.path, "auth")
	refused(t, err, "git ignores these files", licenseName)
	license.has(licenseName, "mine")

	// Ignored folders are refused as others are.
	folder := shop(t, map[string]string{".gitignore": "auth\n"})
	folder.write("auth/auth.go", "package mine\n")
	_, err = adopt(from, folder.path, "auth")
	refused(t, err, "auth exists")
	folder.has("auth/auth.go", "package mine")

	to := shop(t, map[string]string{".gitignore": "raw.go\n"})
	mustAdopt(from, to, "auth")
	to.write("auth/rules/raw.go", "package mine\n")
	from.commit(map[string]string{"auth/rules/raw.go": "package rules\n"})
	_, err = adopt(from, "-update", to.path)
	refused(t, err, "git ignores these files", "auth/rules/raw.go")
	to.has("auth/rules/raw.go", "package mine")
}

func TestLineEndingsStay(t *testing.T) {
	from, to := starter(t), shop(t, nil)
	for _, f := range []folder{from, to} {
		f.git("config", "core.autocrlf", "true") // as Git for Windows does
	}
	mustAdopt(from, to, "auth")
	if committed := to.git("show", "HEAD:auth/auth.go"); strings.Contains(committed, "\r") {
		t.Errorf("auth/auth.go is committed as %q", committed)
	}
	to.has("auth/auth.go", "package auth\r\n")

	// The app's own change and a change here merge.
	to.commit(map[string]string{"auth/rules/rules.go": strings.Replace(to.read("auth/rules/rules.go"), `"one"`, `"my one"`, 1)})
	from.commit(map[string]string{"auth/rules/rules.go": strings.Replace(from.read("auth/rules/rules.go"), `"three"`, `"3"`, 1)})
	if output, err := adopt(from, "-update", to.path); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	to.has("auth/rules/rules.go", `"my one"`, `"3"`)
}

func TestTheRepositoryOfAnotherOwner(t *testing.T) {
	to := shop(t, nil)
	t.Setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull) // without a safe.directory
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	_, err := openApp(t.Context(), to.path)
	refused(t, err, "safe.directory")
	if err != nil && strings.Contains(err.Error(), "git init") {
		t.Errorf("git init does not help: %v", err)
	}
}

func TestACopyInsideAnotherRepository(t *testing.T) {
	outer := newFolder(t, map[string]string{"starter/go.mod": "module encore.app\n", "starter/auth/auth.go": handler})
	_, err := adopt(folder{t, filepath.Join(outer.path, "starter")}, shop(t, nil).path, "auth")
	refused(t, err, "has no go.mod", "not in a copy inside another repository")
	if err != nil && strings.Contains(err.Error(), "%!") {
		t.Error(err)
	}
}
