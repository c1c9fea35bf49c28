package journal

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"optimist/apiserver/store"
	"optimist/internal/wake"
)

// Keep bounds what is remembered: superseded states, and the log with its notes. Whichever bound is reached first counts.
type Keep struct {
	Age  time.Duration // 0 = one hour
	Size int64         // in bytes; 0 = 256 MiB
}

func (k Keep) orDefault() Keep {
	if k.Age == 0 {
		k.Age = time.Hour
	}
	if k.Size == 0 {
		k.Size = 256 << 20
	}
	return k
}

// KeepAtLeast is the age below which nothing is forgotten for its size: a list that is read page by page, or a watch that begins anew, gets by
// with less. So a burst of writes may exceed the size by what is written in that time. Only a shorter Age forgets sooner.
const KeepAtLeast = time.Minute

// Run forgets what is too old or too much, until ctx ends.
func (j *Journal) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return j.measure(ctx) })
	g.Go(func() error { return j.every(ctx, max(j.keep.Age/10, time.Second), j.forgetOld) })
	g.Go(func() error { return j.every(ctx, time.Second, j.forgetSurplus) })
	return g.Wait()
}

func (j *Journal) forgetOld(ctx context.Context) error {
	floor, now, err := j.span(ctx)
	if err != nil {
		return err
	}
	younger, err := j.search(ctx, floor, now, time.Now().Add(-j.keep.Age))
	if err != nil {
		return err
	}
	return j.forget(ctx, younger-1)
}

func (j *Journal) forgetSurplus(ctx context.Context) error {
	return j.forget(ctx, j.meter.surplus(j.keep.Size, time.Now().Add(-KeepAtLeast)))
}

func (j *Journal) forget(ctx context.Context, before store.Revision) error {
	if before == 0 {
		return nil
	}
	if err := j.store.Compact(ctx, before); err != nil {
		return err
	}
	j.meter.drop(before)
	return nil
}

func (j *Journal) every(ctx context.Context, interval time.Duration, do func(context.Context) error) error {
	for wake.After(ctx, interval, nil) == nil {
		if err := do(ctx); err != nil && ctx.Err() == nil {
			j.log.Warn("the journal cannot be shortened, will retry", "err", err)
		}
	}
	return nil
}

// measure tells the meter of every write in the log and of those to come, until ctx ends.
func (j *Journal) measure(ctx context.Context) error {
	for {
		floor, _, err := j.span(ctx)
		if err == nil {
			err = j.measureFrom(ctx, max(floor, j.meter.seen.revision))
		}
		switch {
		case ctx.Err() != nil, errors.Is(err, store.ErrClosed):
			return nil
		case errors.Is(err, store.ErrSlow), errors.Is(err, store.ErrCompacted):
			continue // we have fallen behind: the log knows how it goes on
		}
		j.log.Warn("the journal cannot be measured, will retry", "err", err)
		_ = wake.After(ctx, time.Second, nil)
	}
}

func (j *Journal) measureFrom(ctx context.Context, from store.Revision) error {
	batches, err := j.store.Watch(ctx, "", from)
	if err != nil {
		return err
	}
	for b, err := range batches {
		if err != nil {
			return err
		}
		j.meter.add(b)
	}
	return ctx.Err()
}
