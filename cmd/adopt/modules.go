package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// require raises the versions in the app's go.mod to those that this repository
// is tested with, that of Go included, and returns what it changed. It lowers
// none.
func (a *app) require(v *version, modules map[string]string) (raised []string, err error) {
	name := filepath.Join(a.folder, "go.mod")
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	parsed, err := modfile.Parse(name, content, nil)
	if err != nil {
		return nil, err
	}
	has := map[string]string{}
	for _, require := range parsed.Require {
		has[require.Mod.Path] = require.Mod.Version
	}
	for _, module := range sortedKeys(modules) {
		if semver.Compare(has[module], modules[module]) >= 0 {
			continue
		}
		if err := parsed.AddRequire(module, modules[module]); err != nil {
			return nil, err
		}
		raised = append(raised, module+" "+modules[module])
	}
	if v.mod.Go != nil && (parsed.Go == nil || semver.Compare("v"+parsed.Go.Version, "v"+v.mod.Go.Version) < 0) {
		if err := parsed.AddGoStmt(v.mod.Go.Version); err != nil {
			return nil, err
		}
		raised = append(raised, "go "+v.mod.Go.Version)
	}
	if len(raised) == 0 {
		return nil, nil
	}
	slices.Sort(raised)
	formatted, err := parsed.Format()
	if err != nil {
		return nil, err
	}
	return raised, os.WriteFile(name, formatted, 0o644)
}

// tidy runs go mod tidy, which gets the modules.
func (a *app) tidy(ctx context.Context) error {
	command := exec.CommandContext(ctx, "go", "mod", "tidy")
	command.Dir = a.folder
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("go mod tidy in %s: %w\n%s", a.folder, err, output)
	}
	if _, err := os.Stat(filepath.Join(a.folder, "go.sum")); err == nil {
		_, err := git(ctx, a.folder, "add", "--", "go.mod", "go.sum")
		return err
	}
	return nil
}
