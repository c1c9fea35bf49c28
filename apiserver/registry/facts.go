package registry

import (
	"context"
	"sync"

	"optimist/apiserver/store"
)

// facts remembers small things read from single keys of the store, each with the revision that it was read at. A writer that relies
// on a fact guards its transaction with that revision: a stale fact then costs a conflict and a second look, never a wrong decision.
type facts[T any] struct {
	read func(store.Entry) (T, error) // the zero Entry when there is no such key

	mu    sync.RWMutex
	known map[string]fact[T]
}

type fact[T any] struct {
	value T
	guard store.Guard
}

func newFacts[T any](read func(store.Entry) (T, error)) *facts[T] {
	return &facts[T]{read: read, known: map[string]fact[T]{}}
}

// recall returns what is remembered, or else looks; a fact that `holds` finds wanting is looked up again, lest memory alone refuse.
func (f *facts[T]) recall(ctx context.Context, s store.Store, key string, holds func(T) bool) (fact[T], error) {
	f.mu.RLock()
	known, ok := f.known[key]
	f.mu.RUnlock()
	if ok && holds(known.value) {
		return known, nil
	}
	e, err := s.Get(ctx, key, 0)
	if err != nil {
		return known, storeError(err)
	}
	known.guard = store.Guard{Key: key, Mod: e.Mod}
	if known.value, err = f.read(e); err != nil {
		return known, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if delete(f.known, key); e.Mod != 0 { // what does not exist is not remembered: names are unbounded
		f.known[key] = known
	}
	return known, nil
}

// forget drops a fact that a conflict has disproved.
func (f *facts[T]) forget(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.known, key)
}
