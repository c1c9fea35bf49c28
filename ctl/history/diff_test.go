package history

import (
	"slices"
	"strings"
	"testing"

	"optimist/internal/api"
	"optimist/internal/api/apitest"
)

const (
	pod = `{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: default, resourceVersion: "7", generation: 1, labels: {app: web, a.b/c: "1"}},
		spec: {containers: [{name: web, image: "web:1", ports: [{containerPort: 80}, {containerPort: 81}]}, {name: side, image: s}], nodeName: n1},
		status: {conditions: [{type: Ready, status: "False", message: "x \"y\""}], phase: Pending}}`
	secret = `{apiVersion: v1, kind: Secret, metadata: {name: key, namespace: default}, data: {a: aGlkZGVu, b: aGlkZGVu}, type: Opaque}`
)

func TestDiff(t *testing.T) {
	for _, row := range []struct {
		name, object string
		replace      []string
		want         []string
	}{
		{"nothing", pod, nil, nil},
		{"what every write changes", pod, []string{`"7"`, `"8"`, "generation: 1", "generation: 2"}, nil},
		{"a value", pod, []string{"Pending", "Running"}, []string{"status.phase: Pending → Running"}},
		{"in a list whose members have names", pod, []string{"web:1", "web:2"}, []string{"spec.containers[web].image: web:1 → web:2"}},
		{"in a list whose members have numbers", pod, []string{"containerPort: 81", "containerPort: 82"},
			[]string{"- spec.containers[web].ports[81]: {\"containerPort\":81}", "+ spec.containers[web].ports[82]: {\"containerPort\":82}"}},
		{"the order of the members does not matter", pod, []string{"{containerPort: 80}, {containerPort: 81}", "{containerPort: 81}, {containerPort: 80}"}, nil},
		{"a member more", pod, []string{"{name: side, image: s}", "{name: side, image: s}, {name: new}"}, []string{`+ spec.containers[new]: {"name":"new","resources":{}}`}},
		{"a field less", pod, []string{", nodeName: n1", ""}, []string{"- spec.nodeName: n1"}},
		{"names with dots stand in brackets", pod, []string{`a.b/c: "1"`, `a.b/c: "2"`}, []string{"metadata.labels[a.b/c]: 1 → 2"}},
		{"what would be hard to read is quoted", pod, []string{`"x \"y\""`, `""`}, []string{`- status.conditions[Ready].message: "x \"y\""`}},
		{"a long value is cut", pod, []string{"n1", strings.Repeat("n", 200)}, []string{"spec.nodeName: n1 → " + strings.Repeat("n", 120) + "…"}},
		{"secrets are not shown", secret, []string{"a: aGlkZGVu", "a: b3RoZXI=", ", b: aGlkZGVu", ""}, []string{"data.a: (hidden) → (hidden)", "- data.b: (hidden)"}},
		{"nor those that are all new", secret, []string{"data: {a: aGlkZGVu, b: aGlkZGVu}", "immutable: true"}, []string{"- data: (hidden)", "+ immutable: true"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			before := apitest.Object(t, row.object)
			after := apitest.Object(t, strings.NewReplacer(row.replace...).Replace(row.object))
			changes, err := Diff(api.Builtin.Of(before), before, after)
			var got []string
			for _, c := range changes {
				got = append(got, c.String())
			}
			if err != nil || !slices.Equal(got, row.want) {
				t.Errorf("got %q, %v; want %q", got, err, row.want)
			}
		})
	}
}
