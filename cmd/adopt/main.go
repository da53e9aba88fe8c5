// Command adopt copies folders of this repository into an Encore app, and later
// merges into the copy what has changed here since:
//
//	go run ./cmd/adopt ../shop auth tokentypes user fakeclerk authtest
//	go run ./cmd/adopt -update ../shop
//
// It changes nothing in an app with uncommitted changes, commits nothing, and
// never overwrites a folder that is not from here. git reset --hard undoes it.
// If it is interrupted while git writes files, git clean -fd removes the rest.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

const usage = `usage: go run ./cmd/adopt [-version COMMIT] APP FOLDER...
       go run ./cmd/adopt -update [-version COMMIT] APP [FOLDER...]

APP is the folder of an Encore app. The first form copies folders of this
repository into it, the second merges what has changed here since, and adds
further folders. Folders are Encore services such as auth, user, webhooks and
account, and others such as fakeclerk, authtest and cmd/dev.
`

func main() {
	err := run(context.Background(), ".", os.Args[1:], os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "adopt:", err)
		os.Exit(1)
	}
}

// run is the command, started in a folder of this repository.
func run(ctx context.Context, here string, arguments []string, out io.Writer) error {
	flags := flag.NewFlagSet("adopt", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	update := flags.Bool("update", false, "merge what has changed since the version that was copied")
	version := flags.String("version", "HEAD", "the commit of this repository to copy")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	folders := flags.Args()
	if len(folders) == 0 || len(folders) == 1 && !*update {
		flags.Usage()
		return errors.New("name the app and the folders")
	}
	starter, err := openRepository(ctx, here)
	if err != nil {
		return err
	}
	app, err := openApp(ctx, folders[0])
	if err != nil {
		return err
	}
	plan, err := newPlan(ctx, starter, app, *version, *update, cleaned(folders[1:]))
	if err != nil {
		return err
	}
	return plan.carryOut(ctx, out)
}

// cleaned writes folders the way git does: auth/ is auth.
func cleaned(folders []string) []string {
	all := make([]string, 0, len(folders))
	for _, folder := range folders {
		all = append(all, strings.Trim(strings.TrimPrefix(folder, "./"), "/"))
	}
	slices.Sort(all)
	return slices.Compact(all)
}
