package access

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"encore.dev"
)

// Start is what a deployed app was built with and started with. Check finds the
// combinations that would serve, but not as meant.
type Start struct {
	Environment encore.EnvironmentMeta
	// BuiltFor is the cloud and the environment type that config.cue was
	// evaluated for, such as "aws/production". An image holds the result.
	BuiltFor string

	SecretKey         string
	AuthorizedParties []string

	// InfraConfig is the configuration of a self-hosted app, nil elsewhere.
	InfraConfig *InfraConfig
}

// checkStart is [Start.Check] for this process.
func (s *Settings) checkStart(log Logger) error {
	infra, err := ReadInfraConfig()
	if err != nil {
		return err
	}
	start := &Start{
		Environment:       s.Environment,
		BuiltFor:          s.BuiltFor,
		SecretKey:         s.SecretKey,
		AuthorizedParties: s.AuthorizedParties,
		InfraConfig:       infra,
	}
	return start.Check(log)
}

// Check returns an error of one line that says what to write and where, if the
// app must not start. What is wrong in production alone is logged elsewhere.
func (s *Start) Check(log Logger) error {
	for _, check := range []func() error{s.checkEnvironment, s.checkInfraConfig, s.checkSecretKey, s.checkParties} {
		if err := check(); err != nil {
			return err
		}
	}
	for _, check := range []func() error{s.checkTestKey, s.checkLoopback} {
		err := check()
		if err != nil && s.Environment.Type == encore.EnvProduction {
			return err
		}
		if err != nil {
			log.Warn("not for production: " + err.Error())
		}
	}
	return nil
}

func (s *Start) checkEnvironment() error {
	switch s.Environment.Cloud {
	case "":
		return errors.New(`metadata.cloud is missing, so config.cue was evaluated for a developer's machine: write "cloud": "aws" (or "gcp", "azure") to "metadata" in deploy/infra.json and build again`)
	case encore.CloudLocal:
		return errors.New(`metadata.cloud is "local", which is a developer's machine: write "aws" (or "gcp", "azure") to "metadata" in deploy/infra.json and build again`)
	}
	switch s.Environment.Type {
	case encore.EnvProduction, encore.EnvDevelopment, encore.EnvEphemeral:
	case "":
		return errors.New(`metadata.env_type is missing: write "env_type": "production" (or "development") to "metadata" in deploy/infra.json and build again`)
	default:
		return fmt.Errorf(`metadata.env_type is %.20q: write "production", "development" or "ephemeral" to "metadata" in deploy/infra.json and build again`, s.Environment.Type)
	}
	return nil
}

func (s *Start) checkInfraConfig() error {
	if s.InfraConfig == nil {
		return nil
	}
	if running := string(s.Environment.Cloud) + "/" + string(s.Environment.Type); s.BuiltFor != running {
		return fmt.Errorf(`config.cue was evaluated for %.40q, but this is %.40q: build the image again with the infra config that it runs with`, s.BuiltFor, running)
	}
	return s.InfraConfig.check()
}

func (s *Start) checkSecretKey() error {
	switch {
	case s.SecretKey == "" && s.InfraConfig != nil:
		return errors.New(`the secret ClerkSecretKey is empty: set the variable that "secrets" in deploy/infra.json names for it, CLERK_SECRET_KEY, to your Clerk instance's secret key`)
	case s.SecretKey == "":
		return errors.New("the secret ClerkSecretKey is not set: run `encore secret set --type prod ClerkSecretKey`")
	}
	return nil
}

func (s *Start) checkParties() error {
	if len(s.AuthorizedParties) == 0 {
		return errors.New(`no AuthorizedParties: list the origins of your frontends, such as "https://app.example.com", in auth/config.cue and build again`)
	}
	return nil
}

func (s *Start) checkTestKey() error {
	if strings.HasPrefix(s.SecretKey, "sk_test_") {
		return errors.New("the secret ClerkSecretKey is the key of a development instance (sk_test_…): set it to the production instance's key, sk_live_…")
	}
	return nil
}

func (s *Start) checkLoopback() error {
	for _, party := range s.AuthorizedParties {
		if u, err := url.Parse(party); err == nil && loopback(u.Hostname()) {
			return fmt.Errorf("AuthorizedParties has %.60q, a page on the user's own machine: remove it for production in auth/config.cue and build again", party)
		}
	}
	return nil
}

func loopback(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && (ip.IsLoopback() || ip.IsUnspecified())
}

// Refuse is how a service says that the app must not start: it returns the error
// to Encore on a developer's machine, and ends a deployed app with one line and
// status 1. The error of an initService would end it with status 0 (Encore
// 1.58), which no supervisor takes for a failure, and would be logged once for
// each service.
func Refuse(err error, log Logger) error {
	if !Local {
		log.Error("not started: " + err.Error())
		os.Exit(1)
	}
	return err
}
