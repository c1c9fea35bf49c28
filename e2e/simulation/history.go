package simulation

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"optimist/apiserver/registry"
	"optimist/apiserver/store"
	"optimist/internal/api"
)

// tap tells of every transaction that a store has committed, before anybody else can do anything.
type tap struct {
	store.Store
	told func(store.Revision, []store.Op)
}

func (t tap) Commit(ctx context.Context, txn store.Txn) (store.Revision, error) {
	revision, err := t.Store.Commit(ctx, txn)
	if err == nil {
		t.told(revision, txn.Do)
	}
	return revision, err
}

// change is one step in the life of one object; before or after is nil where it did not exist.
type change struct {
	kind          *api.Kind
	key           api.Key
	revision      api.Revision
	before, after api.Object
	by            *frame // who did it
}

// version is an object as of a revision; nil: it had been removed.
type version struct {
	revision api.Revision
	object   api.Object
	life     *life // who made it so; nil = the user
}

// track is all that ever happened to one kind.
type track struct {
	kind     *api.Kind
	now      map[api.Key]api.Object
	versions map[api.Key][]version
	changes  []change
}

// history is the truth, which no cache, lag or lost answer can blur: what the watches tell is read from it, and the invariants are judged on it.
type history struct {
	tracks   map[*api.Kind]*track
	byPrefix map[string]*track
	revision api.Revision
	floor    api.Revision // compacted
}

func newHistory() *history {
	h := &history{tracks: map[*api.Kind]*track{}, byPrefix: map[string]*track{}}
	for _, k := range api.Builtin.Kept() {
		t := &track{kind: k, now: map[api.Key]api.Object{}, versions: map[api.Key][]version{}}
		h.tracks[k], h.byPrefix[registry.StoreKey(k, api.Key{})] = t, t
	}
	return h
}

// locate finds which object a key of the store is about; claims and epochs are about none.
func (h *history) locate(storeKey string) (*track, api.Key, bool) {
	parts := strings.Split(storeKey, "/")
	if len(parts) < 4 {
		return nil, api.Key{}, false
	}
	t := h.byPrefix["/"+parts[1]+"/"+parts[2]+"/"]
	switch {
	case t == nil:
		return nil, api.Key{}, false
	case t.kind.Namespaced && len(parts) == 5:
		return t, api.Key{Namespace: parts[3], Name: parts[4]}, true
	case !t.kind.Namespaced && len(parts) == 4:
		return t, api.Key{Name: parts[3]}, true
	}
	return nil, api.Key{}, false
}

func (t *track) add(c change) {
	if c.after == nil {
		delete(t.now, c.key)
	} else {
		t.now[c.key] = c.after
	}
	t.versions[c.key] = append(t.versions[c.key], version{c.revision, c.after, c.by.life})
	t.changes = append(t.changes, c)
}

// after is the index of the first change above a revision.
func (t *track) after(r api.Revision) int {
	i, _ := slices.BinarySearchFunc(t.changes, r+1, func(c change, r api.Revision) int { return int(c.revision - r) })
	return i
}

// keys are those that exist, in order.
func (t *track) keys() []api.Key { return sortedKeys(t.now) }

func sortedKeys[V any](m map[api.Key]V) []api.Key {
	keys := make([]api.Key, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b api.Key) int {
		if n := strings.Compare(a.Namespace, b.Namespace); n != 0 {
			return n
		}
		return strings.Compare(a.Name, b.Name)
	})
	return keys
}

// asOf lists the kind as it was.
func (t *track) asOf(r api.Revision) (all []api.Object) {
	for _, key := range sortedKeys(t.versions) {
		if o := last(t.versions[key], r); o != nil {
			all = append(all, o)
		}
	}
	return all
}

func last(versions []version, r api.Revision) api.Object {
	for _, v := range slices.Backward(versions) {
		if v.revision <= r {
			return v.object
		}
	}
	return nil
}

// since lists all states that an object had from a revision on: the one of then, and every later one. What it was before it was removed and
// made anew counts, too.
func (t *track) since(key api.Key, r api.Revision) (all []api.Object) {
	if o := last(t.versions[key], r); o != nil {
		all = append(all, o)
	}
	for _, v := range t.versions[key] {
		if v.revision > r && v.object != nil {
			all = append(all, v.object)
		}
	}
	return all
}

// all lists a kind as it is, in order.
func all[T api.Object](h *history, of api.Of[T]) []T {
	t := h.tracks[of.Kind]
	list := make([]T, 0, len(t.now))
	for _, key := range t.keys() {
		list = append(list, t.now[key].(T))
	}
	return list
}

func get[T api.Object](h *history, of api.Of[T], key api.Key) (T, bool) {
	o, ok := h.tracks[of.Kind].now[key].(T)
	return o, ok
}

func (c change) String() string { return fmt.Sprintf("%s %s", c.kind, c.key) }
