package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"encore.dev"

	"encore.app/auth/authz"
	"encore.app/auth/clerkauth"
	"encore.app/internal/cueconfig"
)

// cmd/dev serves a fake Clerk at fakeClerkURL, whose secret key is fakeClerkKey.
const (
	fakeClerkURL = "http://127.0.0.1:4100"
	fakeClerkKey = "sk_test_fakeclerk"
)

// settings are those of the app, with which the token is authenticated.
type settings struct {
	options clerkauth.Options
	token   string
	sources map[string]string // of each option, for describe
}

// parse takes the settings from the flags, then the variables that cmd/dev and
// encore run read, then auth/config.cue and .secrets.local.cue.
func parse(arguments []string) (*settings, error) {
	s := &settings{sources: map[string]string{}}
	flags := flag.NewFlagSet("explain", flag.ContinueOnError)
	environment := flags.String("env", "local", "the block of auth/config.cue: local, staging, preview or production")
	parties := flags.String("parties", "", "AuthorizedParties, comma-separated")
	issuer := flags.String("issuer", "", "Issuer")
	allow := flags.Bool("allow-missing-party", false, "AllowMissingAuthorizedParty")
	if err := flags.Parse(arguments); err != nil {
		return nil, err
	}
	if flags.NArg() > 1 {
		return nil, errors.New("more than one argument: put the token in quotes")
	}
	s.token = flags.Arg(0)

	root, err := appRoot()
	if err != nil {
		return nil, err
	}
	if err := s.readConfig(root, *environment); err != nil {
		return nil, err
	}
	s.readSecret(root)
	s.readEnvironment()
	flags.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "parties":
			s.options.AuthorizedParties = strings.FieldsFunc(*parties, func(r rune) bool { return r == ',' || r == ' ' })
			s.sources["AuthorizedParties"] = "-parties"
		case "issuer":
			s.options.Issuer = *issuer
			s.sources["Issuer"] = "-issuer"
		case "allow-missing-party":
			s.options.AllowMissingAuthorizedParty = *allow
			s.sources["AllowMissingAuthorizedParty"] = "-allow-missing-party"
		}
	})
	s.chooseClerk()
	return s, nil
}

func (s *settings) readEnvironment() {
	o := &s.options
	before := *o
	o.ReadEnvironment()
	for _, changed := range []struct {
		is             bool
		option, source string
	}{
		{o.SecretKey != before.SecretKey, "SecretKey", "CLERK_SECRET_KEY"},
		{o.APIURL != before.APIURL, "APIURL", "CLERK_API_URL"},
		{o.JWTKey != before.JWTKey, "JWTKey", "CLERK_JWT_KEY"},
		{o.Issuer != before.Issuer, "Issuer", "CLERK_ISSUER"},
		{os.Getenv("CLERK_AUTHORIZED_PARTIES") != "", "AuthorizedParties", "CLERK_AUTHORIZED_PARTIES"},
	} {
		if changed.is {
			s.sources[changed.option] = changed.source
		}
	}
}

var secretLine = regexp.MustCompile(`(?m)^\s*ClerkSecretKey:\s*"([^"]+)"`)

// readSecret reads the secret key where encore run does that has no Encore account.
func (s *settings) readSecret(root string) {
	text, err := os.ReadFile(filepath.Join(root, ".secrets.local.cue"))
	if match := secretLine.FindSubmatch(text); err == nil && match != nil {
		s.options.SecretKey = string(match[1])
		s.sources["SecretKey"] = ".secrets.local.cue"
	}
}

// chooseClerk takes cmd/dev's fake Clerk where there is no other key, as cmd/dev
// does.
func (s *settings) chooseClerk() {
	o := &s.options
	if o.SecretKey == "" {
		o.SecretKey, s.sources["SecretKey"] = fakeClerkKey, "the fake Clerk's: CLERK_SECRET_KEY is not set"
	}
	if o.SecretKey == fakeClerkKey && o.APIURL == "" {
		o.APIURL, s.sources["APIURL"] = fakeClerkURL, "go run ./cmd/dev"
	}
}

// describe prints the settings, without a secret, and where each comes from.
func (s *settings) describe(out io.Writer) {
	o := &s.options
	key := "a secret key"
	for _, prefix := range []string{"sk_test_", "sk_live_"} {
		if strings.HasPrefix(o.SecretKey, prefix) {
			key = prefix + "…"
		}
	}
	jwtKey := "none: keys are fetched from Clerk"
	if o.JWTKey != "" {
		jwtKey = "set"
	}
	for _, line := range [][3]string{
		{"ClerkSecretKey", key, "SecretKey"},
		{"Backend API", cmp.Or(o.APIURL, "https://api.clerk.com"), "APIURL"},
		{"JWTKey", jwtKey, "JWTKey"},
		{"Issuer", cmp.Or(o.Issuer, "any of Clerk's"), "Issuer"},
		{"AuthorizedParties", cmp.Or(strings.Join(o.AuthorizedParties, " "), "none: azp is not compared"), "AuthorizedParties"},
		{"AllowMissingAuthorizedParty", fmt.Sprint(o.AllowMissingAuthorizedParty), "AllowMissingAuthorizedParty"},
		{"AcceptsToken", fmt.Sprint(o.AcceptsToken), "AcceptsToken"},
	} {
		fmt.Fprintf(out, "  %-28s %s  (%s)\n", line[0], line[1], cmp.Or(s.sources[line[2]], "default"))
	}
}

// appRoot returns the folder of encore.app: the working directory or one above it.
func appRoot() (string, error) {
	folder, err := os.Getwd()
	for err == nil {
		if _, missing := os.Stat(filepath.Join(folder, "encore.app")); missing == nil {
			return folder, nil
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			err = errors.New("no encore.app here or above: run this inside the repository")
		}
		folder = parent
	}
	return "", err
}

// environments are the blocks of auth/config.cue.
var environments = map[string]encore.EnvironmentMeta{
	"local":      {Type: encore.EnvDevelopment, Cloud: encore.CloudLocal},
	"staging":    {Type: encore.EnvDevelopment, Cloud: encore.CloudAWS},
	"preview":    {Type: encore.EnvEphemeral, Cloud: encore.CloudAWS},
	"production": {Type: encore.EnvProduction, Cloud: encore.CloudAWS},
}

// readConfig reads the fields of auth/config.cue that decide about a token.
func (s *settings) readConfig(root, environment string) error {
	meta, known := environments[environment]
	if !known {
		return fmt.Errorf("-env %s: it is local, staging, preview or production", environment)
	}
	name := "auth/config.cue"
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		return err
	}
	config, fields, err := cueconfig.Evaluate(string(text), meta)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, option := range fields {
		s.sources[option] = name + ", " + environment
	}
	o := &s.options
	o.AuthorizedParties, o.AllowMissingAuthorizedParty = config.AuthorizedParties, config.AllowMissingAuthorizedParty
	o.Issuer, o.JWTKey = config.Issuer, config.JWTKey
	o.AcceptsToken = authz.AllTokenTypes
	if config.AcceptsToken != nil {
		o.AcceptsToken = nil
		for _, name := range config.AcceptsToken {
			o.AcceptsToken = append(o.AcceptsToken, clerkauth.TokenType(name))
		}
	}
	return nil
}
