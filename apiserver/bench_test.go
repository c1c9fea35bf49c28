package apiserver

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/apiserver/store/bolt"
	"optimist/internal/api"
	"optimist/internal/pki"
)

// BenchmarkCreate measures writes of 1 KB objects by 1 and 64 writers: client, mTLS, server, registry and a synced bolt file, all on this
// machine's cores.
func BenchmarkCreate(b *testing.B) {
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			svc := overBolt(b)
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for range writers {
				wg.Go(func() {
					for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
						if _, err := api.ConfigMaps.Create(b.Context(), svc, kilobyte(n)); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
		})
	}
}

func kilobyte(n int64) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("cm-%d", n)},
		Data: map[string]string{"key": strings.Repeat("x", 1000)}}
}

func overBolt(b *testing.B) api.Service {
	b.Helper()
	_, dir := bolted(b)
	c := connect(b, filepath.Join(dir, "admin.kubeconfig"))
	if _, err := c.Now(b.Context()); err != nil {
		b.Fatal(err)
	}
	return c
}

// bolted is where an API server listens, and the folder with its credentials.
func bolted(b *testing.B) (addr, dir string) {
	b.Helper()
	dir = b.TempDir()
	db, err := bolt.Open(filepath.Join(dir, "store.db"), bolt.Options{})
	if err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	if err := (pki.Bootstrap{Cluster: "bench", Server: l.Addr().String(), Hosts: []string{"127.0.0.1"}}).Run(dir); err != nil {
		b.Fatal(err)
	}
	conf, err := pki.ServerTLS(dir)
	if err != nil {
		b.Fatal(err)
	}
	s, err := New(Config{Store: db, Listeners: []net.Listener{l}, TLS: conf, Ranges: ranges, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	b.Cleanup(func() { cancel(); <-done; db.Close() })
	if _, err := connect(b, filepath.Join(dir, "admin.kubeconfig")).Now(b.Context()); err != nil {
		b.Fatal(err)
	}
	return l.Addr().String(), dir
}
