package registry_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/apiserver/registry"
	"optimist/apiserver/registry/kinds"
	"optimist/apiserver/store/memory"
	"optimist/internal/api"
)

// TestPagesCountWhatRemains pages through one namespace and through all, after objects have come and gone.
func TestPagesCountWhatRemains(t *testing.T) {
	r, err := registry.New(memory.New(), registry.Options{Rules: kinds.All()})
	if err != nil {
		t.Fatal(err)
	}
	ctx := api.WithUser(t.Context(), api.User{Name: "me"})
	go func() { _ = r.Run(ctx) }()
	if err := r.Bootstrap(ctx); err != nil {
		t.Fatal(err)
	}
	for _, namespace := range []string{"default", "kube-public"} {
		for i := range 6 {
			if _, err := api.ConfigMaps.Create(ctx, r, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprint("m", i)}}); err != nil {
				t.Fatal(err)
			}
		}
		if err := api.ConfigMaps.Delete(ctx, r, api.Key{Namespace: namespace, Name: "m3"}, api.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	now, err := r.Now(ctx)
	if err != nil {
		t.Fatal(err)
	}
	w, err := r.Watch(ctx, api.Target{Kind: api.ConfigMapKind}, api.WatchOptions{Initial: true, NotOlderThan: now}) // the cache has seen it all
	if err != nil {
		t.Fatal(err)
	}
	for range w {
		break
	}
	for namespace, want := range map[string]string{"default": "[3 1 0]", "": "[8 6 4 2 0]"} {
		var remaining []int64
		o := api.ListOptions{Limit: 2}
		for more := true; more; more = o.Continue != "" {
			l, err := r.List(ctx, api.Target{Kind: api.ConfigMapKind, Key: api.Key{Namespace: namespace}}, o)
			if err != nil {
				t.Fatal(err)
			}
			remaining, o.Continue = append(remaining, l.Remaining), l.Continue
		}
		if got := fmt.Sprint(remaining); got != want {
			t.Errorf("in %q there remain %s, want %s", namespace, got, want)
		}
	}
}
