package parity

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// extraFields are those that the published files lack (enums) or that depend on which groups are served.
var extraFields = []string{"enum", "x-kubernetes-group-version-kind"}

// Every type of ours that Kubernetes publishes is described as there, in both versions of OpenAPI.
func TestTypesAreKubernetes(t *testing.T) {
	type definitions = map[string]map[string]any
	var theirs, ours struct {
		Definitions definitions
		Components  struct{ Schemas definitions }
	}
	compare := func(where string, ours, theirs definitions) {
		if len(ours) < 40 {
			t.Errorf("%s: only %d types", where, len(ours))
		}
		for _, name := range slices.Sorted(maps.Keys(ours)) {
			if want := theirs[name]; want != nil && !reflect.DeepEqual(plain(ours[name]), plain(want)) {
				t.Errorf("%s: %s differs", where, name)
			}
		}
	}
	c := serve(t, false)
	get := func(path string) {
		if raw, err := c.RESTClient().Get().AbsPath(path).DoRaw(t.Context()); err != nil || json.Unmarshal(raw, &ours) != nil {
			t.Fatal(path, err)
		}
	}
	for path, file := range map[string]string{"/openapi/v3/api/v1": "api__v1", "/openapi/v3/apis/apps/v1": "apis__apps__v1", "/openapi/v3/apis/batch/v1": "apis__batch__v1"} {
		get(path)
		if err := json.Unmarshal(upstream(t, "api/openapi-spec/v3/"+file+"_openapi.json"), &theirs); err != nil {
			t.Fatal(err)
		}
		compare(path, ours.Components.Schemas, theirs.Components.Schemas)
	}
	get("/openapi/v2")
	if err := json.Unmarshal(upstream(t, "api/openapi-spec/swagger.json"), &theirs); err != nil {
		t.Fatal(err)
	}
	compare("/openapi/v2", ours.Definitions, theirs.Definitions)
}

// plain is a schema without what the published files lack.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, inner := range v {
			if text, ok := inner.(string); ok && key == "description" {
				inner, _, _ = strings.Cut(text, "\n\nPossible enum values:")
				if strings.HasPrefix(text, "Possible enum values:") {
					continue
				}
			}
			if !slices.Contains(extraFields, key) {
				out[key] = plain(inner)
			}
		}
		return out
	case []any:
		out := []any{}
		for _, inner := range v {
			out = append(out, plain(inner))
		}
		return out
	}
	return v
}
