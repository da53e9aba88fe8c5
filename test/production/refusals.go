package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// refusals starts an instance with each wrong configuration.
func (e *environment) refusals(app string, im *image, v *verdicts) error {
	fmt.Println("wrong configurations: one line, exit status 1")
	metadata := func(name string, value any) func(map[string]any) {
		return func(infra map[string]any) { infra["metadata"].(map[string]any)[name] = value }
	}
	for _, r := range []refusal{
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
	} {
		if err := e.refused(im, r, v); err != nil {
			return err
		}
	}
	if err := e.wrongSettings(im, v); err != nil {
		return err
	}
	// What is built in cannot be had by a change of a running image.
	for _, cloud := range []any{nil, "local"} {
		wrong, err := e.buildWith(app, fmt.Sprintf("wrong%t", cloud != nil), func(metadata map[string]any) {
			metadata["cloud"] = cloud
			if cloud == nil {
				delete(metadata, "cloud")
			}
		})
		if err != nil {
			return err
		}
		if err := e.refused(wrong, refusal{name: fmt.Sprintf("an image built with cloud %v", cloud), says: "metadata.cloud"}, v); err != nil {
			return err
		}
	}
	return e.firstPush(app, v)
}

// firstPush starts staging and a preview as auth/config.cue shows them, with the
// key of a development instance and no webhooks.
func (e *environment) firstPush(app string, v *verdicts) error {
	for _, kind := range []string{"development", "ephemeral"} {
		im, err := e.buildWith(app, kind, func(metadata map[string]any) { metadata["env_type"] = kind })
		if err != nil {
			return err
		}
		address, err := freeAddress()
		if err != nil {
			return err
		}
		i, err := im.startHealthy(e.ctx, address, append(e.env(), "CLERK_SECRET_KEY=sk_test_fakeclerk\n", "CLERK_WEBHOOK_SIGNING_SECRET=none")...)
		v.say(err == nil, "the first push to an environment of the type %s starts", kind)
		if err == nil {
			i.kill()
		}
	}
	return nil
}

// buildWith builds the image with other metadata in its infra config.
func (e *environment) buildWith(app, tag string, change func(metadata map[string]any)) (*image, error) {
	infra, err := changed(filepath.Join(app, "deploy", "infra.json"), func(infra map[string]any) { change(infra["metadata"].(map[string]any)) })
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(app, "deploy", tag+".json"), infra, 0o600); err != nil {
		return nil, err
	}
	return e.images.build(app, "deploy/"+tag+".json", tag)
}

// wrongSettings starts an instance with each value that the other ways to start
// the app are tested with, too.
func (e *environment) wrongSettings(im *image, v *verdicts) error {
	for _, c := range wrongsettings.Cases() {
		r := refusal{name: fmt.Sprintf("%s %.40q", c.Setting, fmt.Sprint(c.Value)), says: c.Says}
		if strings.HasPrefix(c.Setting, "CLERK_") {
			r.env = []string{c.Setting + "=" + c.Value.(string)}
		} else {
			r.config = map[string]any{c.Setting: c.Value}
		}
		if err := e.refused(im, r, v); err != nil {
			return err
		}
	}
	return nil
}

func (e *environment) refused(im *image, r refusal, v *verdicts) error {
	env := append(e.env(), r.env...)
	if r.config != nil {
		all, err := im.withAuthConfig(r.config)
		if err != nil {
			return err
		}
		env = append(env, all...)
	}
	if r.infra != nil {
		content, err := changed(filepath.Join(im.root, im.variable("ENCORE_INFRA_CONFIG_PATH")), r.infra)
		if err != nil {
			return err
		}
		name := filepath.Join(e.folder, "infra.wrong.json")
		if err := os.WriteFile(name, content, 0o600); err != nil {
			return err
		}
		env = append(env, "ENCORE_INFRA_CONFIG_PATH="+name)
	} else {
		env = append(env, "ENCORE_INFRA_CONFIG_PATH="+filepath.Join(im.root, im.variable("ENCORE_INFRA_CONFIG_PATH")))
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	i, err := im.start(address, env...)
	if err != nil {
		return err
	}
	ended := i.endsWithin(20 * time.Second)
	lines := slices.DeleteFunc(strings.Split(i.output.String(), "\n"), func(line string) bool { return strings.Contains(line, `"level":"info"`) })
	code := i.command.ProcessState.ExitCode()
	var line struct{ Message string }
	_ = json.Unmarshal([]byte(strings.Join(lines, "\n")), &line)
	v.say(ended && code == 1 && len(lines) == 1 && strings.Contains(line.Message, r.says), "%s: status %d: %s", r.name, code, strings.Join(append([]string{line.Message}, lines[1:]...), " / "))
	return nil
}

// changed returns a JSON file's content after a change.
func changed(name string, change func(map[string]any)) ([]byte, error) {
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var decoded map[string]any
	if err := json.Unmarshal(content, &decoded); err != nil {
		return nil, err
	}
	change(decoded)
	return json.Marshal(decoded)
}
