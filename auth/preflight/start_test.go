package preflight_test

import (
	"encoding/json"
	"strings"
	"testing"

	"encore.dev"

	"encore.app/auth/preflight"
)

func TestStart(t *testing.T) {
	t.Setenv("SERVICE_KEY", strings.Repeat("0123456789abcdef", 4))
	t.Setenv("SHORT_KEY", "k")
	const signed = `{"auth": [{"type": "key", "id": 1, "key": {"$env": "SERVICE_KEY"}}]}`
	for _, test := range []struct {
		name    string
		change  func(*preflight.Settings)
		infra   string
		refused string // part of the error; "" for none
	}{
		{name: "starts as documented"},
		{name: "starts on Encore Cloud, which has no infra config", infra: "none", change: func(s *preflight.Settings) { s.BuiltFor = "" }},
		{name: "refuses a missing cloud", change: func(s *preflight.Settings) { s.Environment.Cloud = "" }, refused: `"cloud": "aws"`},
		{name: "refuses a developer's machine in an image", change: func(s *preflight.Settings) { s.Environment.Cloud = "local" }, refused: `metadata.cloud is "local"`},
		{name: "refuses a missing environment type", change: func(s *preflight.Settings) { s.Environment.Type = "" }, refused: `"env_type": "production"`},
		{name: "refuses an unknown environment type", change: func(s *preflight.Settings) { s.Environment.Type = "prod" }, refused: `metadata.env_type is "prod"`},
		{name: "refuses a config evaluated for another cloud", change: func(s *preflight.Settings) { s.BuiltFor = "local/development" }, refused: `evaluated for "local/development", but this is "aws/production"`},
		{name: "refuses a config evaluated for another type", change: func(s *preflight.Settings) { s.BuiltFor = "aws/development" }, refused: "build the image again"},
		{name: "refuses unsigned calls between services", infra: `{}`, refused: `"auth" is missing`},
		{name: "refuses an empty list of keys", infra: `{"auth": []}`, refused: `"auth" is missing`},
		{name: "refuses an unset service key", infra: `{"auth": [{"type": "key", "id": 1, "key": {"$env": "NO_SUCH_KEY"}}]}`, refused: "the variable NO_SUCH_KEY"},
		{name: "refuses a short service key", infra: `{"auth": [{"type": "key", "id": 1, "key": {"$env": "SHORT_KEY"}}]}`, refused: "openssl rand -hex 32"},
		{name: "refuses a short key in the file", infra: `{"auth": [{"type": "key", "id": 1, "key": "k"}]}`, refused: `write {"$env": "SERVICE_KEY"}`},
		{name: "refuses one short key among two", infra: `{"auth": [{"type": "key", "id": 1, "key": {"$env": "SERVICE_KEY"}}, {"type": "key", "id": 2, "key": ""}]}`, refused: "fewer than 32 characters"},
		{name: "refuses a variable that Encore hides", infra: `{"auth": [{"type": "key", "id": 1, "key": {"$env": "ENCORE_KEY"}}]}`, refused: "choose another name"},
		{name: "refuses an empty secret key", change: func(s *preflight.Settings) { s.SecretKey = "" }, refused: "CLERK_SECRET_KEY"},
		{name: "refuses an unset secret on Encore Cloud", infra: "none", change: func(s *preflight.Settings) { s.SecretKey = "" }, refused: "encore secret set --type prod"},
		{name: "refuses no authorized parties", change: func(s *preflight.Settings) { s.AuthorizedParties = nil }, refused: "no AuthorizedParties"},
		{name: "refuses no authorized parties in development", change: func(s *preflight.Settings) { development(s); s.AuthorizedParties = nil }, refused: "no AuthorizedParties"},
		{name: "refuses localhost in production", change: func(s *preflight.Settings) {
			s.AuthorizedParties = append(s.AuthorizedParties, "http://localhost:3001")
		}, refused: `"http://localhost:3001"`},
		{name: "refuses a name under localhost", change: func(s *preflight.Settings) { s.AuthorizedParties = []string{"https://App.LocalHost."} }, refused: "the user's own machine"},
		{name: "refuses a loopback address", change: func(s *preflight.Settings) { s.AuthorizedParties = []string{"http://127.1.2.3:3001"} }, refused: "the user's own machine"},
		{name: "refuses the loopback address of IPv6", change: func(s *preflight.Settings) { s.AuthorizedParties = []string{"http://[::1]:3001"} }, refused: "the user's own machine"},
		{name: "refuses a development instance's key in production", change: func(s *preflight.Settings) { s.SecretKey = "sk_test_x" }, refused: "sk_live_…"},
		{name: "takes a development instance's key elsewhere", change: func(s *preflight.Settings) { development(s); s.SecretKey = "sk_test_x" }},
		{name: "takes localhost elsewhere", change: func(s *preflight.Settings) { development(s); s.AuthorizedParties = []string{"http://localhost:3001"} }},
		{name: "takes a preview", infra: "none", change: func(s *preflight.Settings) { s.Environment.Type = encore.EnvEphemeral; s.SecretKey = "sk_test_x" }},
		{name: "names the block of a preview", infra: "none", change: func(s *preflight.Settings) { s.Environment.Type = encore.EnvEphemeral; s.AuthorizedParties = nil }, refused: "_preview"},
		{name: "names the secret's type of a preview", infra: "none", change: func(s *preflight.Settings) { s.Environment.Type = encore.EnvEphemeral; s.SecretKey = "\n" }, refused: "--type pr"},
		{name: "takes app shells in production", change: func(s *preflight.Settings) {
			s.AuthorizedParties = []string{"capacitor://localhost", "ionic://localhost", "tauri://localhost", "app://-", "chrome-extension://abcdefghijklmnop"}
		}},
		{name: "refuses https://localhost in production", change: func(s *preflight.Settings) { s.AuthorizedParties = []string{"https://localhost"} }, refused: "AllowLocalhost: true"},
		{name: "refuses https://tauri.localhost in production", change: func(s *preflight.Settings) { s.AuthorizedParties = []string{"https://tauri.localhost"} }, refused: "AllowLocalhost: true"},
		{name: "takes them when it says so", change: func(s *preflight.Settings) {
			s.AuthorizedParties, s.AllowLocalhost = []string{"https://localhost", "https://tauri.localhost", "http://localhost:8100"}, true
		}},
		{name: "takes the app's own machine over http when it says so", change: func(s *preflight.Settings) {
			s.AuthorizedParties, s.AllowLocalhost = []string{"http://tauri.localhost"}, true
		}},
		{name: "refuses plain http in production", change: func(s *preflight.Settings) { s.AuthorizedParties = []string{"http://app.example.com"} }, refused: `"http://app.example.com"`},
		{name: "refuses plain http beside AllowLocalhost", change: func(s *preflight.Settings) {
			s.AuthorizedParties, s.AllowLocalhost = []string{"http://192.168.1.5:3000"}, true
		}, refused: "write https://"},
		{name: "takes plain http elsewhere", change: func(s *preflight.Settings) { development(s); s.AuthorizedParties = []string{"http://192.168.1.5:3000"} }},
		{name: "refuses a development instance's issuer in production", change: func(s *preflight.Settings) { s.Issuer = "https://foo-bar-1.clerk.accounts.dev" }, refused: `Issuer is "https://foo-bar-1.clerk.accounts.dev"`},
		{name: "refuses a loopback issuer in production", change: func(s *preflight.Settings) { s.Issuer, s.AllowLocalhost = "http://localhost:4100", true }, refused: `Issuer is "http://localhost:4100"`},
		{name: "takes a development instance's issuer elsewhere", change: func(s *preflight.Settings) { development(s); s.Issuer = "https://foo-bar-1.clerk.accounts.dev" }},
		{name: "takes a proxy as issuer", change: func(s *preflight.Settings) { s.Issuer = "https://app.example.com/__clerk" }},
		{name: "sees a development instance's key behind white space", change: func(s *preflight.Settings) { s.SecretKey = "\nsk_test_x" }, refused: "sk_live_…"},
		{name: "refuses a service key that is a placeholder", infra: `{"auth": [{"type": "key", "id": 1, "key": "the output of openssl rand -hex 32"}]}`, refused: "openssl rand"},
		{name: "refuses the service key of the example", infra: `{"auth": [{"type": "key", "id": 1, "key": "CHANGE-to-the-output-of-openssl-rand"}]}`, refused: "is a placeholder"},
		{name: "refuses a service key in quotes", infra: `{"auth": [{"type": "key", "id": 1, "key": "'0123456789abcdef0123456789abcdef'"}]}`, refused: "is in quotes"},
		{name: "refuses the secret key of the example", change: func(s *preflight.Settings) { s.SecretKey = "sk_live_CHANGE" }, refused: "ClerkSecretKey (CLERK_SECRET_KEY) is a placeholder"},
		{name: "refuses a service key of one character", infra: `{"auth": [{"type": "key", "id": 1, "key": "00000000000000000000000000000000"}]}`, refused: "openssl rand"},
	} {
		t.Run(test.name, func(t *testing.T) {
			start := &preflight.Settings{
				Environment: encore.EnvironmentMeta{Name: "production", Type: encore.EnvProduction, Cloud: encore.CloudAWS},
				SecretKey:   "sk_live_secret",
				Config:      preflight.Config{BuiltFor: "aws/production", AuthorizedParties: []string{"https://app.example.com"}},
			}
			if test.infra == "" {
				test.infra = signed
			}
			var infra *preflight.InfraConfig
			if test.infra != "none" {
				infra = new(preflight.InfraConfig)
				if err := json.Unmarshal([]byte(test.infra), infra); err != nil {
					t.Fatal(err)
				}
			}
			if test.change != nil {
				test.change(start)
			}
			err := start.CheckDeployment(infra)
			if got := ""; err != nil {
				got = err.Error()
				if test.refused == "" || !strings.Contains(got, test.refused) || strings.Contains(got, "\n") {
					t.Errorf("refused with %q, want %q", got, test.refused)
				}
				if strings.Contains(got, "sk_live_secret") {
					t.Errorf("the error has the secret key: %q", got)
				}
			} else if test.refused != "" {
				t.Errorf("started, want %q", test.refused)
			}
		})
	}
}

func development(s *preflight.Settings) {
	s.Environment.Type, s.BuiltFor = encore.EnvDevelopment, "aws/development"
}

func TestReadInfraConfigIsNilElsewhere(t *testing.T) {
	config, err := preflight.ReadInfraConfig()
	if config != nil || err != nil {
		t.Errorf("got %v, %v", config, err)
	}
}
