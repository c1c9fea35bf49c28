//go:build linux

package main

import (
	"context"
	"time"

	"optimist/internal/api"
)

// watch measures how long after the call of a write its event stands decoded in a watcher on another connection. The write itself, with
// its sync, is part of it: nobody sees what is not on the disk.
func watch(ctx context.Context, p plan) ([]figure, error) {
	s, err := startServer(ctx)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	arrived, err := arrivals(ctx, s)
	if err != nil {
		return nil, err
	}
	c, err := s.client()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	w := &writer{svc: c}
	var all []time.Duration
	for range p.writes / 5 {
		began := time.Now()
		if err := w.create(ctx); err != nil {
			return nil, err
		}
		select {
		case when := <-arrived:
			all = append(all, when.Sub(began))
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return []figure{
		{name: "watch: write to decoded event, p50", value: milliseconds(at(all, 0.5))},
		{name: "watch: write to decoded event, p99", value: milliseconds(at(all, 0.99))},
	}, nil
}

// arrivals watches ConfigMaps on a connection of its own, which ends with ctx, and says when each event was there.
func arrivals(ctx context.Context, s *server) (<-chan time.Time, error) {
	c, err := s.client()
	if err != nil {
		return nil, err
	}
	now, err := c.Now(ctx)
	if err != nil {
		return nil, err
	}
	seq, err := c.Watch(ctx, api.Target{Kind: api.ConfigMapKind, Key: api.Key{Namespace: "default"}}, api.WatchOptions{After: now})
	if err != nil {
		return nil, err
	}
	arrived := make(chan time.Time, 1)
	go func() {
		defer c.Close()
		for events, err := range seq {
			if err != nil {
				return
			}
			for _, e := range events {
				if e.Object != nil {
					arrived <- time.Now()
				}
			}
		}
	}()
	return arrived, nil
}
