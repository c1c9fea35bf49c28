// Package memory is the store without a disk, for simulations, stories and `ctl up --sim`, and the shortest one to read.
// It keeps the values of every version, and every batch, from the compacted revision on; the timeline's index knows which version is asked for:
//
//	/pods/default/web  3    /pods/default/web  7    /pods/default/web  9, gone
//	                                  ▲
//	                as of 8: the last one not above 8
//
// It uses channels and a mutex only, so it works inside a testing/synctest bubble. Nothing survives the process: "acknowledged
// means synced" is the one promise it cannot keep.
//
// Real Kubernetes has no such thing; its tests start a real etcd.
package memory

import (
	"context"
	"iter"
	"slices"
	"sort"
	"sync"

	"optimist/apiserver/store"
	"optimist/apiserver/store/timeline"
)

var _ store.Store = (*Store)(nil)

type Store struct {
	timeline *timeline.Timeline

	mu      sync.RWMutex
	entries map[timeline.Version]store.Entry // without the deletions
	log     []store.Batch                    // consecutive, the last one is now
}

func New() *Store {
	return &Store{timeline: timeline.New(0, 0, timeline.NewIndex()), entries: map[timeline.Version]store.Entry{}}
}

func (s *Store) Get(ctx context.Context, key string, at store.Revision) (e store.Entry, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, err = s.timeline.Look(at, func(x *timeline.Index, at store.Revision) { e = s.entries[x.At(key, at)] })
	return e, err
}

func (s *Store) List(ctx context.Context, r store.Range, at store.Revision) (entries []store.Entry, _ store.Revision, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	at, err = s.timeline.Look(at, func(x *timeline.Index, at store.Revision) {
		for _, v := range x.List(r, at) {
			entries = append(entries, s.entries[v])
		}
	})
	return entries, at, err
}

func (s *Store) Commit(ctx context.Context, txn store.Txn) (store.Revision, error) {
	if err := txn.Check(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now, err := s.timeline.Resolve(0)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return 0, err
	}
	get := func(key string) (e store.Entry) {
		_, _ = s.timeline.Look(now, func(x *timeline.Index, at store.Revision) { e = s.entries[x.At(key, at)] })
		return e
	}
	for _, g := range txn.If {
		if have := get(g.Key).Mod; have != g.Mod {
			return 0, &store.Conflict{Key: g.Key, Have: have, Want: g.Mod}
		}
	}
	batch := store.Batch{Revision: now + 1, Note: txn.Note}
	for _, op := range txn.Do {
		if c, ok := op.Over(get(op.Key), batch.Revision); ok {
			if c.Value != nil {
				s.entries[timeline.Version{Key: c.Key, Mod: batch.Revision, Sub: uint32(len(batch.Changes))}] = c.Entry(batch.Revision)
			}
			batch.Changes = append(batch.Changes, c)
		}
	}
	s.log = append(s.log, batch)
	s.timeline.Publish(batch)
	return batch.Revision, nil
}

func (s *Store) Watch(ctx context.Context, prefix string, after store.Revision) (iter.Seq2[store.Batch, error], error) {
	return s.timeline.Watch(ctx, prefix, after, s.older)
}

func (s *Store) older(after, _ store.Revision) ([]store.Batch, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	i := sort.Search(len(s.log), func(i int) bool { return s.log[i].Revision > after })
	if i == len(s.log) || s.log[i].Revision != after+1 {
		return nil, store.ErrCompacted // meanwhile
	}
	return slices.Clone(s.log[i:min(i+256, len(s.log))]), nil
}

func (s *Store) Now(ctx context.Context) (store.Revision, error) { return s.timeline.Resolve(0) }
func (s *Store) Progress(ctx context.Context) error              { return s.timeline.Progress() }

func (s *Store) Compact(ctx context.Context, before store.Revision) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	dropped, err := s.timeline.Compact(before)
	for _, v := range dropped {
		delete(s.entries, v)
	}
	s.log = slices.DeleteFunc(s.log, func(b store.Batch) bool { return err == nil && b.Revision <= before })
	return err
}

func (s *Store) Close() error {
	s.timeline.Close()
	return nil
}
