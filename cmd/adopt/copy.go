package main

import (
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// optional are the folders that others do without: where such a folder is not
// adopted, the files named after it stay behind. In older versions, so do the
// lines that end in a comment such as "// account:".
var optional = map[string]string{"account": "account"}

// licenseName is the file in the app with the licence of what was copied.
const licenseName = ".clerk-starter.license"

// copied is what an app gets of a version.
type copied struct {
	files   files
	modules map[string]string // the tested version of each module that is imported
	leftOut map[string]string // folders whose tests stay behind, and the folders that these tests need
}

// copyFor returns what an app with a module path gets of folders. It fails if a
// folder needs another that is not among them.
func (v *version) copyFor(module string, folders []string) (*copied, error) {
	c := &copied{files: files{}, modules: map[string]string{}, leftOut: map[string]string{}}
	for _, folder := range folders {
		if !v.files.has(folder) {
			return nil, fmt.Errorf("this repository has no folder %s", folder)
		}
		for name, f := range v.files {
			if !within(name, folder) || staysBehind(name, folders) {
				continue
			}
			f.content = withoutMarked(f.content, folders)
			c.files[name] = f
		}
	}
	if err := c.check(v, folders); err != nil {
		return nil, err
	}
	if license, ok := v.files["LICENSE"]; ok {
		c.files[licenseName] = license
	}
	for name, f := range c.files {
		if path.Ext(name) == ".go" {
			f.content = renameImports(f.content, v.module, module)
			c.files[name] = f
		}
	}
	return c, nil
}

// staysBehind reports whether a file is named after an optional folder that is
// not among those adopted.
func staysBehind(name string, folders []string) bool {
	for part := range strings.SplitSeq(name, "/") {
		part, _, _ = strings.Cut(part, ".")
		if folder, ok := optional[strings.TrimSuffix(part, "_test")]; ok && !slices.Contains(folders, folder) {
			return true
		}
	}
	return false
}

// withoutMarked deletes the lines that are marked with an optional folder.
func withoutMarked(content string, folders []string) string {
	for mark, folder := range optional {
		if slices.Contains(folders, folder) || !strings.Contains(content, "// "+mark+":") {
			continue
		}
		content = regexp.MustCompile(`(?m)^.*// `+mark+`:.*\n`).ReplaceAllString(content, "")
	}
	return content
}

// check finds out which modules the files import, and which folders they need
// that are not among those adopted. Tests that need one stay behind, with all
// others of their folder: tests share helpers.
func (c *copied) check(v *version, folders []string) error {
	var missing []string
	for _, name := range sortedKeys(c.files) {
		if path.Ext(name) != ".go" {
			continue
		}
		for _, imported := range imports(c.files[name].content) {
			inside, ok := strings.CutPrefix(imported, v.module+"/")
			if !ok {
				continue
			}
			if slices.ContainsFunc(folders, func(folder string) bool { return inside == folder || within(inside, folder) }) {
				continue
			}
			needed := v.folderOf(inside)
			if strings.HasSuffix(name, "_test.go") {
				c.leftOut[path.Dir(name)] = needed
				continue
			}
			if !slices.Contains(missing, needed) {
				missing = append(missing, needed)
			}
		}
	}
	if len(missing) > 0 {
		// The folders that these need in turn are listed at once.
		var further *missingError
		if _, err := v.copyFor("", slices.Concat(folders, missing)); errors.As(err, &further) {
			missing = append(missing, further.missing...)
		}
		return &missingError{folders: folders, missing: missing}
	}
	for name := range c.files {
		if _, ok := c.leftOut[path.Dir(name)]; ok && strings.HasSuffix(name, "_test.go") {
			delete(c.files, name)
			continue
		}
		if path.Ext(name) == ".go" {
			c.addModules(v, c.files[name].content)
		}
	}
	return nil
}

// missingError says which folders the named ones need.
type missingError struct{ folders, missing []string }

func (e *missingError) Error() string {
	all := append(slices.Clone(e.folders), e.missing...)
	slices.Sort(all)
	return fmt.Sprintf("%s import %s, too. Name them all: %s",
		strings.Join(e.folders, ", "), strings.Join(e.missing, ", "), strings.Join(all, " "))
}

// addModules adds the modules of a file's imports, and the versions of go.mod.
func (c *copied) addModules(v *version, content string) {
	for _, imported := range imports(content) {
		for _, require := range v.mod.Require {
			if imported == require.Mod.Path || within(imported, require.Mod.Path) {
				c.modules[require.Mod.Path] = require.Mod.Version
			}
		}
	}
}

// folderOf returns the folder to adopt for a package: the topmost one with Go
// files, such as auth for auth/clerkauth, and internal/page in internal.
func (v *version) folderOf(imported string) string {
	parts := strings.Split(imported, "/")
	for i := range parts {
		folder := strings.Join(parts[:i+1], "/")
		for name := range v.files {
			if path.Ext(name) == ".go" && path.Dir(name) == folder {
				return folder
			}
		}
	}
	return imported
}

func imports(content string) []string {
	parsed, err := parser.ParseFile(token.NewFileSet(), "", content, parser.ImportsOnly)
	if err != nil {
		return nil // the compiler says more of it
	}
	var all []string
	for _, spec := range parsed.Imports {
		if imported, err := strconv.Unquote(spec.Path.Value); err == nil {
			all = append(all, imported)
		}
	}
	return all
}

// renameImports renames the imports of one module to those of another.
func renameImports(content, from, to string) string {
	positions := token.NewFileSet()
	parsed, err := parser.ParseFile(positions, "", content, parser.ImportsOnly)
	if err != nil || from == to {
		return content
	}
	for _, spec := range slices.Backward(parsed.Imports) {
		inside, ok := strings.CutPrefix(spec.Path.Value, `"`+from+"/")
		if !ok {
			continue
		}
		start := positions.Position(spec.Path.Pos()).Offset
		end := positions.Position(spec.Path.End()).Offset
		content = content[:start] + `"` + to + "/" + inside + content[end:]
	}
	return content
}
