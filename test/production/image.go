package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// images builds images with the Encore CLI into a registry on loopback, since
// that needs no Docker engine, and unpacks them.
type images struct {
	ctx      context.Context
	folder   string
	address  string
	registry *exec.Cmd
	database *database
}

func startRegistry(ctx context.Context, folder string, database *database) (*images, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(folder, "registry.yml")
	content := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %q}\n",
		filepath.Join(folder, "registry"), address)
	if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
		return nil, err
	}
	registry := exec.Command("docker-registry", "serve", config)
	if err := registry.Start(); err != nil {
		return nil, err
	}
	r := &images{ctx: ctx, folder: folder, address: address, registry: registry, database: database}
	if err := await(ctx, "http://"+address+"/v2/"); err != nil {
		r.close()
		return nil, fmt.Errorf("docker-registry: %w", err)
	}
	return r, nil
}

func (r *images) close() {
	_ = r.registry.Process.Kill()
	_ = r.registry.Wait()
}

// image is an unpacked image.
type image struct {
	root       string   // where its files are
	env        []string // the variables that it sets
	entrypoint string
	compressed int64 // bytes of its layers as they travel
}

// build runs the documented command in the app's folder.
func (r *images) build(app, infra, tag string) (*image, error) {
	name := r.address + "/" + tag + ":latest"
	command := exec.CommandContext(r.ctx, "encore", "build", "docker", "--config", infra, "--push", name)
	command.Dir = app
	if output, err := command.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", strings.Join(command.Args, " "), err, output)
	}
	return r.unpack(tag)
}

func (r *images) unpack(tag string) (*image, error) {
	type blob struct {
		Digest string `json:"digest"`
		Size   int64  `json:"size"`
	}
	var manifest struct {
		Config blob   `json:"config"`
		Layers []blob `json:"layers"`
	}
	var config struct {
		Config struct {
			Entrypoint, Env []string
		} `json:"config"`
	}
	if err := r.getJSON(tag+"/manifests/latest", &manifest); err != nil {
		return nil, err
	}
	if err := r.getJSON(tag+"/blobs/"+manifest.Config.Digest, &config); err != nil {
		return nil, err
	}
	if len(config.Config.Entrypoint) != 1 {
		return nil, fmt.Errorf("the image's entrypoint is %q", config.Config.Entrypoint)
	}
	im := &image{root: filepath.Join(r.folder, tag), env: config.Config.Env, entrypoint: config.Config.Entrypoint[0]}
	for _, layer := range manifest.Layers {
		im.compressed += layer.Size
		if err := r.untar(tag+"/blobs/"+layer.Digest, im.root); err != nil {
			return nil, err
		}
	}
	return im, r.database.connect(im)
}

func (r *images) get(path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(r.ctx, http.MethodGet, "http://"+r.address+"/v2/"+path, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json")
	response, err := http.DefaultClient.Do(request)
	if err == nil && response.StatusCode != http.StatusOK {
		_ = response.Body.Close()
		return nil, fmt.Errorf("registry: %s: %s", path, response.Status)
	}
	return response, err
}

func (r *images) getJSON(path string, into any) error {
	response, err := r.get(path)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return json.NewDecoder(response.Body).Decode(into)
}

func (r *images) untar(path, into string) error {
	response, err := r.get(path)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	unzipped, err := gzip.NewReader(response.Body)
	if err != nil {
		return err
	}
	for files := tar.NewReader(unzipped); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		name := filepath.Join(into, filepath.Clean("/"+header.Name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		file, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, header.FileInfo().Mode().Perm())
		if err != nil {
			return err
		}
		_, err = io.Copy(file, files)
		if err := errors.Join(err, file.Close()); err != nil {
			return err
		}
	}
}

// authConfig is what auth/config.cue became for this image.
func (im *image) authConfig() (map[string]any, error) {
	encoded := im.variable("ENCORE_CFG_AUTH")
	decoded, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return nil, err
	}
	config := make(map[string]any)
	return config, json.Unmarshal(decoded, &config)
}

// withAuthConfig returns the image's variables with another config of auth, as a
// change to auth/config.cue and a new build would set it.
func (im *image) withAuthConfig(change map[string]any) ([]string, error) {
	config, err := im.authConfig()
	if err != nil {
		return nil, err
	}
	for name, value := range change {
		config[name] = value
	}
	encoded, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	env := slices.DeleteFunc(slices.Clone(im.env), func(e string) bool { return strings.HasPrefix(e, "ENCORE_CFG_AUTH=") })
	return append(env, "ENCORE_CFG_AUTH="+base64.RawURLEncoding.EncodeToString(encoded)), nil
}

func (im *image) variable(name string) string {
	for _, entry := range im.env {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
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

// copyApp copies the app's files, tracked or not, and fills in what the
// deployment page says must be changed: the frontend's origin.
func copyApp(ctx context.Context, into string) error {
	command := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--",
		":/", ":(top,exclude)web", ":(top,exclude)test")
	root, err := exec.CommandContext(ctx, "git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return fmt.Errorf("git: %w", err)
	}
	command.Dir = strings.TrimSpace(string(root))
	names, err := command.Output()
	if err != nil {
		return fmt.Errorf("git ls-files: %w", err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(names), "\x00"), "\x00") {
		content, err := os.ReadFile(filepath.Join(command.Dir, name))
		if errors.Is(err, os.ErrNotExist) {
			continue // deleted, not committed
		}
		if err != nil {
			return err
		}
		if name == "auth/config.cue" {
			content = []byte(strings.Replace(string(content), `// "`+party+`",`, `"`+party+`",`, 1))
		}
		target := filepath.Join(into, name)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(target, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
