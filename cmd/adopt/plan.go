package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"path"
	"slices"
	"strings"
)

// plan is a change of an app: from what it has of the repository to what it is
// to have. A first copy is a change from nothing.
type plan struct {
	starter     *repository
	app         *app
	from, to    *version // from is nil for a first copy
	before      files
	after       *copied
	folders     []string // after the change
	newFolders  []string
	same        bool     // the folders do not change
	settingsOld []string // config.cue files that the app keeps although they changed here
	uncommitted string   // changes of this repository that are not copied
}

func newPlan(ctx context.Context, starter *repository, a *app, commit string, update bool, folders []string) (*plan, error) {
	if update && !a.adopted() {
		return nil, fmt.Errorf(`%s has no %s, which says what was copied. If you copied folders by hand, write it and commit it:
{"version": "the commit that you copied", "folders": ["auth", "user"]}`, a.folder, recordName)
	}
	p := &plan{starter: starter, app: a, before: files{}, newFolders: folders, folders: slices.Clone(folders)}
	var err error
	if a.adopted() {
		if p.from, err = starter.at(ctx, a.record.Version); err != nil {
			return nil, err
		}
		if !update {
			commit = p.from.commit // so that all folders are of one version
		}
	}
	if p.to, err = starter.at(ctx, commit); err != nil {
		return nil, err
	}
	if a.adopted() {
		if err := p.addRecorded(ctx); err != nil {
			return nil, err
		}
	}
	p.folders = outermost(p.folders)
	if p.after, err = p.to.copyFor(a.module, p.folders); err != nil {
		return nil, err
	}
	p.keepSettings()
	p.same = maps.Equal(p.before, p.after.files)
	if err := p.changeRecord(); err != nil {
		return nil, err
	}
	p.uncommitted, _ = git(ctx, starter.folder, append([]string{"status", "--porcelain", "--"}, p.folders...)...)
	if err := p.check(); err != nil {
		return nil, err
	}
	return p, p.refuseIgnored(ctx)
}

// outermost leaves out folders that are in another one.
func outermost(folders []string) []string {
	slices.Sort(folders)
	all := slices.Compact(folders)
	return slices.DeleteFunc(slices.Clone(all), func(folder string) bool {
		return slices.ContainsFunc(all, func(other string) bool { return within(folder, other) })
	})
}

// addRecorded adds what the app has already, under the names of today.
func (p *plan) addRecorded(ctx context.Context) error {
	recorded := p.app.record.Folders
	before, err := p.from.copyFor(p.app.module, recorded)
	if err != nil {
		return fmt.Errorf("%s: %w", recordName, err)
	}
	p.before = before.files
	if !slices.ContainsFunc(sortedKeys(p.before), p.app.has) {
		return fmt.Errorf("%s says that %s are adopted, but the app has no file of them: if the adoption was undone, delete %[1]s and commit", recordName, strings.Join(recorded, ", "))
	}
	for _, folder := range recorded {
		if slices.Contains(p.newFolders, folder) {
			return fmt.Errorf("%s is adopted already: -update brings it up to date. If you deleted it, delete its name in %s and commit", folder, recordName)
		}
		if p.to.files.has(folder) {
			p.folders = append(p.folders, folder)
			continue
		}
		moved, err := p.starter.moved(ctx, folder, p.from, p.to)
		if err != nil {
			return err
		}
		if moved != "" {
			p.folders, p.newFolders = append(p.folders, moved), append(p.newFolders, moved)
		}
	}
	return nil
}

// keepSettings takes the settings that the app has out of the change.
func (p *plan) keepSettings() {
	for _, name := range sortedKeys(p.before) {
		if path.Base(name) != "config.cue" {
			continue
		}
		if p.before[name] != p.after.files[name] {
			p.settingsOld = append(p.settingsOld, name)
		}
		delete(p.before, name)
		delete(p.after.files, name)
	}
}

// changeRecord makes the record one of the files that git merges, so that it is
// staged with the folders, and undone with them.
func (p *plan) changeRecord() error {
	content, err := json.MarshalIndent(record{Version: p.to.commit, Folders: p.folders}, "", "\t")
	if p.app.adopted() {
		p.before[recordName] = file{content: p.app.text}
	}
	p.after.files[recordName] = file{content: string(content) + "\n"}
	return err
}

// refuseIgnored refuses a change of files that git ignores in the app: a merge
// overwrites an ignored file, and git add leaves it out.
func (p *plan) refuseIgnored(ctx context.Context) error {
	var names []string
	for name, f := range p.after.files {
		if before, ok := p.before[name]; !ok || before != f {
			names = append(names, name)
		}
	}
	ignored, err := gitWith(ctx, p.app.folder, strings.NewReader(strings.Join(names, "\n")), "check-ignore", "--stdin")
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		return nil // none is ignored
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("git ignores these files in the app, and would overwrite your own: change .gitignore (git check-ignore -v names the line), move your own, and commit:\n%s", firstLines(ignored))
}

// check refuses what would overwrite something, or leave an app with two auth
// handlers.
func (p *plan) check() error {
	for _, folder := range p.newFolders {
		if err := p.app.refuseExisting(folder); err != nil {
			return err
		}
	}
	declares := func(all files) bool {
		return slices.ContainsFunc(slices.Collect(maps.Values(all)), func(f file) bool { return declaresAuthHandler(f.content) })
	}
	if declares(p.before) || !declares(p.after.files) {
		return nil
	}
	own, err := authHandler(p.app.folder)
	if err != nil || own == "" {
		return err
	}
	return fmt.Errorf("%s has an auth handler (//encore:authhandler), and an app has one: delete it, or only that line while you move to the new one, and commit", own)
}

// errConflicts is returned after a merge that left conflicts.
var errConflicts = errors.New("conflicts are left: resolve them as after a git merge (git status), then run go mod tidy and encore check. git reset --hard undoes all of it")

// carryOut changes the app and says what it did.
func (p *plan) carryOut(ctx context.Context, out io.Writer) error {
	conflicts, err := p.merge(ctx)
	if err != nil {
		return err
	}
	raised, err := p.app.require(p.to, p.after.modules)
	if err != nil {
		return err
	}
	p.describe(ctx, out, raised)
	if len(conflicts) == 0 {
		err = p.app.tidy(ctx)
	}
	if _, addErr := git(ctx, p.app.folder, "add", "--", "go.mod"); err == nil {
		err = addErr
	}
	if len(conflicts) > 0 {
		fmt.Fprintf(out, "\nConflicts:\n  %s\n", strings.Join(conflicts, "\n  "))
		return errConflicts
	}
	return err
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
