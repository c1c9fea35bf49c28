package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/apiserver/store"
	"optimist/internal/api"
)

// heartbeat is how often quiet watches are told how far the cluster has got, so that who comes back later need not list.
const heartbeat = time.Minute

// Run fills the caches, makes what every cluster has, and removes what has outlived its TTL, until ctx ends.
func (r *Registry) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, k := range r.options.Catalogue.Kept() {
		g.Go(func() error { return r.resources[k.GroupKind()].cache.run(ctx, r.store, r.options.Log) })
	}
	g.Go(func() error {
		if err := r.Bootstrap(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		return nil
	})
	g.Go(func() error { return every(ctx, r.options.Log, heartbeat, r.store.Progress) })
	g.Go(func() error { return every(ctx, r.options.Log, sweepInterval, r.sweep) })
	return g.Wait()
}

// every calls f at an interval until ctx ends; what fails is tried again the next time.
func every(ctx context.Context, log *slog.Logger, interval time.Duration, f func(context.Context) error) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := f(ctx); err != nil && ctx.Err() == nil {
				log.Warn("periodic work will be tried again", "err", err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// Bootstrap makes what every cluster has: the namespaces and the priority classes of the system. What exists is left alone.
func (r *Registry) Bootstrap(ctx context.Context) error {
	ctx = api.WithUser(ctx, api.User{Name: api.UserAPIServer, Groups: []string{api.GroupMasters}})
	for _, name := range append(immortal, corev1.NamespaceNodeLease) {
		_, err := api.Namespaces.Create(ctx, r, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("make namespace %s: %w", name, err)
		}
	}
	for _, c := range SystemClasses {
		_, err := api.PriorityClasses.Create(ctx, r, c.DeepCopy())
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("make priority class %s: %w", c.Name, err)
		}
	}
	return nil
}

// SystemClasses are made at the first start; nobody may make others of their prefix, or give these another value.
var SystemClasses = []*schedulingv1.PriorityClass{
	{
		ObjectMeta:  metav1.ObjectMeta{Name: "system-cluster-critical"},
		Value:       2_000_000_000,
		Description: "For what the cluster needs to work, but which may move to another node.",
	},
	{
		ObjectMeta:  metav1.ObjectMeta{Name: "system-node-critical"},
		Value:       2_000_001_000,
		Description: "For what a node needs to work.",
	},
}

const (
	sweepInterval = time.Minute
	sweepBatch    = 500 // removals in one transaction
)

// sweep removes what has outlived the TTL of its kind, which counts from the last write.
func (r *Registry) sweep(ctx context.Context) error {
	for _, k := range r.resources {
		if k.rules.TTL != nil {
			if err := r.sweepKind(ctx, k, time.Now()); err != nil {
				return storeError(err)
			}
		}
	}
	return nil
}

func (r *Registry) sweepKind(ctx context.Context, k *resource, now time.Time) error {
	rng := store.Range{Prefix: k.prefix, Limit: sweepBatch}
	for {
		entries, _, err := r.store.List(ctx, rng, 0)
		if err != nil {
			return err
		}
		var txn store.Txn
		for _, e := range entries {
			if k.expired(e, now) {
				txn.If = append(txn.If, store.Guard{Key: e.Key, Mod: e.Mod})
				txn.Do = append(txn.Do, store.Op{Key: e.Key})
			}
		}
		if err := r.commitSweep(ctx, k, txn); err != nil {
			return err
		}
		if len(entries) < sweepBatch {
			return nil
		}
		rng.From = entries[len(entries)-1].Key + "\x00"
	}
}

// commitSweep leaves a batch of which something was written meanwhile for the next time.
func (r *Registry) commitSweep(ctx context.Context, k *resource, txn store.Txn) error {
	if len(txn.Do) == 0 {
		return nil
	}
	ctx = api.WithUser(ctx, api.User{Name: api.UserAPIServer})
	txn.Note = note(ctx, api.Request{Target: api.Target{Kind: k.Kind}, Verb: api.VerbDeleteCollection}, "")
	_, err := r.store.Commit(ctx, txn)
	if _, meanwhile := errors.AsType[*store.Conflict](err); meanwhile {
		return nil
	}
	return err
}

func (k *resource) expired(e store.Entry, now time.Time) bool {
	envelope, err := openEnvelope(e.Value)
	o, damaged := k.open(e)
	if err != nil || damaged != nil {
		return false
	}
	ttl := k.rules.TTL(o)
	return ttl > 0 && now.Sub(envelope.written) > ttl
}
