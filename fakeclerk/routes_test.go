package fakeclerk

import (
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestRoutesAreListed(t *testing.T) {
	s, err := Start(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	response, err := http.Get(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	list, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, rt := range s.routes() {
		if !strings.Contains(string(list), rt.pattern+" ") {
			t.Errorf("GET / does not list %s", rt.pattern)
		}
	}
}

func TestDocumentationNamesRoutesThatThereAre(t *testing.T) {
	source, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	s, err := Start(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	named := regexp.MustCompile(`\b(GET|POST|PUT|PATCH|DELETE) (/[^ ?\n]+)`).FindAllString(string(source), -1)
	if len(named) < 4 {
		t.Errorf("found only %q", named)
	}
	for _, name := range named {
		s.Requests(name) // panics for an unknown route
	}
}
