package timeline

import (
	"context"
	"iter"

	"optimist/apiserver/store"
)

// stretch is how many batches a watcher takes at once, before it looks again how far behind it is.
const stretch = 256

// Older reads batches from the store's log: some of those in (after, upTo], consecutive, beginning with after+1.
type Older func(after, upTo store.Revision) ([]store.Batch, error)

// Watch implements Store.Watch; older serves what is recent no longer.
func (t *Timeline) Watch(ctx context.Context, prefix string, after store.Revision, older Older) (iter.Seq2[store.Batch, error], error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if err := t.check(after); err != nil {
		return nil, err
	}
	start := watcher{timeline: t, prefix: prefix, seen: after, pulses: t.pulses, older: older}
	return func(yield func(store.Batch, error) bool) {
		w := start // a sequence may be ranged over again
		if err := w.run(ctx, yield); err != nil {
			yield(store.Batch{}, err)
		}
	}, nil
}

type watcher struct {
	timeline *Timeline
	prefix   string
	older    Older
	seen     store.Revision // everything up to here has been yielded
	pulses   uint64         // the last Progress that was answered
	live     bool           // has once caught up with now
}

// run returns nil when the reader wants no more.
func (w *watcher) run(ctx context.Context, yield func(store.Batch, error) bool) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		s, err := w.look()
		if err == nil && s.past {
			s.batches, err = w.older(w.seen, s.now)
		}
		if err != nil {
			return err
		}
		if !w.tell(s.batches, yield) {
			return nil
		}
		if w.seen < s.now {
			continue
		}
		w.live = true
		if w.pulses != s.pulses {
			w.pulses = s.pulses
			if !yield(store.Batch{Revision: w.seen}, nil) {
				return nil
			}
			continue
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
		}
	}
}

// sight is what a watcher sees of the timeline in one look.
type sight struct {
	batches []store.Batch
	past    bool // what comes next is in the log only
	now     store.Revision
	pulses  uint64
	changed <-chan struct{}
}

func (w *watcher) look() (sight, error) {
	t := w.timeline
	t.mu.RLock()
	defer t.mu.RUnlock()
	if err := t.check(w.seen); err != nil {
		return sight{}, err
	}
	s := sight{now: t.now, pulses: t.pulses, changed: t.changed}
	first := t.now - store.Revision(len(t.recent)) + 1
	switch {
	case w.seen+1 >= first:
		s.batches = t.recent[w.seen+1-first:]
		s.batches = s.batches[:min(stretch, len(s.batches))]
	case w.live:
		return sight{}, store.ErrSlow
	default:
		s.past = true
	}
	return s, nil
}

// tell yields the batches that touch the prefix.
func (w *watcher) tell(batches []store.Batch, yield func(store.Batch, error) bool) bool {
	for _, b := range batches {
		w.seen = b.Revision
		if n := b.Under(w.prefix); len(n.Changes) > 0 && !yield(n, nil) {
			return false
		}
	}
	return true
}
