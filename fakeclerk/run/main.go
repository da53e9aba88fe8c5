// Command run starts a fake Clerk, and a command that asks it in the place of
// yours. Both end together.
//
//	go run ./fakeclerk/run encore run
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"encore.app/fakeclerk"
)

// stopTimeout is the time that the command has to stop. Then it is killed.
const stopTimeout = 4 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	var exit *exec.ExitError
	switch {
	case errors.Is(err, flag.ErrHelp), ctx.Err() != nil:
	case errors.As(err, &exit):
		os.Exit(exit.ExitCode())
	case err != nil:
		fmt.Fprintln(os.Stderr, "run:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string, out, failure io.Writer) error {
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	address := flags.String("clerk", "127.0.0.1:4100", "address of the fake Clerk")
	webhooks := flags.String("webhooks", "http://127.0.0.1:4000/webhooks/clerk", "where its events go; empty: nowhere")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return errors.New("name a command, such as encore run")
	}
	if u, err := url.Parse(*webhooks); *webhooks != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("-webhooks %s: write a URL such as %s, or nothing", *webhooks, flags.Lookup("webhooks").DefValue)
	}
	clerk, err := fakeclerk.Start(fakeclerk.Options{Addr: *address, WebhookURL: *webhooks})
	if err != nil {
		return fmt.Errorf("%w (another address is chosen with -clerk)", err)
	}
	defer clerk.Close()
	fmt.Fprintf(failure, "fake Clerk: %s (ada@example.com, grace@example.com). A session token:\n\n  curl -s '%[1]s/token?email=ada@example.com'\n\n", clerk.URL())

	command := exec.CommandContext(ctx, flags.Arg(0), flags.Args()[1:]...)
	command.Env = append(os.Environ(), clerk.Environment()...)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, out, failure
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = stopTimeout
	return command.Run()
}
