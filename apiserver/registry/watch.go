package registry

import (
	"context"
	"iter"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/apiserver/store"
	"optimist/internal/api"
)

// The bounds of what a watch tells in one batch.
const (
	maxBatch      = 500
	maxBatchBytes = 1 << 20
)

// Watch implements api.Service. Without Initial, After 0 means "from now on". It needs Run, which fills the caches.
func (r *Registry) Watch(ctx context.Context, t api.Target, o api.WatchOptions) (iter.Seq2[[]api.Event, error], error) {
	k, err := r.stored(t, api.VerbWatch)
	if err != nil {
		return nil, err
	}
	pick, err := k.selection(t.Key.Namespace, o.Selector, o.Fields)
	if err != nil {
		return nil, err
	}
	if t.Key.Name != "" {
		return nil, apierrors.NewBadRequest("to watch one object, select it by metadata.name")
	}
	start, err := r.open(ctx, k, pick, o)
	if err != nil {
		return nil, err
	}
	batches, err := r.replay(ctx, k, start, store.Revision(o.After))
	if err != nil {
		k.cache.close(start.watcher)
		return nil, err
	}
	return func(yield func([]api.Event, error) bool) {
		defer k.cache.close(start.watcher)
		defer start.unhook()
		s := &session{kind: k, version: t.Version, opening: start, table: o.View == api.Table, told: o.After, yield: yield}
		s.run(ctx, o.Initial, batches)
	}, nil
}

// open waits for the cache to be recent enough, and registers a watcher.
func (r *Registry) open(ctx context.Context, k *resource, p picked, o api.WatchOptions) (opening, error) {
	for {
		to := store.Revision(o.After)
		if o.Initial {
			if to = store.Revision(o.NotOlderThan); to != 0 {
				if _, err := r.catchUp(ctx, k, to); err != nil {
					return opening{}, err
				}
			}
			to = 0 // at least what is now
		}
		now, err := r.catchUp(ctx, k, to)
		if err == nil && now == 0 {
			err = k.cache.await(ctx, to)
		}
		if err != nil {
			return opening{}, err
		}
		if start, ok := k.cache.open(p, max(now, to), o.Initial); ok {
			start.unhook = context.AfterFunc(ctx, func() { k.cache.close(start.watcher) }) // also if nobody ever reads it
			return start, nil
		}
	}
}

// replay opens the store's own watch for one who comes back with a revision that the cache no longer has.
func (r *Registry) replay(ctx context.Context, k *resource, start opening, after store.Revision) (iter.Seq2[store.Batch, error], error) {
	if !start.replay {
		return nil, nil
	}
	batches, err := r.store.Watch(ctx, k.prefix, after)
	if err == nil {
		err = r.store.Progress(ctx)
	}
	return batches, storeError(err)
}

// session tells one watcher's story, in its reader's goroutine.
type session struct {
	kind    *resource
	version string
	table   bool
	told    api.Revision // the newest revision told
	opening

	yield func([]api.Event, error) bool
	batch []api.Event // not yielded yet
	bytes int         // of the batch
}

func (s *session) run(ctx context.Context, initial bool, batches iter.Seq2[store.Batch, error]) {
	var ok bool
	if initial {
		ok = s.tellInitial()
	} else if s.replay {
		ok = s.tellReplay(ctx, batches)
	} else {
		ok = s.tell(s.missed, 0)
	}
	for ok {
		changes, reached, more, err := s.take(ctx)
		if !more {
			return
		}
		if ok = s.tell(changes, reached); ok && err != nil {
			ok = s.end(err)
		}
	}
}

func (s *session) tellInitial() bool {
	for _, st := range s.initial {
		o, err := st.read()
		if err != nil {
			return s.end(err)
		}
		if !s.add(api.Event{Type: api.Added, Object: o, Revision: api.RevisionOf(o)}, len(st.value)) {
			return false
		}
	}
	s.initial = nil
	s.told = api.Revision(s.revision)
	return s.add(api.Event{Type: api.Bookmark, Revision: s.told, InitialEnd: true}, 0) && s.flush()
}

// tellReplay reads what the watcher has missed from the store, up to where its queue begins.
func (s *session) tellReplay(ctx context.Context, batches iter.Seq2[store.Batch, error]) bool {
	for b, err := range batches {
		if ctx.Err() != nil {
			return false
		}
		if err != nil {
			return s.end(storeError(err))
		}
		var missed []*change
		for _, c := range b.Changes {
			if b.Revision <= s.revision {
				missed = append(missed, s.kind.change(b.Revision, c))
			}
		}
		if !s.tell(missed, 0) {
			return false
		}
		if b.Revision >= s.revision {
			return true
		}
	}
	return false
}

// tell yields changes as events; if there is nothing else to say about the revision reached, a bookmark says so.
func (s *session) tell(changes []*change, reached store.Revision) bool {
	for _, c := range changes {
		e, seen, err := s.event(c)
		if err != nil {
			return s.end(err)
		}
		if !seen {
			continue
		}
		s.told = e.Revision
		if !s.add(e, c.size()) {
			return false
		}
	}
	if r := api.Revision(reached); r > s.told {
		s.told = r
		s.batch = append(s.batch, api.Event{Type: api.Bookmark, Revision: r})
	}
	return s.flush()
}

// add puts an event into the batch, which is yielded before it grows too large for one message; but a revision stays in one piece.
func (s *session) add(e api.Event, size int) bool {
	if s.table && e.Object != nil {
		e.Cells = s.kind.cells(e.Object, time.Now())
	}
	var err error
	if e.Object, err = s.kind.show(s.version, e.Object); err != nil {
		return s.end(err)
	}
	full := len(s.batch) >= maxBatch || s.bytes >= maxBatchBytes
	if full && s.batch[len(s.batch)-1].Revision != e.Revision && !s.flush() {
		return false
	}
	s.batch, s.bytes = append(s.batch, e), s.bytes+size
	return true
}

func (s *session) flush() bool {
	batch := s.batch
	s.batch, s.bytes = nil, 0
	return len(batch) == 0 || s.yield(batch, nil)
}

// end tells what is left, and why there is no more.
func (s *session) end(why error) bool {
	if s.flush() {
		s.yield(nil, why)
	}
	return false
}
