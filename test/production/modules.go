package main

import (
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
)

// modules prints the modules of which the image holds another version than
// go.mod names. Encore puts its runtime in the place of encore.dev and adds what
// that requires.
func (im *image) modules(app string) error {
	command := exec.Command("go", "mod", "edit", "-json")
	command.Dir = app
	output, err := command.Output()
	if err != nil {
		return err
	}
	var mod struct {
		Require []struct{ Path, Version string }
	}
	if err := json.Unmarshal(output, &mod); err != nil {
		return err
	}
	info, err := buildinfo.ReadFile(filepath.Join(im.root, im.entrypoint))
	if err != nil {
		return err
	}
	linked := map[string]string{}
	for _, module := range info.Deps {
		linked[module.Path] = module.Version
	}
	fmt.Println("modules of the image:")
	same := 0
	for _, required := range mod.Require {
		switch version := linked[required.Path]; version {
		case "": // a test's
		case required.Version:
			same++
		default:
			fmt.Printf("  %s %s, go.mod has %s\n", required.Path, version, required.Version)
		}
	}
	fmt.Printf("  %d as in go.mod\n", same)
	return nil
}
