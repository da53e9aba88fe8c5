package clerkevent_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// docs/events.md shows handle as it is, so that what is pasted loses no call.
func TestTheDocumentsShowTheRealHandle(t *testing.T) {
	source, err := os.ReadFile("../webhooks.go")
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile("../../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	// Who has removed the service account has removed its line.
	line := regexp.MustCompile(`(?m)^.*// accoun[t]:.*\n`) // which is not marked itself
	source, document = line.ReplaceAll(source, nil), line.ReplaceAll(document, nil)
	_, rest, _ := strings.Cut(string(source), "\nfunc handle(")
	body, _, found := strings.Cut(rest, "\n}\n")
	if !found || !strings.Contains(body, ".Tell(") {
		t.Fatal("webhooks.go has no function handle")
	}
	if !strings.Contains(string(document), "```go\nfunc handle("+body+"\n}\n```") {
		t.Error("docs/events.md shows another function handle than webhooks.go has")
	}
	if strings.Count(string(document), "func handle(") != 1 {
		t.Error("docs/events.md shows more than one function handle")
	}
}
