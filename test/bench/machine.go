package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
)

// prepareGuide gives the folder of package.json and guide/, with the pinned
// packages installed.
func prepareGuide(ctx context.Context) (string, error) {
	root, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			break
		}
		parent := filepath.Dir(root)
		if parent == root {
			return "", errors.New("no go.mod here or above: run this inside the repository")
		}
		root = parent
	}
	folder := filepath.Join(root, "test", "bench")
	if _, err := os.Stat(filepath.Join(folder, "node_modules", "@clerk", "backend")); err == nil {
		return folder, nil
	}
	install := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund")
	install.Dir = folder
	install.Stdout, install.Stderr = os.Stderr, os.Stderr
	if err := install.Run(); err != nil {
		return "", fmt.Errorf("npm ci in test/bench (two of the peers run on Node): %w", err)
	}
	return folder, nil
}

// printMachine says what the numbers below were measured on and with.
func printMachine(ctx context.Context, folder string) {
	node, err := exec.CommandContext(ctx, "node", "--version").Output()
	if err != nil {
		node = []byte("missing")
	}
	fmt.Printf("%s %s/%s, Node %s, %s, %d cores\n", runtime.Version(), runtime.GOOS, runtime.GOARCH,
		strings.TrimSpace(string(node)), processor(), runtime.NumCPU())
	fmt.Printf("clerk-sdk-go %s, @clerk/backend %s\n\n", goSDKVersion(), nodeSDKVersion(folder))
}

func processor() string {
	file, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if name, value, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}

func goSDKVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == "github.com/clerk/clerk-sdk-go/v2" {
				return module.Version
			}
		}
	}
	return "of unknown version"
}

func nodeSDKVersion(folder string) string {
	var installed struct{ Version string }
	raw, err := os.ReadFile(filepath.Join(folder, "node_modules", "@clerk", "backend", "package.json"))
	if err != nil || json.Unmarshal(raw, &installed) != nil {
		return "of unknown version"
	}
	return installed.Version
}
