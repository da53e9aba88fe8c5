// Package docs tests what the documents say: their links lead somewhere, their
// Go code is cut from files that compile, and their commands are known to run.
package docs

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// documents returns the Markdown files of the repository by their paths.
func documents(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	walk(t, ".md", func(path, text string) { found[path] = text })
	return found
}

// walk reads the repository's files whose names end like one of the suffixes.
func walk(t *testing.T, suffix string, read func(path, text string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		name := entry.Name()
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (name == "node_modules" || strings.HasPrefix(name, ".") && path != root):
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, suffix):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		read(filepath.ToSlash(relative), string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)|srcset="([^"]+)"|src="([^"]+)"`)
	heading = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	fence   = regexp.MustCompile("(?ms)^( *)```([a-z]*)\n(.*?)^ *```$")
)

// anchor is the name that GitHub gives a heading.
func anchor(heading string) string {
	heading = strings.ToLower(strings.NewReplacer("`", "", "*", "").Replace(heading))
	heading = regexp.MustCompile(`[^\p{L}\p{N}\- _]`).ReplaceAllString(heading, "")
	return strings.ReplaceAll(strings.TrimSpace(heading), " ", "-")
}

func TestLinks(t *testing.T) {
	all := documents(t)
	for path, text := range all {
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			target := match[1] + match[2] + match[3]
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			file, fragment, _ := strings.Cut(target, "#")
			linked := path
			if file != "" {
				linked = filepath.ToSlash(filepath.Join(filepath.Dir(path), file))
			}
			if _, err := os.Stat(filepath.Join(root, linked)); err != nil {
				t.Errorf("%s: the link %s leads nowhere", path, target)
				continue
			}
			if fragment == "" {
				continue
			}
			if !slices.ContainsFunc(heading.FindAllStringSubmatch(all[linked], -1), func(h []string) bool {
				return anchor(h[1]) == fragment
			}) {
				t.Errorf("%s: %s has no such heading", path, target)
			}
		}
	}
}

// fenced returns the blocks of code in a language, without their indentation.
func fenced(text, language string) []string {
	var blocks []string
	for _, match := range fence.FindAllStringSubmatch(text, -1) {
		if match[2] == language {
			blocks = append(blocks, lines(match[3]))
		}
	}
	return blocks
}

// lines returns a text without indentation, so that code is found wherever it is
// nested.
func lines(text string) string {
	var all []string
	for line := range strings.Lines(text) {
		all = append(all, strings.TrimSpace(line))
	}
	return strings.TrimSpace(strings.Join(all, "\n"))
}

// Go code of a document stands in a file of the repository, line for line.
func TestGoCode(t *testing.T) {
	var sources []string
	walk(t, ".go", func(_, text string) { sources = append(sources, lines(text)) })
	for path, text := range documents(t) {
		for _, block := range fenced(text, "go") {
			for paragraph := range strings.SplitSeq(block, "\n\n") {
				if !slices.ContainsFunc(sources, func(source string) bool { return strings.Contains(source, paragraph) }) {
					t.Errorf("%s: no Go file has this code:\n%s", path, paragraph)
				}
			}
		}
	}
}

// The services that documents show are under app, behind a build tag: Encore
// would take them for services of this application. Here each stands in a copy of
// the repository, where Encore checks it as it would in an application.
//
//	TESTS=encore go test ./test/docs
func TestServicesUnderEncore(t *testing.T) {
	if os.Getenv("TESTS") != "encore" {
		t.Skip("needs the Encore CLI: TESTS=encore runs it")
	}
	folder := t.TempDir()
	copyFiles := func(from, pattern string, change func([]byte) []byte) {
		list := exec.Command("git", "ls-files", "-z", pattern)
		list.Dir = filepath.Join(root, from)
		names, err := list.Output()
		if err != nil {
			t.Fatal(err)
		}
		for name := range strings.SplitSeq(strings.TrimRight(string(names), "\x00"), "\x00") {
			content, err := os.ReadFile(filepath.Join(root, from, name))
			if err != nil {
				t.Fatal(err)
			}
			to := filepath.Join(folder, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, change(content), 0o644)); err != nil {
				t.Fatal(err)
			}
		}
	}
	copyFiles(".", ".", func(content []byte) []byte { return content })
	copyFiles("test/docs/app", ".", func(content []byte) []byte {
		content = bytes.TrimPrefix(content, []byte("//go:build docs\n\n"))
		return bytes.Replace(content, []byte("//go:build docs && "), []byte("//go:build "), 1)
	})
	check := exec.CommandContext(t.Context(), "encore", "check")
	check.Dir, check.Env = folder, append(os.Environ(), "CLERK_SECRET_KEY=sk_test_fakeclerk")
	output, err := check.CombinedOutput()
	if err != nil || !strings.Contains(string(output), "app is ready") {
		t.Errorf("encore check: %v\n%s", err, output)
	}
	test := exec.CommandContext(t.Context(), "encore", "test", "./articles")
	test.Dir, test.Env = folder, check.Env
	if output, err := test.CombinedOutput(); err != nil {
		t.Errorf("encore test: %v\n%s", err, output)
	}
}

// What Encore does not look at compiles, too, where there is no Encore.
func TestServicesCompile(t *testing.T) {
	vet := exec.CommandContext(t.Context(), "go", "vet", "-tags", "docs,encore_local", "./app/articles", "./app/e2e", "./app/notes", "./app/mail", "./app/webhooks", "./app/recipes", "./app/export")
	if output, err := vet.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}
