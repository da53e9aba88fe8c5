package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// docs/events.md shows handle as it is, so that what is pasted loses no call.
func TestTheDocumentsShowTheRealHandle(t *testing.T) {
	source := read(t, "webhooks/webhooks.go")
	document := read(t, "docs/events.md")
	// Who has removed the service account has removed its line.
	line := regexp.MustCompile(`(?m)^.*// accoun[t]:.*\n`) // which is not marked itself
	source, document = line.ReplaceAllString(source, ""), line.ReplaceAllString(document, "")
	_, rest, _ := strings.Cut(source, "\nfunc handle(")
	body, _, found := strings.Cut(rest, "\n}\n")
	if !found || !strings.Contains(body, ".Tell(") {
		t.Fatal("webhooks.go has no function handle")
	}
	if !strings.Contains(document, "```go\nfunc handle("+body+"\n}\n```") {
		t.Error("docs/events.md shows another function handle than webhooks.go has")
	}
	if strings.Count(document, "func handle(") != 1 {
		t.Error("docs/events.md shows more than one function handle")
	}
}

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

// read returns a file of the repository.
func read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
