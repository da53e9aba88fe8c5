//go:build linux && !encore_local

package production

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"encore.app/auth/preflight/wrongsettings"
)

// refusal is a wrong configuration.
type refusal struct {
	name   string
	infra  func(map[string]any) // changes deploy/infra.json
	config map[string]any       // changes what auth/config.cue became
	env    []string
	says   string // part of the one line
}

// TestWrongConfigurations starts an instance with each: it ends with one line and
// exit status 1.
func TestWrongConfigurations(t *testing.T) {
	e := setup(t)
	metadata := func(name string, value any) func(map[string]any) {
		return func(infra map[string]any) { infra["metadata"].(map[string]any)[name] = value }
	}
	refusals := []refusal{
		{name: "no environment type", infra: metadata("env_type", ""), says: "metadata.env_type"},
		{name: "cloud missing at run time", infra: metadata("cloud", ""), says: "metadata.cloud"},
		{name: "cloud local at run time, and a developer's variables", infra: metadata("cloud", "local"),
			env: []string{"CLERK_API_URL=http://127.0.0.1:1", "CLERK_AUTHORIZED_PARTIES=" + party}, says: "metadata.cloud"},
		{name: "another environment than it was built for", infra: metadata("env_type", "development"), says: "build the image again"},
		{name: "calls between services not signed", infra: func(infra map[string]any) { delete(infra, "auth") }, says: `"auth" is missing`},
		{name: "no service key", env: []string{"SERVICE_KEY="}, says: "SERVICE_KEY"},
		{name: "no authorized parties", config: map[string]any{"AuthorizedParties": []string{}}, says: "no AuthorizedParties"},
		{name: "a loopback origin", config: map[string]any{"AuthorizedParties": []string{"http://localhost:3001"}}, says: "http://localhost:3001"},
		{name: "no secret key", env: []string{"CLERK_SECRET_KEY="}, says: "CLERK_SECRET_KEY"},
		{name: "a development instance's key", env: []string{"CLERK_SECRET_KEY=sk_test_x"}, says: "sk_live_"},
	}
	// The other ways to start the app are tested with these, too.
	for _, c := range wrongsettings.Cases() {
		r := refusal{name: fmt.Sprintf("%s %.40q", c.Setting, fmt.Sprint(c.Value)), says: c.Says}
		if strings.HasPrefix(c.Setting, "CLERK_") {
			r.env = []string{c.Setting + "=" + c.Value.(string)}
		} else {
			r.config = map[string]any{c.Setting: c.Value}
		}
		refusals = append(refusals, r)
	}
	for _, r := range refusals {
		t.Run(r.name, func(t *testing.T) { e.app.refused(t, r) })
	}
	// These values are built in, so each needs an image.
	for _, cloud := range []any{nil, "local"} {
		t.Run(fmt.Sprintf("an image built with cloud %v", cloud), func(t *testing.T) {
			wrong := e.buildWith(t, fmt.Sprintf("wrong%t", cloud != nil), func(metadata map[string]any) {
				metadata["cloud"] = cloud
				if cloud == nil {
					delete(metadata, "cloud")
				}
			})
			wrong.refused(t, refusal{says: "metadata.cloud"})
		})
	}
}

// TestFirstPush starts staging and a preview as auth/config.cue shows them, with
// the key of a development instance and no webhooks.
func TestFirstPush(t *testing.T) {
	e := setup(t)
	for _, kind := range []string{"development", "ephemeral"} {
		t.Run(kind, func(t *testing.T) {
			im := e.buildWith(t, kind, func(metadata map[string]any) { metadata["env_type"] = kind })
			im.start(t, "CLERK_SECRET_KEY=sk_test_fakeclerk\n", "CLERK_WEBHOOK_SIGNING_SECRET=none")
		})
	}
}

// buildWith builds the image with other metadata in its infra config.
func (e *environment) buildWith(t testing.TB, tag string, change func(metadata map[string]any)) *image {
	t.Helper()
	infra := filepath.Join(e.source, "deploy", "infra.json")
	if err := changed(infra, filepath.Join(e.source, "deploy", tag+".json"), func(infra map[string]any) {
		change(infra["metadata"].(map[string]any))
	}); err != nil {
		t.Fatal(err)
	}
	return must[*image](t)(e.build(e.source, "deploy/"+tag+".json", tag))
}

func (im *image) refused(t *testing.T, r refusal) {
	t.Helper()
	env := r.env
	if r.config != nil {
		env = append(env, im.withConfig(t, "auth", r.config))
	}
	if r.infra != nil {
		name := filepath.Join(t.TempDir(), "infra.json")
		if err := changed(im.variable("ENCORE_INFRA_CONFIG_PATH"), name, r.infra); err != nil {
			t.Fatal(err)
		}
		env = append(env, "ENCORE_INFRA_CONFIG_PATH="+name)
	}
	i := im.launch(t, env...)
	select {
	case <-i.ended:
	case <-time.After(20 * time.Second):
		t.Fatal("it starts")
	}
	lines := slices.DeleteFunc(strings.Split(i.output.String(), "\n"), func(line string) bool { return strings.Contains(line, `"level":"info"`) })
	var line struct{ Message, Cause string }
	_ = json.Unmarshal([]byte(strings.Join(lines, "\n")), &line)
	code := i.command.ProcessState.ExitCode()
	say(t, code == 1 && len(lines) == 1 && strings.Contains(line.Cause, r.says), "status %d: %s", code, strings.Join(append([]string{line.Message + ": " + line.Cause}, lines[1:]...), " / "))
}
