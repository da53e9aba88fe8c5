package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every reason of a refusal is explained.
func TestReasonsAreDocumented(t *testing.T) {
	page := read(t, "docs/operations.md")
	sources, err := filepath.Glob(filepath.Join(root, "auth", "clerkauth", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	reasons := 0
	for _, name := range sources {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(` Reason = "([a-z_]+)"`).FindAllStringSubmatch(string(source), -1) {
			reasons++
			if !strings.Contains(page, fmt.Sprintf("`%s`", match[1])) {
				t.Errorf("docs/operations.md does not have %s", match[1])
			}
		}
	}
	if reasons < 10 {
		t.Errorf("found only %d reasons", reasons)
	}
}

// cmd/adopt -update prints the entries of CHANGELOG.md, which are one line each.
func TestChangelog(t *testing.T) {
	_, entries, found := strings.Cut(read(t, "CHANGELOG.md"), "\n- ")
	if !found {
		t.Fatal("CHANGELOG.md has no entries")
	}
	for line := range strings.Lines("- " + entries) {
		if !regexp.MustCompile("^- `[a-z/]+`: .*\\.\n$").MatchString(line) {
			t.Errorf("CHANGELOG.md: an entry is one line with a folder and a sentence, not %q", line)
		}
	}
}

// read returns a file of the repository.
func read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
