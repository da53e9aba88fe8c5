package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/modfile"
)

// recordName is the file in the app that says what was copied.
const recordName = ".clerk-starter.json"

// record says what an app has of this repository.
type record struct {
	Version string   `json:"version"` // a commit
	Folders []string `json:"folders"`
}

// app is the Encore app that folders are copied into.
type app struct {
	folder string
	prefix string // the path of folder in its git repository, "" or "backend/"
	module string
	record record // zero before the first copy
	text   string // the record as it is committed
}

// openApp reads an app, and refuses one with uncommitted changes.
func openApp(ctx context.Context, folder string) (*app, error) {
	for _, name := range []string{"encore.app", "go.mod"} {
		if _, err := os.Stat(filepath.Join(folder, name)); err != nil {
			return nil, fmt.Errorf("%s has no %s: name the folder of an Encore app in Go, as encore app create makes one", folder, name)
		}
	}
	prefix, err := git(ctx, folder, "rev-parse", "--show-prefix")
	if err != nil && strings.Contains(err.Error(), "not a git repository") {
		return nil, fmt.Errorf("%s is in no git repository. In it: git init && git add -A && git commit -m 'before adopting' (%w)", folder, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", folder, err)
	}
	a := &app{folder: folder, prefix: strings.TrimSpace(prefix)}
	changes, err := git(ctx, folder, "status", "--porcelain")
	if err != nil {
		return nil, err
	}
	if changes != "" {
		return nil, fmt.Errorf("%s has uncommitted changes. Commit or stash them first, so that git can undo what this command does, or, after an interrupted run, git reset --hard (and git clean -fd for files that git had not staged yet):\n%s", folder, firstLines(changes))
	}
	goMod, err := os.ReadFile(filepath.Join(folder, "go.mod"))
	if err != nil {
		return nil, err
	}
	if a.module = modfile.ModulePath(goMod); a.module == "" {
		return nil, fmt.Errorf("%s names no module", filepath.Join(folder, "go.mod"))
	}
	return a, a.readRecord(ctx)
}

func (a *app) readRecord(ctx context.Context) (err error) {
	if !a.has(recordName) {
		return nil
	}
	if a.text, err = git(ctx, a.folder, "cat-file", "blob", "HEAD:./"+recordName); err != nil {
		return fmt.Errorf("%s is not committed: commit it with git add -f, or delete it if the adoption was undone (%w)", recordName, err)
	}
	if err := json.Unmarshal([]byte(a.text), &a.record); err != nil {
		return fmt.Errorf("%s: %w", recordName, err)
	}
	if a.record.Version == "" || len(a.record.Folders) == 0 {
		return fmt.Errorf("%s: version or folders are missing", recordName)
	}
	return nil
}

// adopted reports whether this command made a folder of the app.
func (a *app) adopted() bool { return a.record.Version != "" }

// linesShown is how many files an error lists.
const linesShown = 10

// firstLines shortens a list that git has printed.
func firstLines(list string) string {
	lines := strings.SplitAfter(list, "\n")
	if more := len(lines) - 1 - linesShown; more > 0 {
		return strings.Join(lines[:linesShown], "") + fmt.Sprintf("and %d more\n", more)
	}
	return list
}

// has reports whether the app has a file or a folder of a name.
func (a *app) has(name string) bool {
	_, err := os.Lstat(filepath.Join(a.folder, name))
	return err == nil
}

// refuseExisting returns an error if a folder that is to be made is there.
func (a *app) refuseExisting(folder string) error {
	own := filepath.Join(a.folder, folder)
	if !a.has(folder) {
		return nil
	}
	advice := "leave " + folder + " out, or rename or delete your own"
	if handler, err := authHandler(own); err == nil && handler != "" {
		advice = "it has the app's auth handler, and an app has one: delete or rename the folder if the new one is to replace it"
	}
	return fmt.Errorf("%s exists, and this command did not make it: %s (git rm -r or git mv, then git commit)", own, advice)
}

// authHandler returns the Go file in a folder that has an auth handler, or "".
func authHandler(folder string) (found string, err error) {
	err = filepath.WalkDir(folder, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && name != folder && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		content, err := os.ReadFile(name)
		if err == nil && declaresAuthHandler(string(content)) {
			found = name
			return filepath.SkipAll
		}
		return err
	})
	return found, err
}

func declaresAuthHandler(content string) bool {
	return strings.HasPrefix(content, "//encore:authhandler") || strings.Contains(content, "\n//encore:authhandler")
}
