package registry

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/apiserver/store/memory"
	"optimist/internal/api"
)

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
