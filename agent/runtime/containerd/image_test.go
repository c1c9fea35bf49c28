package containerd

import (
	"bytes"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"optimist/agent/runtime"
	"optimist/examples/images/build"
)

func itoa(n int) string { return strconv.Itoa(n) }

func atoi(t testing.TB, s string) int { return must(strconv.Atoi(s))(t) }

func TestImportedImagesHaveTheNamesPodsUse(t *testing.T) {
	r := newMachine(t).node(t)
	first := must(r.Image(t.Context(), busybox))(t)
	want := must(must(build.Busybox().Build())(t).Digest())(t).String()
	if first.ID != want || first.Ref != "docker.io/optimist/busybox:1" || first.Size == 0 {
		t.Errorf("image = %+v, want digest %s", first, want)
	}
	var archive bytes.Buffer
	check(t, tarball.Write(must(name.NewTag("local:1"))(t), must(build.Busybox().Build())(t), &archive))
	imported := must(r.Import(t.Context(), &archive))(t)
	if len(imported) != 1 || imported[0].Ref != "docker.io/library/local:1" {
		t.Errorf("docker archive = %+v", imported)
	}
	spec := sh(r, id("p1", "c"), "echo hi")
	spec.Image = "local:1"
	if got := printed(t, r, spec); got != "hi\n" {
		t.Errorf("printed %q", got)
	}
	if all := must(r.Images(t.Context()))(t); len(all) != 2 || !slices.Equal(all[1].Tags, []string{first.Ref}) {
		t.Errorf("images = %+v", all)
	}
	if _, err := r.Import(t.Context(), strings.NewReader("no archive")); err == nil {
		t.Error("nonsense was imported")
	}
}

func TestPull(t *testing.T) {
	r := newMachine(t).node(t)
	open, closed := registryWith(t, nil), registryWith(t, &runtime.Credentials{Username: "u", Password: "p"})
	for _, test := range []struct {
		sentence, ref string
		login         runtime.Credentials
		want          error
	}{
		{"from a registry on this machine, by plain HTTP", open + "/team/box:1", runtime.Credentials{}, nil},
		{"with a login", closed + "/team/box:1", runtime.Credentials{Username: "u", Password: "p"}, nil},
		{"a tag that is not there", open + "/team/box:2", runtime.Credentials{}, runtime.ErrNoImage},
		{"a wrong password", closed + "/team/box:1", runtime.Credentials{Username: "u", Password: "x"}, runtime.ErrUnauthorized},
		{"without the login that is needed", closed + "/team/box:1", runtime.Credentials{}, runtime.ErrUnauthorized},
		{"no reference at all", "Not A Name", runtime.Credentials{}, runtime.ErrNoImage},
	} {
		image, err := r.Pull(t.Context(), test.ref, test.login)
		if !errors.Is(err, test.want) || err == nil && image.Ref != test.ref {
			t.Errorf("%s: %+v, %v", test.sentence, image, err)
		}
	}
	spec := sh(r, id("p1", "c"), "echo hi")
	spec.Image = open + "/team/box:1"
	if got := printed(t, r, spec); got != "hi\n" {
		t.Errorf("printed %q", got)
	}
	if _, err := r.Pull(t.Context(), "127.0.0.1:1/x:1", runtime.Credentials{}); err == nil || errors.Is(err, runtime.ErrNoImage) {
		t.Errorf("a registry that does not answer: %v", err)
	}
}

// registryWith serves team/box:1 on a loopback port, to those who know the login.
func registryWith(t *testing.T, login *runtime.Credentials) (address string) {
	t.Helper()
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		user, password, _ := q.BasicAuth()
		if login != nil && (user != login.Username || password != login.Password) {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		handler.ServeHTTP(w, q)
	}))
	t.Cleanup(server.Close)
	address = strings.TrimPrefix(server.URL, "http://")
	push(t, handler, "/v2/team/box", "1")
	return address
}

// push puts the busybox image into a registry, by the few requests that takes.
func push(t *testing.T, registry http.Handler, repository, tag string) {
	t.Helper()
	image := must(build.Busybox().Build())(t)
	request := func(method, path, mediaType string, body []byte) {
		t.Helper()
		q := httptest.NewRequest(method, repository+path, bytes.NewReader(body))
		q.Header.Set("Content-Type", mediaType)
		answer := httptest.NewRecorder()
		registry.ServeHTTP(answer, q)
		if answer.Code != http.StatusCreated {
			t.Fatalf("%s %s: %d %s", method, path, answer.Code, answer.Body)
		}
	}
	for _, layer := range must(image.Layers())(t) {
		blob := must(io.ReadAll(must(layer.Compressed())(t)))(t)
		request("POST", "/blobs/uploads/?digest="+must(layer.Digest())(t).String(), "application/octet-stream", blob)
	}
	request("POST", "/blobs/uploads/?digest="+must(image.ConfigName())(t).String(), "application/octet-stream", must(image.RawConfigFile())(t))
	request("PUT", "/manifests/"+tag, string(must(image.MediaType())(t)), must(image.RawManifest())(t))
}

func TestCanonical(t *testing.T) {
	for spelled, want := range map[string]string{
		"nginx":                     "docker.io/library/nginx:latest",
		"web:1":                     "docker.io/library/web:1",
		"optimist/web:1":            "docker.io/optimist/web:1",
		"localhost:5000/a":          "localhost:5000/a:latest",
		"ghcr.io/a/b@" + someDigest: "ghcr.io/a/b@" + someDigest,
	} {
		if got := must(canonical(spelled))(t); got != want {
			t.Errorf("%s is %s, want %s", spelled, got, want)
		}
	}
}

const someDigest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
