// Package conformance compares this project with Clerk's JavaScript backend
// SDK, @clerk/backend: what each decides on the same tokens.
//
//	TESTS=whole go test ./test/conformance
//
// It needs Node and the SDK: npm --prefix test/conformance ci. Without them its
// tests skip, or fail with REQUIRED=node.
package conformance

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// noNode says why there is no reference to ask; nil if there is one.
var noNode error

func TestMain(m *testing.M) {
	if noNode = findNode(); noNode != nil && strings.Contains(os.Getenv("REQUIRED"), "node") {
		fmt.Fprintln(os.Stderr, "conformance:", noNode)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func findNode() error {
	if _, err := exec.LookPath("node"); err != nil {
		return errors.New("node is not on PATH")
	}
	lock, err := os.Stat("package-lock.json")
	if err != nil {
		return err
	}
	installed, err := os.Stat("node_modules/.package-lock.json")
	if err != nil || installed.ModTime().Before(lock.ModTime()) {
		return errors.New("its packages are not installed, or old: npm --prefix test/conformance ci")
	}
	return nil
}

// node is a script that asks @clerk/backend, in a process of its own: a question
// a line, and for each an answer.
type node struct {
	questions *json.Encoder
	answers   *json.Decoder
}

// needsWhole skips a test that compares thousands of tokens.
func needsWhole(t *testing.T) {
	t.Helper()
	if os.Getenv("TESTS") != "whole" {
		t.Skip("TESTS=whole compares thousands of tokens")
	}
}

func startNode(t *testing.T, script string) *node {
	t.Helper()
	if noNode != nil {
		t.Skipf("@clerk/backend was not asked: %v", noNode)
	}
	// go test keeps a result until what the test looked at changes.
	if _, err := os.Stat(script); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "node", script)
	var complaints bytes.Buffer
	command.Stderr = &complaints
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = command.Wait()
		if t.Failed() && complaints.Len() > 0 {
			t.Logf("@clerk/backend printed:\n%s", complaints.Bytes()[:min(complaints.Len(), 4096)])
		}
	})
	return &node{questions: json.NewEncoder(in), answers: json.NewDecoder(bufio.NewReader(out))}
}

// ask puts one question, and decodes the answer.
func (n *node) ask(t *testing.T, question, answer any) {
	t.Helper()
	if err := n.questions.Encode(question); err != nil {
		t.Fatal(err)
	}
	if err := n.answers.Decode(answer); err != nil {
		t.Fatalf("@clerk/backend answers nothing: %v", err)
	}
}

// configuration is how both sides are set up.
type configuration struct {
	SecretKey         string   `json:"secretKey"`
	APIURL            string   `json:"apiUrl"`
	JWTKey            string   `json:"jwtKey,omitempty"`
	AuthorizedParties []string `json:"authorizedParties,omitempty"`
	// Now is the time in milliseconds at which the clock of the reference
	// stands still; 0 lets it run.
	Now int64 `json:"now,omitempty"`
}

func (n *node) configure(t *testing.T, c configuration) {
	t.Helper()
	var done struct{}
	n.ask(t, map[string]any{"configure": c}, &done)
}
