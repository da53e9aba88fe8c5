//go:build linux && !encore_local

package production

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// startRegistry starts a registry on loopback: Encore builds an image into one
// without a Docker engine.
func startRegistry(folder string) (address string) {
	blobs := registry.NewDiskBlobHandler(folder)
	server := httptest.NewServer(registry.New(registry.WithBlobHandler(blobs), registry.Logger(log.New(io.Discard, "", 0))))
	closers = append(closers, server.Close)
	return server.Listener.Addr().String()
}

// image is an unpacked image.
type image struct {
	root       string   // where its files are
	env        []string // the variables that it sets, then those of this suite
	entrypoint string
	compressed int64 // bytes of its compressed layers
}

// build runs the documented command in the app's folder.
func (e *environment) build(app, infra, tag string) (*image, error) {
	command := exec.Command("encore", "build", "docker", "--config", infra, "--push", e.registry+"/"+tag+":latest")
	command.Dir = app
	if output, err := command.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%v: %w\n%s", command.Args, err, output)
	}
	pushed, err := e.pull(tag, "manifests/latest")
	if err != nil {
		return nil, err
	}
	manifest, err := v1.ParseManifest(pushed)
	if err != nil {
		return nil, err
	}
	if pushed, err = e.pull(tag, "blobs/"+manifest.Config.Digest.String()); err != nil {
		return nil, err
	}
	config, err := v1.ParseConfigFile(pushed)
	if err != nil {
		return nil, err
	}
	im := &image{root: filepath.Join(e.folder, tag), env: config.Config.Env, entrypoint: config.Config.Entrypoint[0]}
	for _, layer := range manifest.Layers {
		im.compressed += layer.Size
		if err := e.unpack(tag, layer.Digest, im.root); err != nil {
			return nil, err
		}
	}
	// The image is unpacked rather than mounted at /. The rest is as in deploy/compose.yaml.
	im.env = append(im.env, "ENCORE_INFRA_CONFIG_PATH="+filepath.Join(im.root, im.variable("ENCORE_INFRA_CONFIG_PATH")),
		"ENCORE_K8S_GRACE_TERMINATION_SECONDS=20", "GOMEMLIMIT=200MiB", "GOGC=400")
	im.env = slices.Concat(im.env, e.clerk.env(), e.database.env())
	return im, e.database.connect(im)
}

func (e *environment) pull(tag, path string) (io.Reader, error) {
	response, err := http.Get("http://" + e.registry + "/v2/" + tag + "/" + path)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("registry: %s: %s", path, response.Status)
	}
	return bytes.NewReader(body), err
}

func (e *environment) unpack(tag string, layer v1.Hash, into string) error {
	packed, err := e.pull(tag, "blobs/"+layer.String())
	if err != nil {
		return err
	}
	files, err := gzip.NewReader(packed)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(into, 0o755); err != nil {
		return err
	}
	command := exec.Command("tar", "-x", "--no-same-owner", "-C", into)
	command.Stdin, command.Stderr = files, os.Stderr
	return command.Run()
}

// withConfig is the variable of another config of a service, as a change to its
// config.cue and a new build would set it.
func (im *image) withConfig(t testing.TB, service string, change map[string]any) string {
	t.Helper()
	config := im.config(t, service)
	maps.Copy(config, change)
	return configVariable(service) + "=" + base64.RawURLEncoding.EncodeToString(must[[]byte](t)(json.Marshal(config)))
}

// config is what a service's config.cue became for this image.
func (im *image) config(t testing.TB, service string) (config map[string]any) {
	t.Helper()
	decoded := must[[]byte](t)(base64.RawURLEncoding.DecodeString(im.variable(configVariable(service))))
	if err := json.Unmarshal(decoded, &config); err != nil {
		t.Fatal(err)
	}
	return config
}

func configVariable(service string) string { return "ENCORE_CFG_" + strings.ToUpper(service) }

// variable is the last value of a variable.
func (im *image) variable(name string) (value string) {
	for _, entry := range im.env {
		if v, ok := strings.CutPrefix(entry, name+"="); ok {
			value = v
		}
	}
	return value
}

// size is the size of the image's files.
func (im *image) size() (total int64) {
	_ = filepath.WalkDir(im.root, func(_ string, entry os.DirEntry, err error) error {
		if info, err2 := entry.Info(); err == nil && err2 == nil && info.Mode().IsRegular() {
			total += info.Size()
		}
		return nil
	})
	return total
}

// party is the frontend that is filled in where the app names none yet.
const party = "https://app.example.com"

// copyApp copies the app's files, committed or not, and fills in what the
// deployment page says must be changed: the frontend's origin.
func copyApp(into string) error {
	if err := os.MkdirAll(into, 0o755); err != nil {
		return err
	}
	// A file that is deleted and not committed is left out.
	command := exec.Command("sh", "-c", `git ls-files -z --cached --others --exclude-standard -- . ':!web' ':!test' |
		tar -c --null --ignore-failed-read -T - | tar -x -C "$0"`, into)
	command.Dir = "../.."
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", command.Args, err, output)
	}
	name := filepath.Join(into, "auth", "config.cue")
	config, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	return os.WriteFile(name, []byte(strings.Replace(string(config), `// "`+party+`",`, `"`+party+`",`, 1)), 0o600)
}
