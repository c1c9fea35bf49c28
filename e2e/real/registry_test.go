package real

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"

	"optimist/examples/images/build"
)

// login is what a registry asks for.
type login struct{ user, password string }

// registry serves team/web:1 inside the cluster's network namespace, to those who know the login (nil: to everybody), and returns its address.
func (c *Cluster) registry(t *testing.T, who *login) string {
	t.Helper()
	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	push(t, images, "/v2/team/web", "1")
	l, err := c.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if user, password, _ := q.BasicAuth(); who != nil && (login{user, password}) != *who {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		images.ServeHTTP(w, q)
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return l.Addr().String()
}

// push puts the web image into a registry, by the few requests that takes.
func push(t *testing.T, registry http.Handler, repository, tag string) {
	t.Helper()
	must := func(data []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	image, err := build.Web("1").Build()
	if err != nil {
		t.Fatal(err)
	}
	send := func(method, path string, body []byte, mediaType string) {
		t.Helper()
		q := httptest.NewRequest(method, repository+path, bytes.NewReader(body))
		q.Header.Set("Content-Type", mediaType)
		answer := httptest.NewRecorder()
		if registry.ServeHTTP(answer, q); answer.Code != http.StatusCreated {
			t.Fatalf("%s %s: %d %s", method, path, answer.Code, answer.Body)
		}
	}
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range layers {
		packed, err := layer.Compressed()
		if err != nil {
			t.Fatal(err)
		}
		digest, err := layer.Digest()
		send("POST", "/blobs/uploads/?digest="+digest.String(), must(io.ReadAll(packed)), "application/octet-stream")
		if err != nil {
			t.Fatal(err)
		}
	}
	config, err := image.ConfigName()
	send("POST", "/blobs/uploads/?digest="+config.String(), must(image.RawConfigFile()), "application/octet-stream")
	if err != nil {
		t.Fatal(err)
	}
	kind, err := image.MediaType()
	send("PUT", "/manifests/"+tag, must(image.RawManifest()), string(kind))
	if err != nil {
		t.Fatal(err)
	}
}

// secret is a manifest of a pull secret.
func (l login) secret(name, registry string) string {
	config := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, registry, base64.StdEncoding.EncodeToString([]byte(l.user+":"+l.password)))
	return fmt.Sprintf("---\n{apiVersion: v1, kind: Secret, metadata: {name: %s}, type: kubernetes.io/dockerconfigjson, stringData: {.dockerconfigjson: '%s'}}\n", name, config)
}
