package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/cuecontext"
	cueerrors "cuelang.org/go/cue/errors"
	"encore.dev"

	"encore.app/auth/clerkauth"
	"encore.app/auth/clerkauth/setting"
	"encore.app/auth/preflight"
	"encore.app/fakeclerk"
	"encore.app/internal/cueconfig"
)

// cmd/dev serves a fake Clerk at fakeClerkURL, whose secret key is fakeClerkKey.
const (
	fakeClerkURL = "http://127.0.0.1:4100"
	fakeClerkKey = fakeclerk.DefaultSecretKey
)

// settings are those of the app, with which the token is authenticated.
type settings struct {
	preflight.Settings
	apiURL  string
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
	if err := s.readSecret(root); err != nil {
		return nil, err
	}
	s.readEnvironment()
	flags.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "parties":
			s.AuthorizedParties = setting.List(*parties)
			s.sources["AuthorizedParties"] = "-parties"
		case "issuer":
			s.Issuer = *issuer
			s.sources["Issuer"] = "-issuer"
		case "allow-missing-party":
			s.AllowMissingAuthorizedParty = *allow
			s.sources["AllowMissingAuthorizedParty"] = "-allow-missing-party"
		}
	})
	s.chooseClerk()
	return s, nil
}

func (s *settings) readEnvironment() {
	o := clerkauth.Options{SecretKey: s.SecretKey, JWTKey: s.JWTKey, Issuer: s.Issuer, AuthorizedParties: s.AuthorizedParties}
	o.ReadEnvironment()
	s.SecretKey, s.JWTKey, s.Issuer, s.AuthorizedParties, s.apiURL = o.SecretKey, o.JWTKey, o.Issuer, o.AuthorizedParties, o.APIURL
	for option, variable := range map[string]string{
		"SecretKey":         "CLERK_SECRET_KEY",
		"APIURL":            "CLERK_API_URL",
		"JWTKey":            "CLERK_JWT_KEY",
		"Issuer":            "CLERK_ISSUER",
		"AuthorizedParties": "CLERK_AUTHORIZED_PARTIES",
	} {
		if _, set := setting.Env(variable); set {
			s.sources[option] = variable
		}
	}
}

// readSecret reads the secret key where encore run does that has no Encore account.
// The errors have nothing of CUE's, which quote the file.
func (s *settings) readSecret(root string) error {
	const name = ".secrets.local.cue"
	text, err := os.ReadFile(filepath.Join(root, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	file := cuecontext.New().CompileBytes(text)
	if err := file.Err(); err != nil {
		return fmt.Errorf("%s:%d: this is not CUE: write ClerkSecretKey: \"sk_test_…\"", name, cueerrors.Promote(err, "").Position().Line())
	}
	key := file.LookupPath(cue.ParsePath("ClerkSecretKey"))
	if !key.Exists() {
		return nil
	}
	if s.SecretKey, err = key.String(); err != nil {
		return fmt.Errorf("%s: ClerkSecretKey is not a string: write ClerkSecretKey: \"sk_test_…\"", name)
	}
	s.sources["SecretKey"] = name
	return nil
}

// chooseClerk takes cmd/dev's fake Clerk where there is no other key, as cmd/dev
// does.
func (s *settings) chooseClerk() {
	if s.SecretKey == "" {
		s.SecretKey, s.sources["SecretKey"] = fakeClerkKey, "the fake Clerk's: CLERK_SECRET_KEY is not set"
	}
	if s.SecretKey == fakeClerkKey && s.apiURL == "" {
		s.apiURL, s.sources["APIURL"] = fakeClerkURL, "go run ./cmd/dev"
	}
}

// start returns the authenticator that the app would start with, and its options.
func (s *settings) start() (*clerkauth.Authenticator, clerkauth.Options, error) {
	if s.Environment.Cloud != encore.CloudLocal {
		if err := s.CheckDeployment(nil); err != nil {
			return nil, clerkauth.Options{}, err
		}
	}
	o, err := s.Options(slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, o, err
	}
	o.APIURL = s.apiURL
	a, err := clerkauth.New(o)
	if wrong := new(clerkauth.OptionError); errors.As(err, &wrong) {
		err = fmt.Errorf("%s (%s) %w", wrong.Option, s.sources[wrong.Option], wrong.Unwrap())
	}
	return a, o, err
}

// describe prints the settings, without a secret, and where each comes from.
func (s *settings) describe(out io.Writer) {
	key := "a secret key"
	for _, prefix := range []string{"sk_test_", "sk_live_"} {
		if strings.HasPrefix(s.SecretKey, prefix) {
			key = prefix + "…"
		}
	}
	jwtKey := "none: keys are fetched from Clerk"
	if s.JWTKey != "" {
		jwtKey = "set"
	}
	for _, line := range [][3]string{
		{"ClerkSecretKey", key, "SecretKey"},
		{"Backend API", cmp.Or(s.apiURL, "https://api.clerk.com"), "APIURL"},
		{"JWTKey", jwtKey, "JWTKey"},
		{"Issuer", cmp.Or(s.Issuer, "any of Clerk's"), "Issuer"},
		{"AuthorizedParties", cmp.Or(strings.Join(s.AuthorizedParties, " "), "none: azp is not compared"), "AuthorizedParties"},
		{"AllowMissingAuthorizedParty", fmt.Sprint(s.AllowMissingAuthorizedParty), "AllowMissingAuthorizedParty"},
		{"AcceptsToken", fmt.Sprint(s.AcceptsToken), "AcceptsToken"},
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

// readConfig reads auth/config.cue.
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
	s.Settings = *config
	for _, option := range fields {
		s.sources[option] = name + ", " + environment
	}
	return nil
}
