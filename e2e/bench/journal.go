//go:build linux

package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/apiserver"
	"optimist/apiserver/store"
	"optimist/apiserver/store/bolt"
	"optimist/e2e/real"
	"optimist/internal/api"
)

// journalCost measures writes with journal and history as shipped against the same over stores that do without: one whose notes are dropped, and
// one that moreover forgets superseded values and the log each second. The three take turns, so that all meet the same disk. Server and
// writers are one process: there is no wire that would hide a difference. There are so many objects that what an update replaces is in no
// store's memory (timeline.Budget) any more: notes take room there, and the edge would lie between the three.
func journalCost(ctx context.Context, p plan) ([]figure, error) {
	g, ctx := errgroup.WithContext(ctx)
	ctx, cancel := context.WithCancel(ctx)
	var sides []*side
	defer func() {
		cancel()
		_ = g.Wait() // ends with ctx
		for _, s := range sides {
			s.db.Close()
			os.RemoveAll(s.dir)
		}
	}()
	for _, without := range []string{"", "notes", "notes and history"} {
		s, err := newSide(without)
		if err != nil {
			return nil, err
		}
		sides = append(sides, s)
		g.Go(func() error { return s.run(ctx) })
	}
	var figures []figure
	for _, do := range []struct {
		name  string
		write func(*side, context.Context) error
	}{{"creates", (*side).create}, {"updates", (*side).update}} {
		rates, cpu := make([][]float64, len(sides)), make([][]float64, len(sides))
		for round := range 4 * p.rounds { // many short ones: what disturbs one of them hardly moves the median
			for i := range sides {
				n := (i + round) % len(sides) // none is always the first
				rate, busy, err := sides[n].together(ctx, p.writes/3, do.write)
				if err != nil {
					return nil, err
				}
				rates[n], cpu[n] = append(rates[n], rate), append(cpu[n], 1/busy)
			}
		}
		for _, n := range []int{2, 1} {
			figures = append(figures, figure{name: fmt.Sprintf("%s with journal and history / without %s", do.name, sides[n].without),
				value: ratio(rates[0], rates[n]), reach: map[int]string{2: "≥ 0.90"}[n]})
			figures = append(figures, figure{name: "the same per second of CPU", value: ratio(cpu[0], cpu[n])})
		}
	}
	return figures, nil
}

// ratio is the median of the rounds' ratios, with the medians of both sides.
func ratio(with, without []float64) string {
	var all []float64
	for i := range with {
		all = append(all, with[i]/without[i])
	}
	middle := func(f []float64) float64 { return slices.Sorted(slices.Values(f))[len(f)/2] }
	return fmt.Sprintf("%.2f (%.0f/s : %.0f/s)", middle(all), middle(with), middle(without))
}

// side is an API server of its own in this process.
type side struct {
	without       string
	dir           string
	db            *bolt.DB
	server        *apiserver.Server
	svc           api.Service
	made, changed atomic.Int64
}

func newSide(without string) (*side, error) {
	dir, err := filepath.Abs(filepath.Join(real.Top, "bin"))
	if err == nil {
		dir, err = os.MkdirTemp(dir, "bench-")
	}
	if err != nil {
		return nil, err
	}
	s := &side{without: without, dir: dir}
	if s.db, err = bolt.Open(filepath.Join(dir, "store.db"), bolt.Options{}); err != nil {
		return nil, err
	}
	var kept store.Store = s.db
	if without != "" {
		kept = noteless{s.db}
	}
	if s.server, err = apiserver.New(apiserver.Config{Store: kept, Log: slog.New(slog.DiscardHandler)}); err != nil {
		return nil, err
	}
	s.svc = s.server.Service(api.User{Name: "bench", Groups: []string{api.GroupMasters}})
	return s, nil
}

// run serves, and forgets what this side is to do without.
func (s *side) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.server.Run(ctx) })
	g.Go(func() error {
		for s.without == "notes and history" && ctx.Err() == nil {
			now, err := s.db.Now(ctx)
			if err := cmp.Or(err, s.db.Compact(ctx, now)); err != nil && ctx.Err() == nil {
				return err
			}
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
		return nil
	})
	return g.Wait()
}

// noteless is a store whose transactions have no notes.
type noteless struct{ store.Store }

func (n noteless) Commit(ctx context.Context, txn store.Txn) (store.Revision, error) {
	txn.Note = nil
	return n.Store.Commit(ctx, txn)
}

// together has several writers share n writes; it returns how many were done in a second, and how much CPU each took, in seconds.
func (s *side) together(ctx context.Context, n int, write func(*side, context.Context) error) (rate, busy float64, err error) {
	var left atomic.Int64
	left.Store(int64(n))
	g, ctx := errgroup.WithContext(ctx)
	began, before := time.Now(), used()
	for range 64 {
		g.Go(func() error {
			for left.Add(-1) >= 0 {
				if err := write(s, ctx); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err = g.Wait()
	return float64(n) / time.Since(began).Seconds(), (used() - before).Seconds() / float64(n), err
}

// used is the CPU time that this process has had.
func used() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // it cannot fail for oneself
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (s *side) create(ctx context.Context) error {
	_, err := api.ConfigMaps.Create(ctx, s.svc, numbered(s.made.Add(1), 'x'))
	return err
}

// update changes another object each time, over and over.
func (s *side) update(ctx context.Context) error {
	n := s.changed.Add(1)
	_, err := api.ConfigMaps.Update(ctx, s.svc, numbered(1+n%s.made.Load(), 'a'+rune(n/s.made.Load())))
	return err
}

func numbered(n int64, letter rune) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("cm-%d", n)},
		Data: map[string]string{"key": strings.Repeat(string(letter), 1000)}}
}
