package strict

import (
	"fmt"
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
			got, err := Inspect([]byte(row.json), row.into)
			if err != nil {
				t.Fatal(err)
			}
			if loose := texts(got.Loose); !slices.Equal(loose, row.loose) {
				t.Errorf("unknown and duplicate fields:\n%s\nwant:\n%s", strings.Join(loose, "\n"), strings.Join(row.loose, "\n"))
			}
			if wrong := texts(got.Wrong); !slices.EqualFunc(wrong, row.wrong, strings.HasPrefix) {
				t.Errorf("wrong types:\n%s\nwant:\n%s", strings.Join(wrong, "\n"), strings.Join(row.wrong, "\n"))
			}
		})
	}
}

func texts(faults []Fault) (all []string) {
	for _, f := range faults {
		all = append(all, f.Text)
	}
	return all
}

func TestNearest(t *testing.T) {
	words := []string{"replicas", "selector", "template", "paused", "a"}
	for _, row := range []struct{ word, want string }{
		{"replcas", "replicas"}, {"relpicas", "replicas"}, {"Selector", "selector"}, {"templates", "template"}, {"containers", ""}, {"", "a"},
	} {
		if got := Nearest(row.word, words); got != row.want {
			t.Errorf("Nearest(%q) = %q, want %q", row.word, got, row.want)
		}
	}
}

// A body of 3 MB has room for hundreds of thousands of faults, or for one with a very long name.
func TestFaultsHaveABound(t *testing.T) {
	var b strings.Builder
	for n := range 100_000 {
		fmt.Fprintf(&b, `,"u%d":1`, n)
	}
	many := strings.ReplaceAll(b.String()[1:], ":1", `:{"a":1}`)
	for name, row := range map[string]struct {
		json         string
		loose, wrong int
	}{
		"unknown":    {"{" + many + "}", most, 0},
		"mistyped":   {`{"metadata":{"labels":{` + many + `}}}`, 0, most},
		"twice":      {`{"kind":""` + strings.Repeat(`,"kind":""`, 100_000) + "}", most, 0},
		"a long one": {`{"` + strings.Repeat("x", 3<<20) + `":1}`, 1, 0},
	} {
		faults, err := Inspect([]byte(row.json), &corev1.Pod{})
		if err != nil || len(faults.Loose) != row.loose || len(faults.Wrong) != row.wrong {
			t.Errorf("%s: %d loose, %d wrong, %v", name, len(faults.Loose), len(faults.Wrong), err)
		}
	}
}
