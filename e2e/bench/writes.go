//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
)

// writer creates ConfigMaps of 1 KB over one connection.
type writer struct {
	svc  api.Service
	last atomic.Int64
}

func (w *writer) create(ctx context.Context) error {
	_, err := api.ConfigMaps.Create(ctx, w.svc, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("cm-%d", w.last.Add(1))},
		Data:       map[string]string{"key": strings.Repeat("x", 1000)},
	})
	return err
}

// writes measures acknowledged creates: over gRPC and mTLS, validated, journalled, synced to the disk. Server and client share the cores.
// One writer's latency is compared with the least that any store must do, one synced append; the two take turns, so that both meet the
// same disk.
func writes(ctx context.Context, p plan) ([]figure, error) {
	s, err := startServer(ctx)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	c, err := s.client()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	w := &writer{svc: c}
	var many []float64
	for range p.rounds {
		rate, err := w.together(ctx, 64, p.writes)
		if err != nil {
			return nil, err
		}
		many = append(many, rate)
	}
	var bare, one []time.Duration
	for range p.rounds {
		b, err := syncs(s.dir, 200)
		if err != nil {
			return nil, err
		}
		o, err := w.alone(ctx, p.writes/10)
		if err != nil {
			return nil, err
		}
		bare, one = append(bare, b...), append(one, o...)
	}
	slices.Sort(many)
	p50, sync := median(one), median(bare)
	return []figure{
		{name: "1 KB creates, 64 writers", value: fmt.Sprintf("%.0f/s [%.0f]", many[len(many)/2], many[len(many)-1]), reach: "≥ 10000/s"},
		{name: "1 KB creates, 1 writer", value: fmt.Sprintf("%.0f/s, p50 %s", float64(len(one))/total(one).Seconds(), milliseconds(p50))},
		{name: "its p50 in synced appends of 4 KiB", value: fmt.Sprintf("%.1f × %s", p50.Seconds()/sync.Seconds(), milliseconds(sync))},
	}, nil
}

// together has several writers share n creates; it returns how many were done in a second.
func (w *writer) together(ctx context.Context, writers, n int) (float64, error) {
	var left atomic.Int64
	left.Store(int64(n))
	g, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for range writers {
		g.Go(func() error {
			for left.Add(-1) >= 0 {
				if err := w.create(ctx); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := g.Wait()
	return float64(n) / time.Since(began).Seconds(), err
}

// alone takes the time of each of n creates in a row.
func (w *writer) alone(ctx context.Context, n int) (all []time.Duration, err error) {
	for range n {
		began := time.Now()
		if err := w.create(ctx); err != nil {
			return nil, err
		}
		all = append(all, time.Since(began))
	}
	return all, nil
}

// syncs takes the time of each of n appends of 4 KiB to a file, each with its fsync.
func syncs(dir string, n int) (all []time.Duration, err error) {
	f, err := os.Create(filepath.Join(dir, "appends"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	page := make([]byte, 4096)
	for range n {
		began := time.Now()
		if _, err := f.Write(page); err != nil {
			return nil, err
		}
		if err := f.Sync(); err != nil {
			return nil, err
		}
		all = append(all, time.Since(began))
	}
	return all, nil
}

func total(all []time.Duration) (sum time.Duration) {
	for _, d := range all {
		sum += d
	}
	return sum
}
