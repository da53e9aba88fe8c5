// Package cueconfig evaluates auth/config.cue as Encore does, for programs and
// tests that run without Encore.
package cueconfig

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/cuecontext"
	cueerrors "cuelang.org/go/cue/errors"
	"encore.dev"

	"encore.app/auth/preflight"
)

// secret is a secret that somebody wrote into the file, which CUE's errors quote.
var secret = regexp.MustCompile(`\b(sk|whsec)_[^\s"]+`)

// Evaluate returns the settings that the text of a config.cue has in an
// environment, and the names of the fields that it sets.
func Evaluate(text string, environment encore.EnvironmentMeta) (*preflight.Settings, []string, error) {
	meta := fmt.Sprintf("\n#Meta: Environment: {Cloud: %q, Type: %q}\n", environment.Cloud, environment.Type)
	value := cuecontext.New().CompileString(text+meta, cue.Filename("config.cue"))
	if err := value.Validate(cue.Concrete(true)); err != nil {
		lines := strings.TrimSpace(cueerrors.Details(err, nil))
		return nil, nil, errors.New(secret.ReplaceAllString(lines, "${1}_…"))
	}
	encoded, err := value.MarshalJSON()
	if err != nil {
		return nil, nil, err
	}
	var fields map[string]any
	settings := &preflight.Settings{Environment: environment}
	if err := errors.Join(json.Unmarshal(encoded, &fields), json.Unmarshal(encoded, settings)); err != nil {
		return nil, nil, err
	}
	return settings, slices.Collect(maps.Keys(fields)), nil
}
