// Package memory is the store without a disk, for simulations, stories and `ctl up --sim`, and the shortest one to read.
// It keeps every version of every key, and every batch, from the compacted revision on:
//
//	versions["/pods/default/web"] = [{Mod 3, "…"} {Mod 7, "…"} {Mod 9, nil}]     written at 3 and 7, deleted at 9
//	                                                ▲
//	                              as of 8: the last one not above 8
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
	"strings"
	"sync"

	"optimist/apiserver/store"
	"optimist/apiserver/store/timeline"
)

var _ store.Store = (*Store)(nil)

type Store struct {
	timeline *timeline.Timeline

	mu       sync.RWMutex
	keys     []string                 // those in versions, sorted
	versions map[string][]store.Entry // oldest first; a nil Value is a deletion
	log      []store.Batch            // consecutive, the last one is now
}

func New() *Store {
	return &Store{timeline: timeline.New(0, 0), versions: map[string][]store.Entry{}}
}

func (s *Store) Get(ctx context.Context, key string, at store.Revision) (store.Entry, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	at, err := s.timeline.Resolve(at)
	if err != nil {
		return store.Entry{}, err
	}
	return s.asOf(key, at), nil
}

// asOf is zero for a key that did not exist at the revision.
func (s *Store) asOf(key string, at store.Revision) store.Entry {
	versions := s.versions[key]
	if i := visible(versions, at); i >= 0 && versions[i].Value != nil {
		return versions[i]
	}
	return store.Entry{}
}

// visible is the index of the version that a revision sees, or -1.
func visible(versions []store.Entry, at store.Revision) int {
	return sort.Search(len(versions), func(i int) bool { return versions[i].Mod > at }) - 1
}

func (s *Store) List(ctx context.Context, r store.Range, at store.Revision) ([]store.Entry, store.Revision, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	at, err := s.timeline.Resolve(at)
	if err != nil {
		return nil, 0, err
	}
	var entries []store.Entry
	from, _ := slices.BinarySearch(s.keys, max(r.Prefix, r.From))
	for _, key := range s.keys[from:] {
		if !strings.HasPrefix(key, r.Prefix) || r.Limit > 0 && len(entries) == r.Limit {
			break
		}
		if e := s.asOf(key, at); e.Mod != 0 {
			entries = append(entries, e)
		}
	}
	return entries, at, nil
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
	for _, g := range txn.If {
		if have := s.asOf(g.Key, now).Mod; have != g.Mod {
			return 0, &store.Conflict{Key: g.Key, Have: have, Want: g.Mod}
		}
	}
	batch := store.Batch{Revision: now + 1, Note: txn.Note}
	for _, op := range txn.Do {
		if c, ok := op.Over(s.asOf(op.Key, now), batch.Revision); ok {
			batch.Changes = append(batch.Changes, c)
			s.add(store.Entry{Key: c.Key, Value: c.Value, Create: c.Create, Mod: batch.Revision})
		}
	}
	s.log = append(s.log, batch)
	s.timeline.Publish(batch)
	return batch.Revision, nil
}

func (s *Store) add(e store.Entry) {
	if s.versions[e.Key] == nil {
		i, _ := slices.BinarySearch(s.keys, e.Key)
		s.keys = slices.Insert(s.keys, i, e.Key)
	}
	s.versions[e.Key] = append(s.versions[e.Key], e)
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
	if err := s.timeline.Compact(before); err != nil {
		return err
	}
	s.log = slices.DeleteFunc(s.log, func(b store.Batch) bool { return b.Revision <= before })
	s.keys = slices.DeleteFunc(s.keys, func(key string) bool {
		s.versions[key] = kept(s.versions[key], before)
		if len(s.versions[key]) > 0 {
			return false
		}
		delete(s.versions, key)
		return true
	})
	return nil
}

// kept are the versions that some revision from `before` on sees.
func kept(versions []store.Entry, before store.Revision) []store.Entry {
	i := visible(versions, before)
	if i >= 0 && versions[i].Value == nil {
		i++
	}
	return slices.Clone(versions[max(i, 0):])
}

func (s *Store) Close() error {
	s.timeline.Close()
	return nil
}
