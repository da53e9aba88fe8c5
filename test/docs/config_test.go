package docs

import (
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"encore.dev"

	"encore.app/auth/clerkauth"
	"encore.app/auth/preflight"
	"encore.app/internal/cueconfig"
)

var environments = map[string]encore.EnvironmentMeta{
	"local":      {Type: encore.EnvDevelopment, Cloud: encore.CloudLocal},
	"test":       {Type: encore.EnvTest, Cloud: encore.CloudLocal},
	"staging":    {Type: encore.EnvDevelopment, Cloud: encore.EncoreCloud},
	"preview":    {Type: encore.EnvEphemeral, Cloud: encore.EncoreCloud},
	"production": {Type: encore.EnvProduction, Cloud: encore.EncoreCloud},
}

// evaluate reads auth/config.cue with a text at its end.
func evaluate(pasted string, environment encore.EnvironmentMeta) (*preflight.Settings, []string, error) {
	file, err := os.ReadFile(filepath.Join(root, "auth", "config.cue"))
	if err != nil {
		return nil, nil, err
	}
	settings, fields, err := cueconfig.Evaluate(string(file)+pasted, environment)
	if err != nil {
		return nil, nil, err
	}
	settings.SecretKey = "sk_test_x"
	if environment.Type == encore.EnvProduction {
		settings.SecretKey = "sk_live_x"
	}
	return settings, fields, nil
}

func start(s *preflight.Settings) error {
	if s.Environment.Cloud != encore.CloudLocal {
		if err := s.CheckDeployment(nil); err != nil {
			return err
		}
	}
	options, err := s.Options(slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	_, err = clerkauth.New(options)
	return err
}

// The first push to an environment starts with what the file shows. Production
// needs a frontend.
func TestConfigAsItIs(t *testing.T) {
	for name, environment := range environments {
		settings, fields, err := evaluate("", environment)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		err = start(settings)
		if name == "production" {
			if err == nil || !strings.Contains(err.Error(), "_production") {
				t.Errorf("%s: %v", name, err)
			}
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, field := range fields {
			if !slices.Contains(configFields(), field) {
				t.Errorf("%s: preflight.Config has no field %s", name, field)
			}
		}
	}
}

// Every example can be pasted at the end of auth/config.cue, and the app starts
// with it.
func TestConfigSnippets(t *testing.T) {
	snippets := 0
	for path, text := range documents(t) {
		for _, block := range fence.FindAllStringSubmatch(text, -1) {
			if block[2] != "cue" {
				continue
			}
			snippets++
			for name, environment := range environments {
				before, _, err := evaluate("", environment)
				if err != nil {
					t.Fatal(err)
				}
				settings, fields, err := evaluate(block[3], environment)
				if err != nil {
					t.Errorf("%s, %s: %v\n%s", path, name, err, block[3])
					continue
				}
				if len(before.AuthorizedParties) == 0 && len(settings.AuthorizedParties) == 0 {
					continue // an example for another environment
				}
				if err := start(settings); err != nil {
					t.Errorf("%s, %s: %v\n%s", path, name, err, block[3])
				}
				for _, field := range fields {
					if !slices.Contains(configFields(), field) {
						t.Errorf("%s: preflight.Config has no field %s", path, field)
					}
				}
			}
		}
	}
	if snippets < 8 {
		t.Errorf("only %d examples in CUE", snippets)
	}
}

// configFields are the fields of the service's Config, which only Encore can load.
func configFields() []string {
	var names []string
	for _, field := range reflect.VisibleFields(reflect.TypeFor[preflight.Config]()) {
		names = append(names, field.Name)
	}
	return names
}
