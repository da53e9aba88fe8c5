// Command explain says why the backend accepts or refuses a token. It
// authenticates the token with the app's settings and prints a line for each
// check. At the first check that fails it prints the setting to change. It prints
// neither the token nor an email address.
//
//	pbpaste | go run ./cmd/explain
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"encore.app/auth/clerkauth"
)

// maxInput bounds what is read. No token is longer than a part of it.
const maxInput = 2 * clerkauth.MaxTokenBytes

var errRefused = errors.New("the token is refused")

func main() {
	switch err := run(context.Background(), os.Args[1:], os.Stdin, os.Stdout); {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errRefused):
		os.Exit(1)
	default:
		fmt.Fprintln(os.Stderr, "explain:", err)
		os.Exit(2)
	}
}

func run(ctx context.Context, arguments []string, in io.Reader, out io.Writer) error {
	s, err := parse(arguments)
	if err != nil {
		return err
	}
	s.describe(out)
	a, options, err := s.start()
	if err != nil {
		return fmt.Errorf("the app would not start: %w", err)
	}
	if s.token == "" {
		if s.token, err = read(in, out); err != nil {
			return err
		}
	}
	token, notes := clean(s.token)
	for _, note := range notes {
		fmt.Fprintln(out, "Note: "+note)
	}
	if token == "" {
		return errors.New("no token: give it as the argument, or on standard input")
	}
	fmt.Fprintln(out)
	return explain(ctx, a, options, token, out)
}

// read reads a token: a line from a terminal, everything from a pipe.
func read(in io.Reader, out io.Writer) (string, error) {
	in = io.LimitReader(in, maxInput)
	if file, ok := in.(*io.LimitedReader).R.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			fmt.Fprint(out, "\nPaste the token and press Enter: ")
			line, err := bufio.NewReader(in).ReadString('\n')
			if err == io.EOF {
				err = nil
			}
			return line, err
		}
	}
	text, err := io.ReadAll(in)
	return string(text), err
}

// clean removes the quotes, schemes and white space that are copied along with a
// token, and notes those that a frontend must not send.
func clean(text string) (token string, notes []string) {
	token = strings.TrimSpace(text)
	for {
		before := token
		for _, prefix := range []string{"Authorization:", "Bearer "} {
			if len(token) > len(prefix) && strings.EqualFold(token[:len(prefix)], prefix) {
				token = strings.TrimSpace(token[len(prefix):])
			}
		}
		if unquoted := strings.Trim(token, "\"'`"); unquoted != token {
			token = strings.TrimSpace(unquoted)
			notes = append(notes, "quotes around the token are left out; a frontend must not send them")
		}
		if token == before {
			break
		}
	}
	if strings.HasPrefix(token, "ey") && strings.ContainsAny(token, " \t\r\n") {
		token = strings.Join(strings.Fields(token), "")
		notes = append(notes, "white space within the token is left out; a frontend must not send it")
	}
	return token, notes
}
