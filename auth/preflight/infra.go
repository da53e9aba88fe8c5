package preflight

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"unicode"
)

// minServiceKey is the fewest bytes of a key that calls between services are
// signed with: 16 random bytes in hexadecimal.
const minServiceKey = 32

// minDistinct is the fewest different characters in such a key. Of 16 possible
// ones, a random key of 32 has fewer once in twenty million.
const minDistinct = 8

// InfraConfig is the part of a self-hosted app's infrastructure configuration
// that decides who may call the app's private endpoints.
type InfraConfig struct {
	Auth []struct {
		Type string    `json:"type"`
		Key  envString `json:"key"`
	} `json:"auth"`
}

// envString is a string, or {"$env": "NAME"} for a variable's value.
type envString struct {
	variable, value string
}

// UnmarshalJSON implements [json.Unmarshaler].
func (s *envString) UnmarshalJSON(encoded []byte) error {
	var reference struct {
		Env string `json:"$env"`
	}
	if json.Unmarshal(encoded, &reference) == nil && reference.Env != "" {
		s.variable, s.value = reference.Env, os.Getenv(reference.Env)
		return nil
	}
	return json.Unmarshal(encoded, &s.value)
}

// check refuses a configuration with which Encore would take a request's own
// word for who sent it. Without "auth", Encore accepts calls between services
// unsigned, over the same port as everything else: four headers make anybody any
// user. An empty key can be signed with by anybody.
func (c *InfraConfig) check() error {
	if len(c.Auth) == 0 {
		return errors.New(`"auth" is missing, without which any request can claim to come from a service of this app: write "auth": [{"type": "key", "id": 1, "key": {"$env": "SERVICE_KEY"}}] to deploy/infra.json and build again`)
	}
	for _, auth := range c.Auth {
		const write = "set it to the output of `openssl rand -hex 32`"
		name, problem := auth.Key.variable, keyProblem(auth.Key.value)
		switch {
		case strings.HasPrefix(name, "ENCORE_"):
			return fmt.Errorf("the key of \"auth\" is read from %.60s, but Encore hides variables whose names begin with ENCORE_: choose another name in deploy/infra.json and build again", name)
		case name == "" && problem != "":
			return fmt.Errorf("the key of \"auth\" in deploy/infra.json %s: write {\"$env\": \"SERVICE_KEY\"}, %s and build again", problem, write)
		case problem != "":
			return fmt.Errorf("the variable %.60s, the key of \"auth\" in deploy/infra.json, %s: %s", name, problem, write)
		}
	}
	return nil
}

// keyProblem says why others may guess a key.
func keyProblem(key string) string {
	key = strings.TrimSpace(key)
	distinct := map[rune]bool{}
	for _, r := range key {
		distinct[r] = true
	}
	switch {
	case placeholder(key):
		return "is a placeholder"
	case strings.ContainsAny(key, "\"'`"):
		return "is in quotes"
	case len(key) < minServiceKey:
		return fmt.Sprintf("has fewer than %d characters", minServiceKey)
	case strings.ContainsFunc(key, unicode.IsSpace), len(distinct) < minDistinct:
		return "is no random key"
	}
	return ""
}

// ReadInfraConfig returns the configuration that this process was started with,
// or nil where there is none: on a developer's machine and on Encore Cloud.
func ReadInfraConfig() (*InfraConfig, error) {
	name := initialVariable("ENCORE_INFRA_CONFIG_PATH")
	if name == "" {
		return nil, nil
	}
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("the infra config: %w", err)
	}
	config := new(InfraConfig)
	if err := json.Unmarshal(content, config); err != nil {
		return nil, fmt.Errorf("the infra config: %w", err)
	}
	return config, nil
}

// initialVariable returns an environment variable as the process was started
// with it. Encore's runtime unsets its own before any code of the app runs; Linux,
// the only system that images are built for, keeps them.
func initialVariable(name string) string {
	environment, err := os.ReadFile("/proc/self/environ")
	if err != nil {
		return ""
	}
	for entry := range bytes.SplitSeq(environment, []byte{0}) {
		if value, ok := bytes.CutPrefix(entry, []byte(name+"=")); ok {
			return string(value)
		}
	}
	return ""
}
