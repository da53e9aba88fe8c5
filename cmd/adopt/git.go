package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path"
	"strings"

	"golang.org/x/mod/modfile"
)

// git runs git in a folder and returns what it prints.
func git(ctx context.Context, folder string, arguments ...string) (string, error) {
	return gitWith(ctx, folder, nil, arguments...)
}

func gitWith(ctx context.Context, folder string, input io.Reader, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, "git", append([]string{"-C", folder}, arguments...)...)
	command.Env = append(command.Environ(), "LC_ALL=C") // openApp reads an error
	var output, failure bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = input, &output, &failure
	if err := command.Run(); err != nil {
		return output.String(), fmt.Errorf("git %s: %w: %s", arguments[0], err, strings.TrimSpace(failure.String()))
	}
	return output.String(), nil
}

// repository is the repository that folders are copied from.
type repository struct{ folder string }

func openRepository(ctx context.Context, here string) (*repository, error) {
	folder, err := git(ctx, here, "rev-parse", "--show-toplevel")
	if err != nil {
		return nil, fmt.Errorf("run this inside a git clone: an update needs the history (%w)", err)
	}
	return &repository{folder: strings.TrimSpace(folder)}, nil
}

// file is a file of a commit.
type file struct {
	executable bool
	content    string
}

// files are the files of a commit, or of a copy, by their paths.
type files map[string]file

// has reports whether there is such a folder.
func (f files) has(folder string) bool {
	for name := range f {
		if within(name, folder) {
			return true
		}
	}
	return false
}

func within(name, folder string) bool { return strings.HasPrefix(name, folder+"/") }

// version is the repository at one commit.
type version struct {
	commit string
	module string // the prefix of its imports
	mod    *modfile.File
	files  files
}

// at reads the repository at a commit.
func (r *repository) at(ctx context.Context, commit string) (*version, error) {
	id, err := git(ctx, r.folder, "rev-parse", "--verify", "--quiet", commit+"^{commit}")
	if err != nil {
		return nil, fmt.Errorf("this clone has no commit %s: git fetch gets newer ones, and git fetch --unshallow older ones", commit)
	}
	v := &version{commit: strings.TrimSpace(id), files: files{}}
	// Git for Windows sets core.autocrlf, which git archive heeds.
	archive, err := git(ctx, r.folder, "-c", "core.autocrlf=false", "-c", "core.eol=lf", "archive", "--format=tar", v.commit)
	if err != nil {
		return nil, err
	}
	for content := tar.NewReader(strings.NewReader(archive)); ; {
		header, err := content.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("git archive: %w", err)
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		text, err := io.ReadAll(content)
		if err != nil {
			return nil, fmt.Errorf("git archive: %w", err)
		}
		v.files[header.Name] = file{executable: header.Mode&0o100 != 0, content: string(text)}
	}
	if v.mod, err = modfile.Parse("go.mod", []byte(v.files["go.mod"].content), nil); err != nil {
		return nil, fmt.Errorf("commit %s: %w", commit, err)
	}
	if v.mod.Module == nil {
		return nil, fmt.Errorf("commit %s of %s has no go.mod: run this in a git clone of its own, not in a copy inside another repository", commit, r.folder)
	}
	v.module = v.mod.Module.Mod.Path
	return v, nil
}

// moved returns the folder in which most files of a folder are at a newer
// version, or "" if they were deleted.
func (r *repository) moved(ctx context.Context, folder string, from, to *version) (string, error) {
	renames, err := git(ctx, r.folder, "diff", "--find-renames", "--diff-filter=R", "--name-status", from.commit, to.commit)
	if err != nil {
		return "", err
	}
	votes, most := map[string]int{}, ""
	for line := range strings.Lines(renames) {
		fields := strings.Split(strings.TrimSpace(line), "\t") // R100, the old name, the new name
		if len(fields) != 3 || !within(fields[1], folder) {
			continue
		}
		inside := path.Dir(strings.TrimPrefix(fields[1], folder+"/"))
		target := path.Dir(fields[2])
		if inside != "." {
			var ok bool
			if target, ok = strings.CutSuffix(target, "/"+inside); !ok {
				continue
			}
		}
		if votes[target]++; votes[target] > votes[most] {
			most = target
		}
	}
	return most, nil
}
