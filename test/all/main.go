// Command all runs go test, and says in its last lines which tests were skipped
// and what they lack. Its arguments are those of go test, at first ./...:
//
//	go run ./test/all
//	go run ./test/all -race ./auth/...
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// event is a line of go test -json.
type event struct{ Action, Package, Test, Output string }

// place is where t.Skip was called, which go test puts before what it says.
var place = regexp.MustCompile(`^\w+\.go:\d+: `)

func main() {
	arguments := os.Args[1:]
	if len(arguments) == 0 {
		arguments = []string{"./..."}
	}
	command := exec.Command("go", append([]string{"test", "-json"}, arguments...)...)
	command.Stderr = os.Stderr
	events, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "all:", err)
		os.Exit(1)
	}
	skipped := follow(json.NewDecoder(events), os.Stdout)
	err = command.Wait()
	fmt.Println("\nNot run:")
	for _, what := range skipped {
		fmt.Println("  " + what)
	}
	fmt.Println("  the tests that need Encore's runtime: encore test ./...")
	if err != nil {
		os.Exit(1)
	}
}

// follow prints what go test prints without -v, and returns what was skipped.
func follow(events *json.Decoder, out io.Writer) (skipped []string) {
	said := map[string]map[string]string{} // by package and test, until it passes
	tests := map[string]int{}              // by package and reason
	for {
		var e event
		if err := events.Decode(&e); err != nil {
			if !errors.Is(err, io.EOF) {
				fmt.Fprintln(out, "all: go test -json:", err)
			}
			break
		}
		if said[e.Package] == nil {
			said[e.Package] = map[string]string{}
		}
		switch {
		case e.Action == "output" && e.Test != "":
			said[e.Package][e.Test] += e.Output
		case e.Output != "PASS\n":
			fmt.Fprint(out, e.Output) // of a package or its compiler
		}
		switch {
		case e.Action == "skip" && e.Test != "":
			tests[e.Package+": "+reason(said[e.Package][e.Test])]++
			delete(said[e.Package], e.Test)
		case e.Action == "pass":
			delete(said[e.Package], e.Test)
		case e.Action == "fail": // of the package: also the tests that did not end
			for test, output := range said[e.Package] {
				if e.Test == "" || e.Test == test {
					fmt.Fprint(out, output)
					delete(said[e.Package], test)
				}
			}
		}
	}
	for what, n := range tests {
		skipped = append(skipped, fmt.Sprintf("%s (tests: %d)", what, n))
	}
	slices.Sort(skipped)
	return skipped
}

// reason is what a test said when it was skipped.
func reason(output string) string {
	var words []string
	for line := range strings.Lines(output) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			words = append(words, place.ReplaceAllString(line, ""))
		}
	}
	return strings.Join(words, " ")
}
