package rest_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"optimist/apiserver/door/rest"
)

// fuzzed serves one request; whatever it is, the answer must be one that clients understand.
func fuzzed(t *testing.T, s *rest.Server, r *http.Request) {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code == http.StatusInternalServerError {
		t.Errorf("%s %q %v: %s", r.Method, r.URL, r.Header, w.Body)
	}
}

func FuzzPathAndQuery(f *testing.F) {
	for _, seed := range []string{"/api/v1/pods", "/api/v1/namespaces/default/configmaps/a?pretty=1", "/apis/apps/v1/namespaces/default/deployments/a/scale", "/api/v1/namespaces/a/status",
		"/api/v1/namespaces//configmaps", "/apis//v1/x", "/api/v1/configmaps?limit=1&continue=x&resourceVersion=1", "/api/v1/configmaps?resourceVersionMatch=Exact&resourceVersion=1",
		"/api/v1/secrets?labelSelector=a%20in%20(b)&fieldSelector=metadata.name%3Db", "/api/v1/configmaps?watch=1&timeoutSeconds=-1", "/api/v1/nodes/a/proxy/x/y/"} {
		f.Add(seed)
	}
	s := rest.New(config(records(f)))
	f.Fuzz(func(t *testing.T, path string) {
		r, err := http.NewRequestWithContext(t.Context(), "GET", path, nil)
		if err != nil || !strings.HasPrefix(path, "/") || strings.Contains(r.URL.RawQuery, "watch") {
			return
		}
		fuzzed(t, s, r)
	})
}

func FuzzAccept(f *testing.F) {
	for _, seed := range []string{"*/*", "application/*;q=0.1", tableV1, "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList" + metaV1, "a;q=x", ";;,,", "application/json;stream=watch"} {
		f.Add(seed)
	}
	s := rest.New(config(records(f)))
	f.Fuzz(func(t *testing.T, accept string) {
		for _, path := range []string{maps, "/api/v1/namespaces/default"} {
			r := httptest.NewRequest("GET", path, nil)
			r.Header.Set("Accept", accept)
			fuzzed(t, s, r)
		}
	})
}

func FuzzBody(f *testing.F) {
	c := client{media: "application/vnd.kubernetes.protobuf"}
	for _, o := range []string{"ConfigMap", "DeleteOptions", "Binding"} {
		b, err := c.encode(seedBodies[o])
		if err != nil {
			f.Fatal(err)
		}
		f.Add("POST", b)
		f.Add("DELETE", b)
	}
	f.Add("PUT", []byte("k8s\x00"))
	s := rest.New(config(records(f)))
	f.Fuzz(func(t *testing.T, method string, body []byte) {
		paths := map[string]string{"POST": maps, "PUT": maps + "/a", "DELETE": maps + "/a", "BIND": "/api/v1/namespaces/default/pods/a/binding"}
		if paths[method] == "" {
			return
		}
		if method == "BIND" {
			method = "POST"
		}
		r := httptest.NewRequest(method, paths[method], io.NopCloser(strings.NewReader(string(body))))
		r.Header.Set("Content-Type", c.media)
		fuzzed(t, s, r)
	})
}
