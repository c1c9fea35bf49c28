package registry

import (
	"context"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"
)

// heartbeat is how often quiet watches are told how far the cluster has got, so that who comes back later need not list.
const heartbeat = time.Minute

// Run fills the caches, makes what every cluster has, removes what has outlived its TTL, and forgets old history, until ctx ends.
func (r *Registry) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, k := range r.resources {
		if !k.Virtual {
			g.Go(func() error { return k.cache.run(ctx, r.store, r.options.Log) })
		}
	}
	g.Go(func() error {
		if err := r.Bootstrap(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		return nil
	})
	g.Go(func() error { return every(ctx, r.options.Log, heartbeat, r.store.Progress) })
	g.Go(func() error { return every(ctx, r.options.Log, sweepInterval, r.sweep) })
	g.Go(func() error { return r.compact(ctx) })
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
