package parity

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/openapi3"
	"k8s.io/client-go/rest"

	door "optimist/apiserver/door/rest"
	"optimist/internal/api"
)

// serve offers discovery and OpenAPI as the server does, and a client of them.
func serve(t *testing.T, legacy bool) *discovery.DiscoveryClient {
	t.Helper()
	mux := http.NewServeMux()
	for _, routes := range []map[string]http.Handler{door.Discovery(api.Builtin), door.OpenAPI(api.Builtin)} {
		for path, h := range routes {
			mux.Handle(path, h)
			mux.Handle(path+"/", h)
		}
	}
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	c, err := discovery.NewDiscoveryClientForConfig(&rest.Config{Host: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	c.UseLegacyDiscovery = legacy
	return c
}

// upstream is a file of Kubernetes' own repository, or the test ends here.
func upstream(t *testing.T, file string) []byte {
	t.Helper()
	out, err := exec.Command("go", "mod", "download", "-json", "k8s.io/kubernetes@v1.37.2").Output()
	var module struct{ Dir string }
	if err != nil || json.Unmarshal(out, &module) != nil {
		t.Skipf("Kubernetes' sources cannot be had: %v", err)
	}
	data, err := os.ReadFile(filepath.Join(module.Dir, file))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// differences are those that we know of, by resource and subresource: the list only shrinks.
var differences = []string{
	"nodes/log", "nodes/images", // ours, for ctl
	"csinodes/status", // theirs
	"namespaces",      // of ours, all can be deleted at once
}

// Every kind that we serve is described as Kubernetes describes it.
func TestDiscoveryIsKubernetes(t *testing.T) {
	_, lists, err := serve(t, true).ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		file := "api__v1.json"
		if list.GroupVersion != "v1" {
			file = "apis__" + strings.Replace(list.GroupVersion, "/", "__", 1) + ".json"
		}
		var theirs metav1.APIResourceList
		if err := json.Unmarshal(upstream(t, "api/discovery/"+file), &theirs); err != nil {
			t.Fatal(err)
		}
		served := map[string]bool{}
		for _, r := range list.APIResources {
			served[r.Name] = true
			i := slices.IndexFunc(theirs.APIResources, func(o metav1.APIResource) bool { return o.Name == r.Name })
			if i >= 0 {
				r.StorageVersionHash = theirs.APIResources[i].StorageVersionHash
			}
			if (i < 0 || !reflect.DeepEqual(r, theirs.APIResources[i])) && !slices.Contains(differences, r.Name) {
				t.Errorf("%s: %+v, Kubernetes has %+v", list.GroupVersion, r, theirs.APIResources[max(i, 0)])
			}
		}
		for _, r := range theirs.APIResources {
			if kind, _, sub := strings.Cut(r.Name, "/"); sub && served[kind] && !served[r.Name] && !slices.Contains(differences, r.Name) {
				t.Errorf("%s: %s is missing", list.GroupVersion, r.Name)
			} else if !served[kind] {
				t.Logf("%s: %s is not served", list.GroupVersion, r.Name)
			}
		}
	}
}

// client-go finds all kinds in both forms of discovery, and OpenAPI in both versions; kubectl sees that the server validates fields.
func TestClientsReadDiscoveryAndOpenAPI(t *testing.T) {
	c := serve(t, false)
	_, found, err := c.ServerGroupsAndResources()
	if err != nil || len(found) < 15 {
		t.Fatal(err, len(found))
	}
	root, verifier := openapi3.NewRoot(c.OpenAPIV3()), resource.NewQueryParamVerifierV3(nil, c.OpenAPIV3(), resource.QueryParamFieldValidation)
	for _, list := range found {
		gv, _ := schema.ParseGroupVersion(list.GroupVersion)
		if _, err := root.GVSpec(gv); err != nil {
			t.Error(err)
		}
		for _, r := range list.APIResources {
			if slices.Contains(r.Verbs, "patch") {
				if err := verifier.HasSupport(gv.WithKind(r.Kind)); err != nil && r.Group == "" {
					t.Errorf("%s: %v", r.Kind, err)
				}
			}
		}
	}
	doc, err := c.OpenAPISchema()
	if err != nil || len(doc.Paths.Path) == 0 {
		t.Error(err)
	}
}
