package ctl

import (
	"encoding/json"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"optimist/internal/api"
)

func asJSON(t *testing.T, text string) []byte {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestThreeWay(t *testing.T) {
	const head = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: "
	for _, c := range []struct{ name, original, modified, current, want string }{
		{"what is the same needs no patch", "{replicas: 2}}", "{replicas: 2}}", "{replicas: 2}}", `{}`},
		{"what the author changed is set", "{replicas: 2}}", "{replicas: 3}}", "{replicas: 2}}", `{"spec":{"replicas":3}}`},
		{"what drifted is set back", "{replicas: 2}}", "{replicas: 2}}", "{replicas: 7}}", `{"spec":{"replicas":2}}`},
		{"what the author took out is removed", "{replicas: 2, paused: true}}", "{replicas: 2}}", "{replicas: 2, paused: true}}", `{"spec":{"paused":null}}`},
		{"what others set stays", "{}}", "{}}", "{replicas: 5}}", `{}`},
		{"containers are matched by name, so one that was injected stays",
			"{template: {spec: {containers: [{name: a, image: 'x:1'}]}}}}",
			"{template: {spec: {containers: [{name: a, image: 'x:2'}]}}}}",
			"{template: {spec: {containers: [{name: a, image: 'x:1'}, {name: injected, image: z}]}}}}",
			`{"spec":{"template":{"spec":{"$setElementOrder/containers":[{"name":"a"}],"containers":[{"image":"x:2","name":"a"}]}}}}`},
		{"without a last apply nothing is removed", "", "{replicas: 2}}", "{replicas: 2, paused: true}}", `{}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var original []byte
			if c.original != "" {
				original = asJSON(t, head+c.original)
			}
			current := &appsv1.Deployment{}
			if err := json.Unmarshal(asJSON(t, head+c.current), current); err != nil {
				t.Fatal(err)
			}
			got, err := threeWay(api.DeploymentKind, "v1", original, asJSON(t, head+c.modified), current)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// The annotation is kubectl's, byte for byte: else an object that both apply would be "configured" for ever.
func TestStampIsKubectls(t *testing.T) {
	o := &unstructured.Unstructured{}
	if err := o.UnmarshalJSON(asJSON(t, "{kind: ConfigMap, apiVersion: v1, data: {b: '<', a: x}, metadata: {name: a, namespace: default}}")); err != nil {
		t.Fatal(err)
	}
	data, err := stamp(o, false)
	if err != nil {
		t.Fatal(err)
	}
	stamped := &unstructured.Unstructured{}
	if err := stamped.UnmarshalJSON(data); err != nil {
		t.Fatal(err)
	}
	want := `{"apiVersion":"v1","data":{"a":"x","b":"\u003c"},"kind":"ConfigMap","metadata":{"annotations":{},"name":"a","namespace":"default"}}` + "\n"
	if got := stamped.GetAnnotations()["kubectl.kubernetes.io/last-applied-configuration"]; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if len(o.GetAnnotations()) != 0 {
		t.Error("the document itself was changed")
	}
}
