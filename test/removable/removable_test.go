// Package removable shows that the service account can be removed: without its
// folder, the files named after it and the lines marked "// account:", the app
// compiles and passes its tests.
package removable

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// marked is a line that goes with the service.
var marked = regexp.MustCompile(`(?m)^.*// account:.*\n`)

// TestWithoutAccount compiles the app without the service. With
// ACCOUNT_TESTS=required it also runs the tests of the packages that had marked
// lines, and of all that they serve.
func TestWithoutAccount(t *testing.T) {
	folder := t.TempDir()
	lines := copyWithout(t, "../..", folder)
	if lines == 0 {
		t.Error("no line is marked: is there anything to remove?")
	}
	t.Logf("%d lines and the folder are removed", lines)
	run(t, folder, "go", "vet", "./...")
	if os.Getenv("ACCOUNT_TESTS") == "required" {
		run(t, folder, "go", "test", "./auth/access", "./organization/...", "./user/...", "./webhooks/...", "./internal/standalone", "./test/e2e")
	}
}

// copyWithout copies the module without the service, and returns how many lines
// it left out of files that stay.
func copyWithout(t *testing.T, from, to string) (lines int) {
	t.Helper()
	err := filepath.WalkDir(from, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			switch {
			case relative == "account", relative == filepath.Join("test", "removable"),
				relative != "." && strings.HasPrefix(entry.Name(), "."), entry.Name() == "node_modules":
				return filepath.SkipDir
			}
			return os.MkdirAll(filepath.Join(to, relative), 0o700)
		}
		base := strings.TrimSuffix(strings.TrimSuffix(entry.Name(), ".go"), "_test")
		if base == "account" || !entry.Type().IsRegular() {
			return nil
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if filepath.Ext(name) == ".go" {
			lines += len(marked.FindAllIndex(content, -1))
			content = marked.ReplaceAll(content, nil)
		}
		return os.WriteFile(filepath.Join(to, relative), content, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func run(t *testing.T, folder string, command ...string) {
	t.Helper()
	c := exec.Command(command[0], command[1:]...)
	c.Dir = folder
	var output bytes.Buffer
	c.Stdout, c.Stderr = &output, &output
	if err := c.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, &output)
	}
}
