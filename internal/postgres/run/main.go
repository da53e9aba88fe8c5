// Command run runs another command with a temporary PostgreSQL server:
//
//	go run ./internal/postgres/run sh -c 'cd / && encore daemon && cd - && encore run'
//
// The command finds the server in the variables by which the Encore CLI's daemon
// finds one (ENCORE_SQLDB_HOST and so on), and tests in TEST_DATABASE_URL. With
// POSTGRES_FOLDER a test can stop it and start it again. The server and its data
// are gone when the command ends.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/signal"

	"encore.app/internal/postgres"
)

func main() {
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "run:", err)
	}
	os.Exit(code)
}

func run(args []string) (code int, err error) {
	if len(args) == 0 {
		return 2, errors.New("name the command to run")
	}
	server, err := postgres.Start(context.Background())
	if err != nil {
		return 1, err
	}
	defer server.Stop()
	address, err := url.Parse(server.URL())
	if err != nil {
		return 1, err
	}
	password, _ := address.User.Password()
	command := exec.Command(args[0], args[1:]...)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.Env = append(os.Environ(),
		"TEST_DATABASE_URL="+server.URL(),
		"POSTGRES_FOLDER="+server.Folder(),
		"ENCORE_SQLDB_HOST="+address.Host,
		"ENCORE_SQLDB_USER="+address.User.Username(),
		"ENCORE_SQLDB_PASSWORD="+password,
		"ENCORE_SQLDB_DATABASE=postgres",
	)
	signal.Notify(make(chan os.Signal, 1), os.Interrupt) // the terminal sends it to the command as well
	err = command.Run()
	if ended := new(exec.ExitError); errors.As(err, &ended) {
		return max(ended.ExitCode(), 1), nil
	}
	if err != nil {
		return 1, err
	}
	return 0, nil
}
