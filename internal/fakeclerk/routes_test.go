package fakeclerk

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

func TestDocumentationListsEveryRoute(t *testing.T) {
	source, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var documented, registered []string
	for _, match := range regexp.MustCompile(`(?m)^//\t([A-Z]+) +(/[^ ?\n]+)`).FindAllStringSubmatch(string(source), -1) {
		documented = append(documented, match[1]+" "+match[2])
	}
	s, err := Start(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for pattern := range s.routes {
		if pattern != "/" && pattern != "/v1/" && pattern != "/v1/client/" { // unknown paths
			registered = append(registered, pattern)
		}
	}
	slices.Sort(documented)
	slices.Sort(registered)
	if !slices.Equal(documented, registered) {
		t.Errorf("documented\n%q\nregistered\n%q", documented, registered)
	}
}
