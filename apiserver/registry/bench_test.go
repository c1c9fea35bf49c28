package registry

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"

	"optimist/apiserver/store"
	"optimist/apiserver/store/memory"
	"optimist/internal/api"
)

// What a strategic merge patch of a pod's status costs: agents write little else.
func BenchmarkPatchStatus(b *testing.B) {
	r, err := New(memory.New(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	if err := r.Bootstrap(b.Context()); err != nil {
		b.Fatal(err)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p", Labels: map[string]string{"app": "web"}},
		Spec: corev1.PodSpec{NodeName: "n1", Containers: []corev1.Container{{Name: "c", Image: "i", Env: []corev1.EnvVar{{Name: "A", Value: "b"}}}}}}
	if _, err := api.Pods.Create(b.Context(), r, pod); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		data := fmt.Sprintf(`{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True","message":"%d"}]}}`, n)
		if _, err := api.Pods.Patch(b.Context(), r, api.KeyOf(pod), "status", types.StrategicMergePatchType, []byte(data)); err != nil {
			b.Fatal(err)
		}
	}
}

// What one pod's binding costs when a thousand agents watch, each for its own node's pods.
func BenchmarkDispatch(b *testing.B) {
	rules := Rules{Kind: api.PodKind, Fields: map[string]func(api.Object) string{"spec.nodeName": func(o api.Object) string { return o.(*corev1.Pod).Spec.NodeName }}}
	k := newResource(api.PodKind, rules, nil)
	k.cache.fill(nil, 0)
	for n := range 1000 {
		p, err := k.selection("", nil, fields.OneTermEqualSelector("spec.nodeName", fmt.Sprintf("n%d", n)))
		if err != nil {
			b.Fatal(err)
		}
		k.cache.open(p, 0, false)
	}
	payload, err := k.encode(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p"}, Spec: corev1.PodSpec{NodeName: "n7"}})
	if err != nil {
		b.Fatal(err)
	}
	value := k.seal("/a", payload)
	for n := store.Revision(1); b.Loop(); n++ {
		k.cache.apply(store.Batch{Revision: n, Changes: []store.Change{{Key: "/core/pods/default/p", Value: value}}})
	}
}

// What a create costs beyond the store: the target is 25 µs of CPU.
func BenchmarkCreate(b *testing.B) {
	for _, running := range []bool{false, true} {
		b.Run(fmt.Sprintf("caches=%v", running), func(b *testing.B) {
			r, err := New(memory.New(), Options{})
			if err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(b.Context())
			done := make(chan error, 1)
			defer func() { cancel(); <-done }()
			if err := r.Bootstrap(ctx); err != nil {
				b.Fatal(err)
			}
			if running {
				go func() { done <- r.Run(ctx) }()
			} else {
				done <- nil
			}
			data := map[string]string{"text": strings.Repeat("x", 1000)}
			var n atomic.Int64
			b.ReportAllocs()
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("c%09d", n.Add(1))}, Data: data}
					if _, err := api.ConfigMaps.Create(ctx, r, cm); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
