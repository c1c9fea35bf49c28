package registry

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"optimist/internal/api"
)

func TestInspect(t *testing.T) {
	for _, row := range []struct {
		name, json   string
		into         api.Object
		loose, wrong []string
	}{
		{"a good document", `{"spec":{"containers":[{"name":"c","resources":{"limits":{"cpu":"1","memory":5}},"ports":null}]}}`, &corev1.Pod{}, nil, nil},
		{"a slip of the pen", `{"spec":{"containers":[{"imagePullpolicy":"Always"}]}}`, &corev1.Pod{},
			[]string{`unknown field "spec.containers[0].imagePullpolicy" (did you mean "imagePullPolicy"?)`}, nil},
		{"a field at the wrong depth", `{"replicas":1}`, &appsv1.Deployment{},
			[]string{`unknown field "replicas" (a field of that name belongs at spec.replicas or status.replicas)`}, nil},
		{"a field of the pod in the deployment", `{"spec":{"hostNetwork":true}}`, &appsv1.Deployment{},
			[]string{`unknown field "spec.hostNetwork" (a field of that name belongs at spec.template.spec.hostNetwork)`}, nil},
		{"a container's field in the pod", `{"spec":{"livenessProbe":{}}}`, &corev1.Pod{},
			[]string{`unknown field "spec.livenessProbe" (a field of that name belongs at spec.containers[].livenessProbe or spec.ephemeralContainers[].livenessProbe or spec.initContainers[].livenessProbe)`}, nil},
		{"a field that is nowhere", `{"spec":{"zzzzzzzzzzzz":{"a":[1,{"b":2}]}}}`, &corev1.Pod{}, []string{`unknown field "spec.zzzzzzzzzzzz"`}, nil},
		{"doubles", `{"metadata":{"name":"a","name":"b","labels":{"x":"1","x":"2"}}}`, &corev1.Pod{},
			[]string{`duplicate field "metadata.name"`, `duplicate field "metadata.labels.x"`}, nil},
		{"wrong types", `{"metadata":{"labels":{"x":1}},"spec":{"containers":{"name":"c"},"hostNetwork":"yes","nodeSelector":[[1],{}],"priority":1.5}}`, &corev1.Pod{}, nil,
			[]string{"metadata.labels.x: must be a string, not number (1)", "spec.containers: must be a list, not an object",
				`spec.hostNetwork: must be a boolean, not string ("yes")`, "spec.nodeSelector: must be an object, not a list", "spec.priority: must be an integer, not number 1.5 (1.5)"}},
		{"a bad quantity", `{"spec":{"containers":[{"resources":{"limits":{"cpu":"lots"}}}]}}`, &corev1.Pod{}, nil,
			[]string{"spec.containers[0].resources.limits.cpu: quantities must match"}},
		{"names are case-sensitive", `{"Spec":{}}`, &corev1.Pod{}, []string{`unknown field "Spec" (did you mean "spec"?)`}, nil},
		{"a list", `[]`, &corev1.Pod{}, nil, []string{"the document: must be an object, not a list"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := inspect([]byte(row.json), row.into)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.loose, row.loose) {
				t.Errorf("unknown and duplicate fields:\n%s\nwant:\n%s", strings.Join(got.loose, "\n"), strings.Join(row.loose, "\n"))
			}
			if !slices.EqualFunc(got.wrong, row.wrong, strings.HasPrefix) {
				t.Errorf("wrong types:\n%s\nwant:\n%s", strings.Join(got.wrong, "\n"), strings.Join(row.wrong, "\n"))
			}
		})
	}
}

// inspect takes any bytes, and finds nothing wrong only with what can be decoded.
func FuzzInspect(f *testing.F) {
	for _, seed := range []string{`{}`, `{"spec":{"containers":[{"name":"c"}]}}`, `[[{"a":1}]]`, `{"metadata":{"creationTimestamp":"x"}}`, `{"a"`, `null`, `{} {}`} {
		f.Add([]byte(seed))
	}
	w := &write{resource: newResource(api.PodKind, Rules{Kind: api.PodKind})}
	f.Fuzz(func(t *testing.T, data []byte) {
		faults, err := inspect(data, &corev1.Pod{})
		if err != nil || len(faults.loose)+len(faults.wrong) > 0 {
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
