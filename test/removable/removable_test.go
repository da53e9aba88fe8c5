// Package removable shows that the service account can be removed: without the
// folders and files named after it and the lines marked "// account:", the app
// compiles and passes its tests, and the page compiles.
package removable

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// marked is a line that goes with the service. The other form is for JSX.
var marked = regexp.MustCompile(`(?m)^.*(//|/\*) account:.*\n`)

// TestWithoutAccount compiles the app without the service. With TESTS=whole it
// also compiles the page where its packages are installed, and runs the tests of
// the packages that had marked lines, and of all that they serve.
func TestWithoutAccount(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	overlay := overlay(t, root)
	run(t, root, "go", "vet", overlay, "./...")
	if os.Getenv("TESTS") != "whole" {
		return
	}
	run(t, root, "go", "test", overlay, "./auth/authz", "./auth/preflight", "./examples/organization/...", "./user/...", "./webhooks/...", "./internal/standalone", "./test/e2e")
	compilePage(t, filepath.Join(root, "web"))
}

// overlay writes an overlay for the go command, in which the service is removed
// from the module, and returns the flag that names it. Packages that have nothing
// to do with the service come from the build cache.
func overlay(t *testing.T, root string) (flag string) {
	t.Helper()
	folder, lines := t.TempDir(), 0
	replace := map[string]string{} // "" removes a file
	walk(t, root, func(relative string, content []byte, isAccount bool) error {
		name := filepath.Join(root, relative)
		if filepath.Ext(name) != ".go" {
			return nil
		}
		if isAccount {
			replace[name] = ""
			return nil
		}
		n := len(marked.FindAllIndex(content, -1))
		if n == 0 {
			return nil
		}
		lines += n
		replace[name] = filepath.Join(folder, relative)
		return write(replace[name], marked.ReplaceAll(content, nil))
	})
	if lines == 0 {
		t.Error("no line is marked: is there anything to remove?")
	}
	t.Logf("%d lines and the folder are removed", lines)
	content, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(folder, "overlay.json")
	if err := write(list, content); err != nil {
		t.Fatal(err)
	}
	return "-overlay=" + list
}

// compilePage compiles a copy of the page in which the service is removed.
func compilePage(t *testing.T, page string) {
	t.Helper()
	modules := filepath.Join(page, "node_modules")
	compiler := filepath.Join(modules, ".bin", "tsc")
	if _, err := os.Stat(compiler); err != nil {
		t.Log("the page was not compiled: npm --prefix web ci")
		return
	}
	folder := t.TempDir()
	walk(t, page, func(relative string, content []byte, isAccount bool) error {
		if isAccount {
			return nil
		}
		return write(filepath.Join(folder, relative), marked.ReplaceAll(content, nil))
	})
	if err := os.Symlink(modules, filepath.Join(folder, "node_modules")); err != nil {
		t.Fatal(err)
	}
	run(t, folder, compiler)
}

// walk visits the files in a folder, but not what is installed or hidden, and
// not this package, which has the mark in its own text.
func walk(t *testing.T, folder string, visit func(relative string, content []byte, isAccount bool) error) {
	t.Helper()
	err := filepath.WalkDir(folder, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(folder, name)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if relative != "." && strings.HasPrefix(entry.Name(), ".") || entry.Name() == "node_modules" || entry.Name() == "removable" {
				return filepath.SkipDir
			}
			return nil
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return visit(relative, content, isAccount(relative))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// isAccount reports whether a file is named after the service or in a folder
// that is.
func isAccount(relative string) bool {
	for part := range strings.SplitSeq(filepath.ToSlash(relative), "/") {
		name, _, _ := strings.Cut(part, ".")
		if strings.TrimSuffix(name, "_test") == "account" {
			return true
		}
	}
	return false
}

func write(name string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	return os.WriteFile(name, content, 0o600)
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
