package registry

import (
	"context"
	"iter"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/apiserver/store"
	"optimist/internal/api"
)

// chunk is how many existing objects a watch tells in one batch.
const chunk = 500

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
	s := &session{kind: k, opening: start, table: o.View == api.Table, told: o.After}
	return func(yield func([]api.Event, error) bool) {
		defer k.cache.close(start.watcher)
		defer start.unhook()
		s.run(ctx, o.Initial, batches, yield)
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
	kind  *resource
	table bool
	told  api.Revision // the newest revision told
	opening
}

type yielder = func([]api.Event, error) bool

func (s *session) run(ctx context.Context, initial bool, batches iter.Seq2[store.Batch, error], yield yielder) {
	ok := true
	if initial {
		ok = s.tellInitial(yield)
	} else if s.replay {
		ok = s.tellReplay(ctx, batches, yield)
	} else {
		ok = s.tell(s.missed, 0, yield)
	}
	for ok {
		changes, reached, more, err := s.take(ctx)
		if !more {
			return
		}
		if ok = s.tell(changes, reached, yield); ok && err != nil {
			yield(nil, err)
			return
		}
	}
}

func (s *session) tellInitial(yield yielder) bool {
	var events []api.Event
	for _, st := range s.initial {
		o, err := st.read()
		if err != nil {
			yield(nil, err)
			return false
		}
		events = append(events, s.dressed(api.Event{Type: api.Added, Object: o, Revision: api.RevisionOf(o)}))
		if len(events) == chunk {
			if !yield(events, nil) {
				return false
			}
			events = nil
		}
	}
	s.initial = nil
	s.told = api.Revision(s.revision)
	return yield(append(events, api.Event{Type: api.Bookmark, Revision: s.told, InitialEnd: true}), nil)
}

// tellReplay reads what the watcher has missed from the store, up to where its queue begins.
func (s *session) tellReplay(ctx context.Context, batches iter.Seq2[store.Batch, error], yield yielder) bool {
	for b, err := range batches {
		if ctx.Err() != nil {
			return false
		}
		if err != nil {
			yield(nil, storeError(err))
			return false
		}
		var missed []*change
		for _, c := range b.Changes {
			if b.Revision <= s.revision {
				missed = append(missed, s.kind.change(b.Revision, c))
			}
		}
		if !s.tell(missed, 0, yield) {
			return false
		}
		if b.Revision >= s.revision {
			return true
		}
	}
	return false
}

// tell yields changes as one batch of events; if there is nothing else to say about the revision reached, a bookmark says so.
func (s *session) tell(changes []*change, reached store.Revision, yield yielder) bool {
	var events []api.Event
	for _, c := range changes {
		e, ok, err := s.event(c)
		if err != nil {
			yield(nil, err)
			return false
		}
		if ok {
			events = append(events, s.dressed(e))
			s.told = e.Revision
		}
	}
	if r := api.Revision(reached); r > s.told {
		s.told = r
		events = append(events, api.Event{Type: api.Bookmark, Revision: r})
	}
	return len(events) == 0 || yield(events, nil)
}

// dressed adds the cells of a table.
func (s *session) dressed(e api.Event) api.Event {
	if s.table {
		e.Cells = s.kind.cells(e.Object, time.Now())
	}
	return e
}
