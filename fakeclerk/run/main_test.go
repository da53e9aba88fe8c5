//go:build !encore_local

// Encore's Go links no test whose packages leave its runtime out.

package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	if os.Getenv("FAKECLERK_RUN_TEST") == "print" { // as the command
		os.Stdout.WriteString(os.Getenv("CLERK_API_URL") + os.Getenv("CLERK_JWT_KEY") + " " + os.Getenv("CLERK_SECRET_KEY"))
		os.Exit(3)
	}
	os.Exit(m.Run())
}

func TestTheCommandAsksTheFakeClerk(t *testing.T) {
	t.Setenv("FAKECLERK_RUN_TEST", "print")
	t.Setenv("CLERK_JWT_KEY", "left over")
	var out, failure bytes.Buffer
	err := run(t.Context(), []string{"-clerk", "127.0.0.1:0", os.Args[0]}, &out, &failure)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("got %v, want the status of the command", err)
	}
	if !strings.HasPrefix(out.String(), "http://127.0.0.1:") || !strings.HasSuffix(out.String(), " sk_test_fakeclerk") || strings.Contains(out.String(), "left over") {
		t.Errorf("the command saw %q", out.String())
	}
	if err := run(t.Context(), nil, &out, &failure); err == nil {
		t.Error("no command is named, and no error")
	}
}

func TestAWrongFlagIsNamed(t *testing.T) {
	t.Setenv("FAKECLERK_RUN_TEST", "print")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, flag := range [][]string{
		{"-clerk", taken.Addr().String()},
		{"-webhooks", "foo"},
		{"-webhooks", "localhost:4000/webhooks/clerk"},
		{"-webhooks", "/webhooks/clerk"},
	} {
		err := run(t.Context(), append([]string{"-clerk", "127.0.0.1:0"}, append(flag, os.Args[0])...), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), flag[0]) {
			t.Errorf("%q: %v", flag, err)
		}
	}
}
