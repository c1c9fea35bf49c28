package informer

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"optimist/internal/api"
	"optimist/internal/wake"
)

const (
	firstPause = 100 * time.Millisecond
	maxPause   = 15 * time.Second
)

// Run watches all kinds of the set, reconnecting for ever, until ctx ends.
func (s *Set) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, c := range s.kinds {
		g.Go(func() error { return s.follow(ctx, c) })
	}
	return g.Wait()
}

// follow watches one kind, each time again after a pause, which doubles until something is told: a server that tells a whole list and ends
// the watch is no reason to list without end.
func (s *Set) follow(ctx context.Context, c *cache) error {
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		told, err := s.once(ctx, c)
		if ctx.Err() != nil {
			return nil
		}
		c.lost(err)
		if told {
			pause = firstPause
		}
		s.log().Warn("watch ended, will begin again", "kind", c.kind.String(), "pause", pause, "err", err)
		if wake.After(ctx, pause, nil) != nil {
			return nil
		}
	}
}

// once runs one watch to its end and reports whether it told anything.
func (s *Set) once(ctx context.Context, c *cache) (told bool, err error) {
	t := api.Target{Kind: c.kind, Key: api.Key{Namespace: c.namespace}}
	batches, err := s.svc.Watch(ctx, t, c.open())
	if err != nil {
		return false, err
	}
	for events, err := range batches {
		if err != nil {
			return told, err
		}
		s.Deliver(c.kind, events)
		told = true
	}
	return told, errors.New("the server ended the watch")
}

func (s *Set) log() *slog.Logger {
	if s.Log == nil {
		return slog.Default()
	}
	return s.Log
}
