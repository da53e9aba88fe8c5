// Package removable shows that the service account can be removed: without its
// folder, the files named after it and the lines marked "// account:", the app
// compiles and passes its tests.
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

// marked is a line that goes with the service.
var marked = regexp.MustCompile(`(?m)^.*// account:.*\n`)

// TestWithoutAccount compiles the app without the service. With TESTS=whole it
// also runs the tests of the packages that had marked lines, and of all that
// they serve.
func TestWithoutAccount(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	overlay, lines := removed(t, root)
	if lines == 0 {
		t.Error("no line is marked: is there anything to remove?")
	}
	t.Logf("%d lines and the folder are removed", lines)
	run(t, root, "go", "vet", overlay, "./...")
	if os.Getenv("TESTS") == "whole" {
		run(t, root, "go", "test", overlay, "./auth/access", "./organization/...", "./user/...", "./webhooks/...", "./internal/standalone", "./test/e2e")
	}
}

// removed writes an overlay for the go command, in which the service is removed
// from the module. Packages that have nothing to do with the service come from
// the build cache. It returns the flag that names the overlay, and how many
// lines are gone from files that stay.
func removed(t *testing.T, root string) (flag string, lines int) {
	t.Helper()
	folder := t.TempDir()
	replace := map[string]string{} // "" removes a file
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			switch {
			case relative == filepath.Join("test", "removable"), // which has the mark in its own text
				relative != "." && strings.HasPrefix(entry.Name(), "."), entry.Name() == "node_modules":
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		top, _, _ := strings.Cut(relative, string(filepath.Separator))
		if top == "account" || strings.TrimSuffix(strings.TrimSuffix(entry.Name(), ".go"), "_test") == "account" {
			replace[name] = ""
			return nil
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if n := len(marked.FindAllIndex(content, -1)); n > 0 {
			lines += n
			replace[name] = filepath.Join(folder, strings.ReplaceAll(relative, string(filepath.Separator), "_"))
			return os.WriteFile(replace[name], marked.ReplaceAll(content, nil), 0o600)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	content, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(folder, "overlay.json")
	if err := os.WriteFile(list, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return "-overlay=" + list, lines
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
