package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"strings"
)

// refs are where the two copies are while git merges them.
const (
	refBefore = "refs/clerk-starter/before"
	refAfter  = "refs/clerk-starter/after"
)

// merge applies the difference between the two copies to the app, three ways, in
// the working tree and the index. Git does it as the cherry-pick of a commit that
// turns one copy into the other, so that it follows renames on both sides. It
// returns the files with conflicts.
func (p *plan) merge(ctx context.Context) (conflicts []string, err error) {
	if maps.Equal(p.before, p.after.files) {
		return nil, nil
	}
	if _, err := gitWith(ctx, p.app.folder, p.commits(), "fast-import", "--quiet", "--force"); err != nil {
		return nil, err
	}
	defer func() {
		for _, ref := range []string{refBefore, refAfter} {
			_, _ = git(context.WithoutCancel(ctx), p.app.folder, "update-ref", "-d", ref)
		}
	}()
	_, failed := git(ctx, p.app.folder, "cherry-pick", "--no-commit", refAfter)
	if failed == nil {
		return nil, nil
	}
	unmerged, err := git(ctx, p.app.folder, "diff", "--name-only", "--relative", "--diff-filter=U")
	if err != nil {
		return nil, err
	}
	if unmerged == "" {
		return nil, failed
	}
	return strings.Split(strings.TrimSpace(unmerged), "\n"), nil
}

// commits are the two copies as the input of git fast-import.
func (p *plan) commits() *bytes.Buffer {
	var stream bytes.Buffer
	commit := func(ref, message string, all files) {
		fmt.Fprintf(&stream, "commit %s\ncommitter adopt <adopt@localhost> 0 +0000\ndata %d\n%s\n", ref, len(message), message)
		if ref == refAfter {
			fmt.Fprintf(&stream, "from %s\ndeleteall\n", refBefore)
		}
		for _, name := range sortedKeys(all) {
			mode := "100644"
			if all[name].executable {
				mode = "100755"
			}
			fmt.Fprintf(&stream, "M %s inline %s%s\ndata %d\n%s\n", mode, p.app.prefix, name, len(all[name].content), all[name].content)
		}
	}
	commit(refBefore, "before", p.before)
	commit(refAfter, "version "+short(p.to.commit), p.after.files)
	return &stream
}

func short(commit string) string { return commit[:min(len(commit), 10)] }
