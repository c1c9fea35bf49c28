package apitest

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"optimist/internal/api"
)

// Object decodes a YAML literal of any kind in the catalogue; unknown fields fail the test.
func Object(t testing.TB, text string) api.Object {
	t.Helper()
	var what metav1.TypeMeta
	if err := yaml.Unmarshal([]byte(text), &what); err != nil {
		t.Fatalf("apitest.Object: %v\n%s", err, text)
	}
	gvk := schema.FromAPIVersionAndKind(what.APIVersion, what.Kind)
	k := api.Builtin.Kind(gvk.GroupKind())
	if k == nil {
		t.Fatalf("apitest.Object: the catalogue has no kind %s", gvk)
	}
	o, err := k.New(gvk.Version)
	if err == nil {
		err = yaml.UnmarshalStrict([]byte(text), o)
	}
	if err != nil {
		t.Fatalf("apitest.Object: %v\n%s", err, text)
	}
	return o
}

// As is Object with the type said: apitest.As[*corev1.Pod](t, `…`).
func As[T api.Object](t testing.TB, text string) T {
	t.Helper()
	o := Object(t, text)
	typed, ok := o.(T)
	if !ok {
		t.Fatalf("apitest.As: it is a %T", o)
	}
	return typed
}
