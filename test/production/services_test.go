//go:build linux && !encore_local

package production

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"encore.app/fakeclerk"
)

// TestServicesInTwoProcesses runs one image as two instances: the service vault
// runs in one of them, and everything else in the other. A custom claim and the
// requirements reach the second process.
func TestServicesInTwoProcesses(t *testing.T) {
	e := setup(t)
	im := must[*image](t)(e.buildWithServices("desk", "vault"))
	carry := im.withConfig(t, "auth", map[string]any{"CarryClaims": []string{"metadata"}})
	vault := im.start(t, carry, im.infra(t, func(infra map[string]any) {
		infra["hosted_services"], infra["hosted_gateways"] = []string{"vault"}, []string{}
		// Encore wants to know where the auth handler is. An instance without a gateway
		// does not call it.
		infra["service_discovery"] = map[string]any{"auth": map[string]any{"base_url": "http://127.0.0.1:1", "auth": infra["auth"]}}
	}))
	front := im.start(t, carry, im.infra(t, func(infra map[string]any) {
		all := infra["hosted_services"].([]any) // as Encore built it
		infra["hosted_services"] = slices.DeleteFunc(all, func(name any) bool { return name == "vault" })
		infra["service_discovery"] = map[string]any{"vault": map[string]any{"base_url": vault.url(""), "auth": infra["auth"]}}
	}))

	if err := e.clerk.SetSessionTokenClaims(map[string]any{
		"metadata": "{{user.public_metadata}}", "tier": "{{user.public_metadata.tier}}",
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.clerk.SetSessionTokenClaims(nil) })
	for id, metadata := range map[string]map[string]any{
		"user_vault_admin": {"role": "admin", "tier": 3, "name": "Zoë\x7f\n"}, "user_vault_editor": {"role": "editor"}, "user_vault_none": nil,
	} {
		must[fakeclerk.User](t)(e.clerk.AddUser(fakeclerk.User{ID: id, PublicMetadata: metadata}))
	}
	for _, test := range []struct {
		name, user, path string
		actor            any
		status           int
		body             string
	}{
		{"an admin", "user_vault_admin", "/desk", nil, http.StatusOK, `"role":"admin"`},
		{"an editor", "user_vault_editor", "/desk", nil, http.StatusForbidden, "requires the claim metadata.role"},
		{"nobody in particular", "user_vault_none", "/desk", nil, http.StatusForbidden, "requires the claim metadata.role"},
		{"an impersonated admin", "user_vault_admin", "/desk", map[string]any{"sub": "user_support"}, http.StatusForbidden, "requires the user in person"},
		{"a claim that stays behind", "user_vault_admin", "/desk/tier", nil, http.StatusForbidden, "permission denied"},
	} {
		token := must[string](t)(e.clerk.SessionToken(test.user, fakeclerk.Claim("azp", party), fakeclerk.Claim("act", test.actor)))
		status, body := get(t, front.url(test.path), token)
		say(t, status == test.status && strings.Contains(body, test.body), "%s: %d %s", test.name, status, body)
	}
	status, _ := get(t, vault.url("/desk"), "")
	say(t, status == http.StatusNotFound, "the instance of vault alone serves no endpoint of desk: %d", status)
	// Encore's own lines in the first process repeat the error of the second.
	lines, decided := vault.output.String(), `"message":"permission denied"`
	say(t, strings.Contains(lines, decided) && strings.Contains(lines, `"actor":"user_support"`) && strings.Contains(lines, "CarryClaims") &&
		!strings.Contains(front.output.String(), decided),
		"the requirements are decided in the second process, whose log names the actor and the setting")
}

// buildWithServices builds the image of the app with further services in it.
func (e *environment) buildWithServices(names ...string) (*image, error) {
	folder := filepath.Join(e.folder, "src-services")
	err := copyApp(folder)
	for _, name := range names {
		content, err2 := apps.ReadFile("apps/" + name + ".go.txt")
		err = errors.Join(err, err2, os.MkdirAll(filepath.Join(folder, name), 0o755),
			os.WriteFile(filepath.Join(folder, name, name+".go"), content, 0o600))
	}
	if err != nil {
		return nil, err
	}
	return e.build(folder, "deploy/infra.json", "services")
}

// infra is the variable of a changed infra config.
func (im *image) infra(t testing.TB, change func(infra map[string]any)) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "infra.json")
	if err := changed(im.variable("ENCORE_INFRA_CONFIG_PATH"), name, change); err != nil {
		t.Fatal(err)
	}
	return "ENCORE_INFRA_CONFIG_PATH=" + name
}

// get asks for a URL with a token, "" for none.
func get(t testing.TB, url, token string) (status int, body string) {
	t.Helper()
	request := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil))
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	status, body, err := (&users{client: http.DefaultClient}).do(request)
	if err != nil {
		t.Fatal(err)
	}
	return status, strings.TrimSpace(body)
}
