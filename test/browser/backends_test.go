package browser

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"encore.app/auth/clerkauth"
	"encore.app/fakeclerk"
	"encore.app/internal/standalone"
)

// startBackend starts the backend that BACKEND names, with those
// authorized parties, and returns its address.
func startBackend(t *testing.T, clerk *fakeclerk.Server, parties []string) (address string) {
	t.Helper()
	switch backend := os.Getenv("BACKEND"); backend {
	case "", "standalone":
		return startStandalone(t, clerk, parties)
	case "encore":
		return startEncore(t, clerk, parties)
	default:
		t.Fatalf("BACKEND=%s: it is standalone or encore", backend)
		return ""
	}
}

// extend returns what optional services add to the standalone handler. The test
// of a service replaces it.
var extend = func(*testing.T) []standalone.Extension { return nil }

func startStandalone(t *testing.T, clerk *fakeclerk.Server, parties []string) string {
	t.Helper()
	authenticator, err := clerkauth.New(clerkauth.Options{
		SecretKey:         clerk.SecretKey(),
		APIURL:            clerk.URL(),
		AuthorizedParties: parties,
		Issuer:            clerk.Issuer(),
	})
	if err != nil {
		t.Fatal(err)
	}
	handler, err := standalone.Handler(standalone.Options{
		Extensions:            extend(t),
		Authenticator:         authenticator,
		WebhookSigningSecrets: clerk.WebhookSigningSecret(),
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// startEncore runs the app of this repository. The environment replaces the
// settings that this suite needs to be different.
func startEncore(t *testing.T, clerk *fakeclerk.Server, parties []string) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	output, err := os.Create(filepath.Join(t.TempDir(), "encore-run.log"))
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command("encore", "run", "--browser=never", "--listen="+host, "--port="+port)
	command.Dir = root
	command.Stdout, command.Stderr = output, output
	command.Env = append(os.Environ(),
		"CLERK_API_URL="+clerk.URL(),
		"CLERK_SECRET_KEY="+clerk.SecretKey(),
		"CLERK_ISSUER="+clerk.Issuer(),
		"CLERK_WEBHOOK_SIGNING_SECRET="+clerk.WebhookSigningSecret(),
		"CLERK_AUTHORIZED_PARTIES="+strings.Join(parties, ","),
	)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(os.Interrupt)
		_ = command.Wait()
		_ = output.Close()
	})
	if err := awaitAnswer(t, "http://"+address+"/user/profile"); err != nil {
		said, _ := os.ReadFile(output.Name())
		t.Fatalf("encore run: %v\n%s", err, said)
	}
	return address
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func awaitAnswer(t *testing.T, url string) error {
	t.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(5 * time.Minute) // the first build compiles Encore's runtime
	for {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			return response.Body.Close()
		}
		select {
		case <-tick.C:
		case <-deadline:
			return fmt.Errorf("does not answer: %w", err)
		}
	}
}
