package storetest

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"optimist/apiserver/store"
)

// world is the model: the whole content at every revision, as a plain map.
type world struct {
	at    []map[string]store.Entry // index = revision
	floor store.Revision
}

func (w *world) now() store.Revision { return store.Revision(len(w.at) - 1) }

// commit applies a transaction to a copy of the newest map, unless a guard does not hold.
func (w *world) commit(txn store.Txn) bool {
	next := maps.Clone(w.at[w.now()])
	for _, g := range txn.If {
		if next[g.Key].Mod != g.Mod {
			return false
		}
	}
	rev := w.now() + 1
	for _, op := range txn.Do {
		if op.Value == nil {
			delete(next, op.Key)
			continue
		}
		e := store.Entry{Key: op.Key, Value: op.Value, Create: rev, Mod: rev}
		if old, ok := next[op.Key]; ok {
			e.Create = old.Create
		}
		next[op.Key] = e
	}
	w.at = append(w.at, next)
	return true
}

func (w *world) list(r store.Range, at store.Revision) []store.Entry {
	var entries []store.Entry
	for _, key := range slices.Sorted(maps.Keys(w.at[at])) {
		if strings.HasPrefix(key, r.Prefix) && key >= r.From && (r.Limit == 0 || len(entries) < r.Limit) {
			entries = append(entries, w.at[at][key])
		}
	}
	return entries
}

// diff is what a watch should see of a revision.
func (w *world) diff(rev store.Revision) map[string]store.Change {
	changes := map[string]store.Change{}
	before, after := w.at[rev-1], w.at[rev]
	for key, e := range after {
		if e.Mod == rev {
			changes[key] = store.Change{Key: key, Value: e.Value, Prev: before[key].Value, Create: e.Create, PrevMod: before[key].Mod}
		}
	}
	for key, e := range before {
		if _, there := after[key]; !there {
			changes[key] = store.Change{Key: key, Prev: e.Value, Create: e.Create, PrevMod: e.Mod}
		}
	}
	return changes
}

var (
	someKey    = rapid.SampledFrom([]string{"/a", "/a/1", "/a/2", "/a\x01", "/b", "/b/1", "/b\xff"})
	somePrefix = rapid.SampledFrom([]string{"", "/", "/a", "/a/", "/b", "/c"})
)

func model(t *testing.T, open Open) {
	rapid.Check(t, func(rt *rapid.T) {
		s := open(t)
		defer s.Close()
		w := &world{at: []map[string]store.Entry{{}}}
		rt.Repeat(map[string]func(*rapid.T){
			"commit":  func(rt *rapid.T) { commitBoth(rt, t, s, w) },
			"get":     func(rt *rapid.T) { getBoth(rt, t, s, w) },
			"list":    func(rt *rapid.T) { listBoth(rt, t, s, w) },
			"watch":   func(rt *rapid.T) { watchBoth(rt, t, s, w) },
			"compact": func(rt *rapid.T) { compactBoth(rt, t, s, w) },
		})
	})
}

func commitBoth(rt *rapid.T, t *testing.T, s store.Store, w *world) {
	var txn store.Txn
	for _, key := range rapid.SliceOfNDistinct(someKey, 0, 4, rapid.ID).Draw(rt, "keys") {
		op := store.Op{Key: key}
		if rapid.IntRange(0, 3).Draw(rt, "delete if 0") > 0 {
			op.Value = fmt.Appendf([]byte{}, "%s at %d", key, w.now()+1)
		}
		txn.Do = append(txn.Do, op)
	}
	for _, key := range rapid.SliceOfN(someKey, 0, 2).Draw(rt, "guards") {
		g := store.Guard{Key: key, Mod: w.at[w.now()][key].Mod}
		if rapid.IntRange(0, 4).Draw(rt, "wrong if 0") == 0 {
			g.Mod++
		}
		txn.If = append(txn.If, g)
	}
	applied := w.commit(txn)
	rev, err := s.Commit(t.Context(), txn)
	_, conflict := errors.AsType[*store.Conflict](err)
	if applied && (err != nil || rev != w.now()) || !applied && !conflict {
		rt.Fatalf("commit %v: got %d, %v; the model says %v at %d", txn, rev, err, applied, w.now())
	}
}

// revision draws one to read at, with the error that this should give.
func (w *world) revision(rt *rapid.T) (at, answer store.Revision, want error) {
	at = store.Revision(rapid.IntRange(0, int(w.now())+1).Draw(rt, "at"))
	switch {
	case at == 0:
		return 0, w.now(), nil
	case at > w.now():
		return at, 0, store.ErrFuture
	case at < w.floor:
		return at, 0, store.ErrCompacted
	}
	return at, at, nil
}

func getBoth(rt *rapid.T, t *testing.T, s store.Store, w *world) {
	key := someKey.Draw(rt, "key")
	at, answer, want := w.revision(rt)
	got, err := s.Get(t.Context(), key, at)
	if !errors.Is(err, want) || err == nil && !reflect.DeepEqual(got, w.at[answer][key]) {
		rt.Fatalf("get %q at %d: got %+v, %v; want %+v, %v", key, at, got, err, w.at[answer][key], want)
	}
}

func listBoth(rt *rapid.T, t *testing.T, s store.Store, w *world) {
	r := store.Range{Prefix: somePrefix.Draw(rt, "prefix"), Limit: rapid.IntRange(0, 4).Draw(rt, "limit")}
	if rapid.Bool().Draw(rt, "continue") {
		r.From = someKey.Draw(rt, "from") + "\x00"
	}
	at, answer, want := w.revision(rt)
	got, rev, err := s.List(t.Context(), r, at)
	if !errors.Is(err, want) {
		rt.Fatalf("list %+v at %d: got error %v, want %v", r, at, err, want)
	}
	if err == nil && (rev != answer || len(got)+len(w.list(r, answer)) > 0 && !reflect.DeepEqual(got, w.list(r, answer))) {
		rt.Fatalf("list %+v at %d: got %v at %d, want %v", r, at, got, rev, w.list(r, answer))
	}
}

func watchBoth(rt *rapid.T, t *testing.T, s store.Store, w *world) {
	prefix := somePrefix.Draw(rt, "prefix")
	after := store.Revision(rapid.IntRange(int(w.floor), int(w.now())).Draw(rt, "after"))
	seq, err := s.Watch(t.Context(), prefix, after)
	if err == nil {
		err = s.Progress(t.Context())
	}
	if err != nil {
		rt.Fatalf("watch after %d: %v", after, err)
	}
	for b, err := range seq {
		if err != nil {
			rt.Fatalf("watch after %d: %v", after, err)
		}
		for after++; after < b.Revision; after++ {
			sameChanges(rt, w, prefix, store.Batch{Revision: after})
		}
		if len(b.Changes) == 0 { // everything has been seen
			break
		}
		sameChanges(rt, w, prefix, b)
	}
	if after < w.now() {
		rt.Fatalf("progress was told at %d, before %d", after, w.now())
	}
}

func sameChanges(rt *rapid.T, w *world, prefix string, b store.Batch) {
	got, want := map[string]store.Change{}, w.diff(b.Revision)
	for _, c := range b.Changes {
		got[c.Key] = c
	}
	maps.DeleteFunc(want, func(key string, _ store.Change) bool { return !strings.HasPrefix(key, prefix) })
	if !reflect.DeepEqual(got, want) || len(got) != len(b.Changes) {
		rt.Fatalf("watch %q: revision %d changes %+v, want %+v", prefix, b.Revision, b.Changes, want)
	}
}

func compactBoth(rt *rapid.T, t *testing.T, s store.Store, w *world) {
	before := store.Revision(rapid.IntRange(0, int(w.now())).Draw(rt, "before"))
	if err := s.Compact(t.Context(), before); err != nil {
		rt.Fatalf("compact %d: %v", before, err)
	}
	w.floor = max(w.floor, before)
}
