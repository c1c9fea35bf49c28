package serviceaccount

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
)

func TestPlan(t *testing.T) {
	now := metav1.Now()
	for _, c := range []struct {
		name  string
		ns    corev1.Namespace
		there bool
		want  int
	}{
		{"a new namespace gets its account", corev1.Namespace{}, false, 1},
		{"one is enough", corev1.Namespace{}, true, 0},
		{"a deleted namespace gets nothing more", corev1.Namespace{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &now}}, false, 0},
		{"nor does one that ends", corev1.Namespace{Status: corev1.NamespaceStatus{Phase: corev1.NamespaceTerminating}}, false, 0},
	} {
		c.ns.Name = "shop"
		steps := plan(&c.ns, c.there)
		if len(steps) != c.want || c.want > 0 && (steps[0].Key != api.Key{Namespace: "shop", Name: "default"}) {
			t.Errorf("%s: %v", c.name, steps)
		}
	}
}
