package main

import (
	"context"
	"flag"
	"log/slog"

	"encore.app/auth/clerkauth"
	"encore.app/internal/standalone"
)

// service is an optional service of the app.
type service interface {
	// check returns an error that names the flag that is wrong.
	check(settings) error
	// standalone starts what the standalone backend needs.
	standalone(context.Context, settings, *clerkauth.Authenticator, *slog.Logger) (addition, error)
	// encore starts what encore run needs. An error says why there is none; the
	// addition counts even then.
	encore(ctx context.Context, s settings, program string) (addition, error)
}

// services has a constructor for each service, which adds the service's flags.
// The file of a service adds its constructor.
var services []func(*flag.FlagSet) service

// addition is what a service adds to the backend.
type addition struct {
	name, note string // a line for describe to print
	extension  standalone.Extension
	arguments  []string // of encore run
	stop       func()   // nil: nothing to stop
}

// add starts what each service adds to a backend, until one fails.
func (s settings) add(start func(service) (addition, error)) (added []addition, err error) {
	for _, service := range s.services {
		a, err := start(service)
		added = append(added, a)
		if err != nil {
			return added, err
		}
	}
	return added, nil
}

// stopAll stops the additions after the backend, if there is one.
func stopAll(added []addition) {
	for _, a := range added {
		if a.stop != nil {
			a.stop()
		}
	}
}
