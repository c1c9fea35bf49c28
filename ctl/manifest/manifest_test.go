package manifest_test

import (
	"fmt"
	"strings"
	"testing"

	"optimist/ctl/manifest"
	"optimist/internal/api"
)

func parse(text string) (documents []manifest.Document, faults []error) {
	return manifest.Options{Catalogue: api.Builtin}.Parse("f.yaml", []byte(text))
}

func TestParse(t *testing.T) {
	const config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
	for _, c := range []struct{ name, text, want string }{
		{"one document has no number", config, "f.yaml ConfigMap/a"},
		{"documents are numbered, empty ones are not counted", "---\n# nothing\n---\n" + config + "---\n" + config,
			"f.yaml:4 (document 1) ConfigMap/a, f.yaml:8 (document 2) ConfigMap/a"},
		{"a separator may carry a comment, and lines may end as on Windows", "--- # first\r\n" + config + "---\r\n",
			"f.yaml ConfigMap/a"},
		{"JSON objects may follow one another", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}` + "\n" + `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b"}}`,
			"f.yaml:1 (document 1) ConfigMap/a, f.yaml:2 (document 2) ConfigMap/b"},
		{"YAML in braces is not JSON", "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}", "f.yaml ConfigMap/a"},
		{"a byte order mark is no text", "\ufeff" + config, "f.yaml ConfigMap/a"},
		{"dashes within a text are no separator", config + "data:\n  x: |\n    ---\n", "f.yaml ConfigMap/a"},
		{"typed lists are taken apart like List", "apiVersion: v1\nkind: ConfigMapList\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n", "f.yaml ConfigMap/a"},
		{"aliases are followed to where they point", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: &l {a: b}, annotations: *l}\n", "f.yaml ConfigMap/a"},
		{"nothing is nothing", "# only this\n", ""},

		{"a missing kind", "apiVersion: v1\n", "! f.yaml:1: kind is not set"},
		{"a missing version", "kind: Pod\n", "! f.yaml:1: apiVersion is not set"},
		{"an unknown version names the one that is served", "apiVersion: apps/v1beta9\nkind: Deployment\nmetadata: {name: a}\n",
			`! f.yaml:1: no matches for kind "Deployment" in version "apps/v1beta9"; it is served as apps/v1`},
		{"the line is that of the document in the file", config + "---\n" + config + "x: 1\n",
			`f.yaml:1 (document 1) ConfigMap/a, ! f.yaml:8 (document 2): unknown field "x"`},
		{"all unknown fields at once", config + "dat: {}\nimmutabel: true\n",
			`! f.yaml:4: unknown field "dat" (did you mean "data"?), ! f.yaml:5: unknown field "immutabel" (did you mean "immutable"?)`},
		{"fields deep in lists", "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - name: a\n    imgae: b\n",
			`! f.yaml:7: unknown field "spec.containers[0].imgae" (did you mean "image"?)`},
		{"a field at the wrong depth names where it belongs", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nreplicas: 3\nspec:\n  containers: []\n",
			`! f.yaml:4: unknown field "replicas" (a field of that name belongs at spec.replicas or status.replicas), ` +
				`! f.yaml:6: unknown field "spec.containers" (a field of that name belongs at spec.template.spec.containers)`},
		{"wrong types all at once, beside unknown fields", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec:\n  replicas: three\n  paused: 1\n  zzzzzzzz: 1\n",
			`! f.yaml:5: spec.replicas: must be an integer, not string ("three"), ! f.yaml:6: spec.paused: must be a boolean, not number (1), ! f.yaml:7: unknown field "spec.zzzzzzzz"`},
		{"the wrong case", "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  Containers: []\n", `! f.yaml:5: unknown field "spec.Containers" (did you mean "containers"?)`},
		{"a list where an object belongs", "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n- containers\n", "! f.yaml:4: spec: must be an object, not a list"},
		{"a number where a text belongs, in a list", "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - name: a\n    args:\n    - x\n    - 80\n",
			"! f.yaml:9: spec.containers[0].args[1]: must be a string, not number (80)"},
		{"a truth where a text belongs", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  a: yes\n", "! f.yaml:5: data.a: must be a string, not bool (true)"},
		{"a quantity that is none", "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, resources: {limits: {cpu: much}}}]}\n",
			"! f.yaml:4: spec.containers[0].resources.limits.cpu: quantities must match"},
		{"a key twice", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  a: b\n  a: c\n", `! f.yaml:6: key "a" already set`},
		{"a tab", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n\tname: a\n", "! f.yaml:4: found character that cannot start any token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			documents, faults := parse(c.text)
			var got []string
			for _, d := range documents {
				got = append(got, fmt.Sprintf("%s %s/%s", d.Source, d.Kind.Name, d.Object.GetName()))
			}
			for _, f := range faults {
				got = append(got, "! "+f.Error())
			}
			if text := strings.Join(got, ", "); text != c.want && !(strings.HasPrefix(c.want, "! ") && strings.HasPrefix(text, c.want)) {
				t.Errorf("got  %s\nwant %s", text, c.want)
			}
		})
	}
}

// Whatever comes in: no panic, and every document and fault knows a line of the file.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"a: b", "{}", "- 1\n---\nx", `{"kind":"List","items":[1]}`, "apiVersion: v1\nkind: Pod\nspec: *x", "? {a: b}\n: c", "apiVersion: v1\nkind: Pod\nspec: {containers: 3}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		documents, faults := parse(text)
		for _, d := range documents {
			if lines := strings.Count(text, "\n") + 1; d.Source.Line < 1 || d.Source.Line > lines {
				t.Errorf("line %d of %d", d.Source.Line, lines)
			}
		}
		for _, fault := range faults {
			if fault.Error() == "" {
				t.Error("a fault without words")
			}
		}
	})
}

func TestOldFieldsAreSentWhereTheyBelong(t *testing.T) {
	_, faults := parse("apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: a}\nspec:\n  backend: {}\n  rules:\n  - http:\n      paths:\n      - backend:\n          serviceName: w\n")
	var got []string
	for _, f := range faults {
		got = append(got, f.Error())
	}
	if text, want := strings.Join(got, ", "), "f.yaml:5: spec.backend: write spec.defaultBackend, f.yaml:10: spec.rules[0].http.paths[0].backend.serviceName: write backend.service.name"; text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}
