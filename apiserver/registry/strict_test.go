package registry

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"optimist/internal/api"
	"optimist/internal/strict"
)

// Inspect takes any bytes, and finds nothing wrong only with what can be decoded.
func FuzzInspect(f *testing.F) {
	for _, seed := range []string{`{}`, `{"spec":{"containers":[{"name":"c"}]}}`, `[[{"a":1}]]`, `{"metadata":{"creationTimestamp":"x"}}`, `{"a"`, `null`, `{} {}`} {
		f.Add([]byte(seed))
	}
	w := &write{resource: newResource(api.PodKind, Rules{Kind: api.PodKind}, nil)}
	f.Fuzz(func(t *testing.T, data []byte) {
		faults, err := strict.Inspect(data, &corev1.Pod{})
		if err != nil || len(faults.Loose)+len(faults.Wrong) > 0 {
			return
		}
		if err := w.decodeJSON(data, w.fresh()); err != nil {
			t.Errorf("nothing was wrong, yet: %v", err)
		}
	})
}

// A YAML body's faults are told at once, too; what was written twice by its line.
func TestYAMLBody(t *testing.T) {
	w := &write{resource: configMaps(t), Request: api.Request{Raw: &api.Raw{MediaType: "application/yaml", Data: []byte("kind: ConfigMap\ndata: {k: 1}\ndota: {}\nkind: ConfigMap\n")}}}
	_, err := w.decodeBody(w.fresh())
	for _, words := range []string{"data.k: must be a string", `unknown field "dota" (did you mean "data"?)`, `line 4: key "kind" already set in map`} {
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("the error does not say %q: %v", words, err)
		}
	}
	w.Validation = api.Ignore
	w.Raw.Data = []byte("kind: ConfigMap\ndata: {k: v}\nkind: ConfigMap\n")
	if o, err := w.decodeBody(w.fresh()); err != nil || o.(*corev1.ConfigMap).Data["k"] != "v" {
		t.Errorf("ignoring doubles: %v, %v", o, err)
	}
}
