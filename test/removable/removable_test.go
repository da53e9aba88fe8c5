// Package removable shows that the service account can be removed: without the
// folders and files named after it the app compiles and passes its tests, and
// the page compiles.
package removable

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestWithoutAccount compiles the app without the service, and the page where its
// packages are installed. It runs the tests of the packages that the service adds
// something to.
func TestWithoutAccount(t *testing.T) {
	if os.Getenv("TESTS") != "whole" {
		t.Skip("TESTS=whole compiles and tests the app without the service")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	overlay := overlay(t, root)
	run(t, root, "go", "vet", overlay, "./...")
	run(t, root, "go", "test", "-vet=off", overlay, "./auth/authz", "./examples/organization/...", "./user/...", "./webhooks/...", "./internal/standalone", "./test/e2e")
	compilePage(t, filepath.Join(root, "web"))
}

// overlay writes an overlay for the go command, in which the service is removed
// from the module, and returns the flag that names it. Packages that have nothing
// to do with the service come from the build cache.
func overlay(t *testing.T, root string) (flag string) {
	t.Helper()
	replace := map[string]string{} // "" removes a file
	walk(t, root, func(relative string) error {
		if filepath.Ext(relative) == ".go" && isAccount(relative) {
			replace[filepath.Join(root, relative)] = ""
		}
		return nil
	})
	if len(replace) == 0 {
		t.Error("is there anything to remove?")
	}
	content, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(t.TempDir(), "overlay.json")
	if err := os.WriteFile(list, content, 0o600); err != nil {
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
	walk(t, page, func(relative string) error {
		if isAccount(relative) {
			return nil
		}
		content, err := os.ReadFile(filepath.Join(page, relative))
		if err != nil {
			return err
		}
		name := filepath.Join(folder, relative)
		return errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, content, 0o600))
	})
	if err := os.Symlink(modules, filepath.Join(folder, "node_modules")); err != nil {
		t.Fatal(err)
	}
	run(t, folder, compiler)
}

// walk visits the files in a folder, but not what is installed or hidden.
func walk(t *testing.T, folder string, visit func(relative string) error) {
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
			if relative != "." && strings.HasPrefix(entry.Name(), ".") || entry.Name() == "node_modules" {
				return filepath.SkipDir
			}
			return nil
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		return visit(relative)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// isAccount reports whether a file is named after the service (account.go,
// account_test.go, account_encore.go), or in a folder that is.
func isAccount(relative string) bool {
	for part := range strings.SplitSeq(filepath.ToSlash(relative), "/") {
		name, _, _ := strings.Cut(part, ".")
		if name, _, _ = strings.Cut(name, "_"); name == "account" {
			return true
		}
	}
	return false
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
