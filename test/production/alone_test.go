//go:build linux && !encore_local

package production

import (
	"debug/buildinfo"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestAlone starts one instance, without a balancer.
func TestAlone(t *testing.T) {
	e := setup(t)
	began := time.Now()
	// The suite test/e2e also expects the one setting that is optional. It makes
	// more calls to Clerk than one instance of a fleet may.
	i := e.app.start(t, e.app.withConfig(t, "auth", map[string]any{"Issuer": e.clerk.Issuer(), "RateLimitShare": 0.8}),
		e.app.withConfig(t, "mcp", map[string]any{"AuthorizationServer": e.clerk.URL()}))
	t.Logf("healthy after %d ms", time.Since(began).Milliseconds())
	t.Run("does not believe the headers of a service", func(t *testing.T) { forge(t, i) })
	t.Run("passes the suite test/e2e", func(t *testing.T) {
		command := exec.Command("go", "test", "-count=1", "../e2e")
		command.Env = append(os.Environ(), "BACKEND="+i.url("")+","+e.clerk.forE2E.URL, "POSTGRES_FOLDER="+e.database.Folder())
		if output, err := command.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, output)
		}
	})
	for _, secret := range []string{secretKey, e.clerk.WebhookSigningSecret(), serviceKey, "@example.com", "eyJ", "Quetzal"} { // the last is in bodies of the suite
		if strings.Contains(i.output.String(), secret) {
			t.Errorf("its log holds %.8s…", secret)
		}
	}
	status := i.terminate()
	say(t, status == 0, "SIGTERM ends it with status %d", status)
}

// forge sends what a service of this app would send to another one.
func forge(t *testing.T, i *instance) {
	for _, target := range []struct{ method, path, callee string }{
		{http.MethodGet, "/user/profile", "user.GetProfile"},
		{http.MethodPost, "/auth.UserDeleted", "auth.UserDeleted"},
	} {
		for _, authentication := range []string{"noop", "encore-auth"} {
			request := must[*http.Request](t)(http.NewRequest(target.method, i.url(target.path), strings.NewReader("{}")))
			for name, value := range map[string]string{
				"Caller": "api:webhooks.Clerk", "Callee": target.callee, "Svc-Auth-Method": authentication,
				"UserID": "user_ada", "AuthData": `{"UserID":"user_ada"}`,
			} {
				request.Header.Set("X-Encore-Meta-"+name, value)
			}
			response := must[*http.Response](t)(http.DefaultClient.Do(request))
			_ = response.Body.Close()
			if response.StatusCode/100 == 2 {
				t.Errorf("%s believes headers that claim to come from a service (%s): %d", target.path, authentication, response.StatusCode)
			}
		}
	}
}

// TestModules prints the modules of which the image holds another version than
// go.mod names. Encore puts its runtime in the place of encore.dev and adds what
// that requires.
func TestModules(t *testing.T) {
	e := setup(t)
	var mod struct {
		Require []struct{ Path, Version string }
	}
	if err := json.Unmarshal(must[[]byte](t)(exec.Command("go", "mod", "edit", "-json", filepath.Join(e.source, "go.mod")).Output()), &mod); err != nil {
		t.Fatal(err)
	}
	linked := map[string]string{}
	for _, module := range must[*buildinfo.BuildInfo](t)(buildinfo.ReadFile(filepath.Join(e.app.root, e.app.entrypoint))).Deps {
		linked[module.Path] = module.Version
	}
	same := 0
	for _, required := range mod.Require {
		switch version := linked[required.Path]; version {
		case "": // a test's
		case required.Version:
			same++
		default:
			t.Logf("%s %s, go.mod has %s", required.Path, version, required.Version)
		}
	}
	t.Logf("%d as in go.mod", same)
}
