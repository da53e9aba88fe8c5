package main

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"path"
	"slices"
	"strings"
)

// describe says what has changed in the app, and what is left to do.
func (p *plan) describe(ctx context.Context, out io.Writer, raised []string) {
	list := func(title string, lines []string) {
		if len(lines) > 0 {
			fmt.Fprintf(out, "\n%s\n  %s\n", title, strings.Join(lines, "\n  "))
		}
	}
	switch {
	case p.from == nil:
		fmt.Fprintf(out, "Copied %s at version %s: %d files.\n", strings.Join(p.folders, ", "), short(p.to.commit), len(p.after.files))
	case p.same:
		fmt.Fprintf(out, "Nothing to merge: %s are as at version %s.\n", strings.Join(p.folders, ", "), short(p.to.commit))
	default:
		fmt.Fprintf(out, "Merged version %s into %s; the app had %s.\n", short(p.to.commit), strings.Join(p.folders, ", "), short(p.from.commit))
	}
	if p.uncommitted != "" {
		fmt.Fprintf(out, "\nNot copied, because it is not committed here:\n%s", p.uncommitted)
	}
	list("go.mod has these versions now, with which the code is tested:", raised)
	list("These tests stay behind, because of what they import:", p.testsLeftOut())
	list("Set these secrets, with encore secret set or in .secrets.local.cue:", p.secrets())
	list("Look through these settings:", p.settings())
	var kept []string
	for _, name := range p.settingsOld {
		kept = append(kept, fmt.Sprintf("git -C %s diff %s %s -- %s", p.starter.folder, short(p.from.commit), short(p.to.commit), name))
	}
	list("Your settings are kept. They have changed here; take over what is new:", kept)
	list("What behaves differently now:", p.changes(ctx))
	fmt.Fprintln(out, "\nNext: encore check and go test ./..., then commit.")
}

// testsLeftOut are the folders whose tests were not copied.
func (p *plan) testsLeftOut() []string {
	var lines []string
	for _, folder := range sortedKeys(p.after.leftOut) {
		lines = append(lines, folder+": "+p.after.leftOut[folder])
	}
	return lines
}

// settings are the configurations that are new in the app.
func (p *plan) settings() []string {
	var lines []string
	for _, name := range sortedKeys(p.after.files) {
		if path.Base(name) != "config.cue" {
			continue
		}
		if strings.Contains(p.after.files[name].content, "AuthorizedParties") {
			name += ": AuthorizedParties, the origins of your frontends in each environment"
		}
		lines = append(lines, name)
	}
	return lines
}

// secrets are those that the app did not need before.
func (p *plan) secrets() []string {
	var known, lines []string
	for _, f := range p.before {
		known = append(known, secretsOf(f.content)...)
	}
	for _, name := range sortedKeys(p.after.files) {
		if path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, secret := range secretsOf(p.after.files[name].content) {
			if !slices.Contains(known, secret) {
				lines = append(lines, secret)
			}
		}
	}
	return lines
}

// secretsOf returns the names and the first sentences of the secrets that a Go
// file declares: the fields of its package-level variable secrets.
func secretsOf(content string) (secrets []string) {
	parsed, err := parser.ParseFile(token.NewFileSet(), "", content, parser.ParseComments)
	if err != nil {
		return nil
	}
	for _, declaration := range parsed.Decls {
		variables, ok := declaration.(*ast.GenDecl)
		if !ok || variables.Tok != token.VAR {
			continue
		}
		for _, spec := range variables.Specs {
			variable := spec.(*ast.ValueSpec)
			declared, ok := variable.Type.(*ast.StructType)
			if !ok || variable.Names[0].Name != "secrets" {
				continue
			}
			for _, field := range declared.Fields.List {
				text := strings.Join(strings.Fields(field.Doc.Text()), " ")
				if first, _, more := strings.Cut(text, ". "); more {
					text = first + "."
				}
				secrets = append(secrets, strings.TrimSpace(field.Names[0].Name+"  "+strings.TrimPrefix(text, field.Names[0].Name+" is ")))
			}
		}
	}
	return secrets
}

// changes are the entries that CHANGELOG.md has gained since the app's version.
func (p *plan) changes(ctx context.Context) []string {
	if p.from == nil {
		return nil
	}
	diff, err := git(ctx, p.starter.folder, "diff", "--unified=0", p.from.commit, p.to.commit, "--", "CHANGELOG.md")
	if err != nil {
		return nil
	}
	var entries []string
	for line := range strings.Lines(diff) {
		if entry, ok := strings.CutPrefix(line, "+- "); ok {
			entries = append(entries, strings.TrimSpace(entry))
		}
	}
	return entries
}
