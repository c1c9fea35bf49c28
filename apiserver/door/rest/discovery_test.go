package rest

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	openapiv2 "github.com/google/gnostic-models/openapiv2"
	openapiv3 "github.com/google/gnostic-models/openapiv3"
	"google.golang.org/protobuf/proto"
	discoveryv2 "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kube-openapi/pkg/spec3"

	"optimist/internal/api"
	types "optimist/internal/schema"
)

// ask sends a request to the routes as the server would.
func ask(t *testing.T, routes map[string]http.Handler, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest("GET", path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	(&Server{Config: Config{Routes: routes}}).route(r.URL.Path).ServeHTTP(w, r)
	return w
}

func decode[T any](t *testing.T, w *httptest.ResponseRecorder) (v T) {
	t.Helper()
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || w.Code != 200 {
		t.Fatalf("%d %v: %.200s", w.Code, err, w.Body)
	}
	return v
}

func TestDiscoverySaysTheSameInBothForms(t *testing.T) {
	routes := Discovery(api.Builtin)
	seen := 0
	for _, root := range []string{"/api", "/apis"} {
		w := ask(t, routes, root, "Accept", mediaDiscovery+",application/json")
		if got := w.Header().Get("Content-Type"); got != mediaDiscovery {
			t.Errorf("%s: %s", root, got)
		}
		for _, g := range decode[discoveryv2.APIGroupDiscoveryList](t, w).Items {
			for _, v := range g.Versions {
				path := strings.Replace(root+"/"+g.Name+"/"+v.Version, "//", "/", 1)
				names := map[string]bool{}
				for _, r := range decode[metav1.APIResourceList](t, ask(t, routes, path)).APIResources {
					names[r.Name] = true
				}
				for _, r := range v.Resources {
					seen++
					for _, s := range r.Subresources {
						if !names[r.Resource+"/"+s.Subresource] {
							t.Errorf("%s lacks %s/%s", path, r.Resource, s.Subresource)
						}
					}
					if k := api.Builtin.Find(r.Resource + "." + g.Name); !names[r.Resource] || k == nil || k.Name != r.ResponseKind.Kind || len(r.Verbs) == 0 {
						t.Errorf("%s: %+v", path, r)
					}
				}
			}
		}
		if again := ask(t, routes, root, "Accept", mediaDiscovery, "If-None-Match", w.Header().Get("ETag")); again.Code != http.StatusNotModified {
			t.Errorf("%s asked again: %d", root, again.Code)
		}
	}
	if seen < len(api.Builtin.All())-1 {
		t.Errorf("%d kinds of %d", seen, len(api.Builtin.All()))
	}
	for path, want := range map[string]string{"/api": `"versions":["v1"]`, "/apis": `"groupVersion":"apps/v1"`, "/apis/apps": `"preferredVersion":{"groupVersion":"apps/v1"`, "/version": `"minor":"37"`} {
		if w := ask(t, routes, path); w.Code != 200 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %.300s", path, w.Code, w.Body)
		}
	}
	for _, path := range []string{"/apis/none", "/apis/none/v1", "/apis/apps/v9", "/api/v9"} {
		if w := ask(t, routes, path); w.Code != 404 || !strings.Contains(w.Body.String(), `"reason":"NotFound"`) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

// What kubectl looks up: the index, a document by its hash, patch's query parameters, the kind of a path.
func TestOpenAPI(t *testing.T) {
	routes := OpenAPI(api.Builtin)
	index := decode[map[string]map[string]reference](t, ask(t, routes, "/openapi/v3"))["paths"]
	for path, to := range index {
		w := ask(t, routes, to.URL)
		doc := decode[spec3.OpenAPI](t, w)
		if doc.Components == nil || len(doc.Components.Schemas) == 0 || len(doc.Paths.Paths) == 0 || w.Header().Get("Cache-Control") != "public, immutable" {
			t.Errorf("%s: a thin document", path)
		}
		for _, ref := range regexp.MustCompile(`"\$ref":"`+types.RefV3+`([^"]*)"`).FindAllStringSubmatch(w.Body.String(), -1) {
			if doc.Components.Schemas[ref[1]] == nil {
				t.Errorf("%s: %s is not defined", path, ref[1])
			}
		}
		if other := ask(t, routes, "/openapi/v3/"+path+"?hash=old"); other.Code != 301 || other.Header().Get("Location") != to.URL {
			t.Errorf("%s: %d %s", path, other.Code, other.Header())
		}
	}
	apps := decode[spec3.OpenAPI](t, ask(t, routes, "/openapi/v3/apis/apps/v1"))
	patch, found := apps.Paths.Paths["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"].Patch, false
	for _, p := range patch.Parameters {
		found = found || p.Name == "fieldValidation" && p.In == "query"
	}
	if kind, _ := json.Marshal(patch.Extensions["x-kubernetes-group-version-kind"]); !found || !strings.Contains(string(kind), `"Deployment"`) {
		t.Errorf("patch: %v %s", found, kind)
	}
	w := ask(t, routes, "/openapi/v3/apis/apps/v1", "Accept", strings.Replace(protoV3, ".v1.0", "@v1.0", 1))
	if err := proto.Unmarshal(w.Body.Bytes(), &openapiv3.Document{}); err != nil || w.Header().Get("Content-Type") != protoV3 {
		t.Error(err, w.Header())
	}
	doc := &openapiv2.Document{}
	if err := proto.Unmarshal(ask(t, routes, "/openapi/v2", "Accept", protoV2).Body.Bytes(), doc); err != nil || len(doc.Definitions.AdditionalProperties) < 400 {
		t.Error(err)
	}
	if w := ask(t, routes, "/openapi/v2", "Accept", "text/html"); w.Code != http.StatusNotAcceptable {
		t.Error(w.Code)
	}
}

func TestHealth(t *testing.T) {
	routes := Health(slog.New(slog.DiscardHandler), Check{"store", true, func(context.Context) error { return nil }}, Check{"caches", false, func(context.Context) error { return errors.New("not yet") }})
	for path, want := range map[string]string{
		"/livez":                          "200 ok",
		"/livez?verbose":                  "200 [+]ping ok\n[+]store ok\nlivez check passed\n",
		"/readyz":                         "500 [+]ping ok\n[+]store ok\n[-]caches failed: reason withheld\nreadyz check failed\n",
		"/healthz?verbose&exclude=caches": "200 [+]ping ok\n[+]store ok\n[+]caches excluded: ok\nhealthz check passed\n",
		"/livez?verbose&exclude=x":        "200 [+]ping ok\n[+]store ok\nwarn: some health checks cannot be excluded: no matches for [\"x\"]\nlivez check passed\n",
		"/readyz/store":                   "200 ok",
		"/readyz/caches":                  "500 internal server error: not yet\n",
	} {
		if w := ask(t, routes, path); strings.TrimSpace(http.StatusText(w.Code)) == "" || want != strings.Join([]string{map[int]string{200: "200", 500: "500"}[w.Code], w.Body.String()}, " ") {
			t.Errorf("%s: %d %q", path, w.Code, w.Body)
		}
	}
}

func TestMetrics(t *testing.T) {
	s := New(Config{Catalogue: api.Builtin, Objects: func() map[string]int { return map[string]int{"deployments.apps": 3} }})
	h := s.metrics.around(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/secret") {
			w.WriteHeader(http.StatusTeapot)
		}
	}), s.parse)
	for _, path := range []string{"/api/v1/pods?watch=1", "/apis/apps/v1/namespaces/x/deployments", "/apis/apps/v1/namespaces/x/deployments/web/scale", "/secret/path", "/secret/other", "/api/secret/pods", "/api/v1/namespaces/x/pods/y/secret"} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
	}
	said := ask(t, s.Routes, "/metrics").Body.String()
	for _, want := range []string{
		`apiserver_request_total{code="200",component="apiserver",group="",resource="pods",scope="cluster",subresource="",verb="WATCH",version="v1"} 1`,
		`apiserver_request_total{code="200",component="apiserver",group="apps",resource="deployments",scope="namespace",subresource="",verb="LIST",version="v1"} 1`,
		`apiserver_request_total{code="200",component="apiserver",group="apps",resource="deployments",scope="resource",subresource="scale",verb="GET",version="v1"} 1`,
		`apiserver_request_total{code="418",component="apiserver",group="",resource="",scope="",subresource="",verb="GET",version=""} 2`,
		`apiserver_request_total{code="200",component="apiserver",group="",resource="",scope="",subresource="",verb="GET",version=""} 2`,
		`apiserver_request_duration_seconds_bucket{component="apiserver",group="",resource="",scope="",subresource="",verb="GET",version="",le="+Inf"} 4`,
		`apiserver_current_inflight_requests{request_kind="readOnly"} 0`, `apiserver_storage_objects{resource="deployments.apps"} 3`, "go_goroutines ",
	} {
		if !strings.Contains(said, "\n"+want) {
			t.Errorf("%s is not said", want)
		}
	}
	if strings.Contains(said, "secret") {
		t.Error("a client's path is told")
	}
}
