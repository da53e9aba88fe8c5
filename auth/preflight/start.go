package preflight

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"encore.dev"

	"encore.app/auth/authz"
	"encore.app/auth/clerkauth/setting"
)

// CheckDeployment returns an error of one line that says what to write and
// where, if a deployed app must not start with these settings in its environment.
// [clerkauth.New] refuses settings that are wrong in every environment. Infra
// is the configuration of a self-hosted app, nil elsewhere.
func (s *Settings) CheckDeployment(infra *InfraConfig) error {
	if err := s.checkEnvironment(); err != nil {
		return err
	}
	if infra != nil {
		if running := string(s.Environment.Cloud) + "/" + string(s.Environment.Type); s.BuiltFor != running {
			return fmt.Errorf(`config.cue was evaluated for %.40q, but this is %.40q: build the image again with the infra config that it runs with`, s.BuiltFor, running)
		}
		if err := infra.check(); err != nil {
			return err
		}
	}
	if err := s.checkPresent(infra != nil); err != nil {
		return err
	}
	if s.Environment.Type == encore.EnvProduction {
		return s.checkProduction()
	}
	return nil
}

func (s *Settings) checkEnvironment() error {
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

// checkPresent names what is missing by where it comes from.
func (s *Settings) checkPresent(selfHosted bool) error {
	switch {
	case placeholder(s.SecretKey):
		return errors.New("the secret ClerkSecretKey (CLERK_SECRET_KEY) is a placeholder: set it to your Clerk instance's secret key")
	case strings.TrimSpace(s.SecretKey) != "":
	case selfHosted:
		return errors.New(`the secret ClerkSecretKey is empty: set the variable that "secrets" in deploy/infra.json names for it, CLERK_SECRET_KEY, to your Clerk instance's secret key`)
	default:
		return fmt.Errorf("the secret ClerkSecretKey is not set: run `encore secret set --type %s ClerkSecretKey`", secretType(s.Environment))
	}
	if len(s.AuthorizedParties) == 0 {
		return fmt.Errorf(`no AuthorizedParties: list the origins of your frontends, such as "https://app.example.com", in the block %s of auth/config.cue and deploy again`, block(s.Environment))
	}
	return nil
}

// placeholder reports whether a secret is one of the examples in deploy/.
func placeholder(secret string) bool { return strings.Contains(secret, "CHANGE") }

// secretType is the environment's type in the words of `encore secret set`.
func secretType(environment encore.EnvironmentMeta) string {
	switch {
	case environment.Cloud == encore.CloudLocal:
		return "local"
	case environment.Type == encore.EnvProduction:
		return "prod"
	case environment.Type == encore.EnvEphemeral:
		return "pr"
	}
	return "dev"
}

// block is the condition of the environment's block in config.cue.
func block(environment encore.EnvironmentMeta) string {
	switch environment.Type {
	case encore.EnvProduction:
		return "_production"
	case encore.EnvEphemeral:
		return "_preview"
	}
	return "_staging"
}

// checkProduction refuses what belongs to development.
func (s *Settings) checkProduction() error {
	if strings.HasPrefix(strings.TrimSpace(s.SecretKey), "sk_test_") {
		return errors.New("the secret ClerkSecretKey is the key of a development instance (sk_test_…): set it to the production instance's key, sk_live_…")
	}
	if u, err := url.Parse(s.Issuer); err == nil && (setting.Loopback(u.Hostname()) || strings.HasSuffix(u.Hostname(), ".clerk.accounts.dev")) {
		return fmt.Errorf("the setting Issuer is %.60q, which is no production instance: write its Frontend API URL, such as https://clerk.example.com, to the block _production of auth/config.cue and deploy again", s.Issuer)
	}
	for _, party := range s.AuthorizedParties {
		// Apps use their own schemes, such as capacitor://localhost.
		u, err := url.Parse(party)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" {
			continue
		}
		switch loopback := setting.Loopback(u.Hostname()); {
		case loopback && !s.AllowLocalhost:
			return fmt.Errorf("AuthorizedParties has %.60q, a page on the user's own machine: remove it from the block _production of auth/config.cue,"+
				" or write AllowLocalhost: true there if it is the origin of your desktop or mobile app, and deploy again", party)
		case !loopback && u.Scheme == "http":
			return fmt.Errorf("AuthorizedParties has %s, a page that anybody on the network can change: write https:// in the block _production of auth/config.cue and deploy again", setting.Shown(party))
		}
	}
	return nil
}

// ExitIfDeployed is how a service says that the app must not start. It returns
// the error to Encore on a developer's machine, and ends a deployed app with
// one line and status 1. The error of an initService would end it with status 0
// (Encore 1.58), which no supervisor takes for a failure, and would be logged once
// for each service.
func ExitIfDeployed(err error, log authz.Logger) error {
	if !Local {
		log.Error("not started", "cause", err.Error())
		os.Exit(1)
	}
	return err
}
