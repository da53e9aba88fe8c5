package fakeclerk

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of README.md anew")

// README.md says of each route and each event of Clerk's whether it is played.
//
//	go test ./fakeclerk -run Coverage -update
func TestCoverage(t *testing.T) {
	const begin, end = "<!-- coverage: go test ./fakeclerk -run Coverage -update -->\n", "<!-- end of coverage -->"
	page, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(page), begin)
	table, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatal("README.md has no place for the table")
	}
	want := coverage(t)
	if table == want {
		return
	}
	if !*update {
		t.Fatal("the table of README.md is out of date: go test ./fakeclerk -run Coverage -update")
	}
	if err := os.WriteFile("README.md", []byte(before+begin+want+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// group is a line of the table.
type group struct{ played, missing []string }

// coverage compares the server with the list of what Clerk publishes.
func coverage(t *testing.T) string {
	t.Helper()
	list, err := os.ReadFile("testdata/clerk.txt")
	if err != nil {
		t.Fatal(err)
	}
	unknown := played(t)
	routes, happenings := map[string]*group{}, map[string]*group{}
	total, have := 0, 0
	for line := range strings.Lines(string(list)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		groups, name := happenings, strings.SplitN(line, ".", 2)[0]
		if _, path, ok := strings.Cut(line, " /"); ok {
			groups, name = routes, strings.SplitN(path, "/", 2)[0]
			total++
		}
		if groups[name] == nil {
			groups[name] = &group{}
		}
		key := anonymous(line)
		if !unknown[key] {
			groups[name].missing = append(groups[name].missing, "`"+line+"`")
			continue
		}
		delete(unknown, key)
		groups[name].played = append(groups[name].played, "`"+line+"`")
		if groups[name] == routes[name] {
			have++
		}
	}
	for _, name := range slices.Sorted(maps.Keys(unknown)) {
		t.Errorf("%s is played, and not in the list of what Clerk publishes", name)
	}
	return fmt.Sprintf("\n%d of %d routes:\n\n", have, total) + rows(routes) + "\nEvents that are sent when something changes:\n\n" + rows(happenings) + "\n"
}

// played are the routes of the Backend API, and the events.
func played(t *testing.T) map[string]bool {
	t.Helper()
	s, err := Start(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all := map[string]bool{}
	for _, rt := range s.routes() {
		method, path, ok := strings.Cut(rt.pattern, " ")
		if ok && surfaceOf(path) == backendAPI {
			all[anonymous(method+" "+strings.TrimPrefix(path, "/v1"))] = true
		}
	}
	for _, event := range events {
		all[event] = true
	}
	return all
}

// anonymous leaves the names of a route's parameters out.
func anonymous(route string) string {
	return regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(route, "{}")
}

func rows(groups map[string]*group) string {
	var text strings.Builder
	text.WriteString("| | played | not played |\n| --- | --- | --- |\n")
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		g := groups[name]
		fmt.Fprintf(&text, "| %s | %s | %s |\n", name, strings.Join(g.played, ", "), strings.Join(g.missing, ", "))
	}
	return text.String()
}
