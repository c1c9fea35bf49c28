package informer

import (
	"cmp"
	"reflect"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"

	"optimist/internal/api"
)

// cache is what is known of one kind. It does no I/O.
type cache struct {
	kind      *api.Kind
	namespace string
	selector  labels.Selector
	fields    fields.Selector
	trim      func(api.Object) api.Object
	trimmed   reflect.Type // the type that trim is about
	listeners []func(Change)
	detect    bool // changes of what readers were given; see detect.go

	order sync.Mutex // held for a whole batch or own write, so that listeners hear changes in order; taken before mu

	mu       sync.RWMutex
	entries  map[api.Key]entry
	graves   map[api.Key]api.Revision // which of the entries are tombstones
	indexes  map[string]*index
	progress api.Revision     // the watch has told everything up to here
	seen     api.Revision     // the highest revision heard of in any way
	synced   bool             // a whole list has been taken in
	expired  bool             // the server no longer knows what came after progress: list again
	listed   map[api.Key]bool // while a list is being told: the keys it has named so far
}

// entry is an object as of a revision, or, without one, the tombstone of an own deletion.
type entry struct {
	object   api.Object
	revision api.Revision
	sum      uint64 // of the object; 0 unless mutations are detected
}

func newCache(k *api.Kind) *cache {
	c := &cache{kind: k, detect: detecting(), entries: map[api.Key]entry{}, graves: map[api.Key]api.Revision{}, indexes: map[string]*index{}}
	c.addIndex(byNamespace, func(o api.Object) []string { return []string{o.GetNamespace()} })
	c.addIndex(byOwner, ownerUIDs)
	return c
}

func (c *cache) open() api.WatchOptions {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := api.WatchOptions{Selector: c.selector, Fields: c.fields}
	if c.synced && !c.expired {
		o.After = c.progress
		return o
	}
	o.Initial, o.NotOlderThan = true, c.seen
	c.listed = map[api.Key]bool{}
	return o
}

// lost forgets the place in history if the server no longer has it, so that the next watch lists again.
func (c *cache) lost(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listed = nil
	if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		c.expired = true
	}
}

func (c *cache) reached(r api.Revision) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.synced && c.progress >= r
}

func (c *cache) deliver(events []api.Event) {
	c.order.Lock()
	defer c.order.Unlock()
	for _, e := range events {
		switch e.Type {
		case api.Added, api.Modified:
			c.name(api.KeyOf(e.Object))
			c.put(e.Object, cmp.Or(api.RevisionOf(e.Object), e.Revision))
		case api.Deleted:
			c.remove(api.KeyOf(e.Object), e.Revision, false)
		}
		if e.InitialEnd {
			c.listEnd(e.Revision)
		}
	}
	c.advance(events[len(events)-1].Revision)
}

// name notes that the list which is under way named a key.
func (c *cache) name(key api.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listed != nil {
		c.listed[key] = true
	}
}

// listEnd removes what a complete list did not name. What is newer than the list (own writes) stays.
func (c *cache) listEnd(at api.Revision) {
	c.mu.Lock()
	var gone []api.Key
	for key, e := range c.entries {
		if e.object != nil && !c.listed[key] && e.revision <= at {
			gone = append(gone, key)
		}
	}
	c.listed, c.expired, c.progress = nil, false, max(c.progress, at)
	c.mu.Unlock()
	slices.SortFunc(gone, compareKeys)
	for _, key := range gone {
		c.remove(key, at, false)
	}
	c.mu.Lock()
	c.synced = true
	c.mu.Unlock()
}

// advance notes how far the watch has told, and buries the tombstones that it has passed.
func (c *cache) advance(to api.Revision) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = max(c.seen, to)
	if c.listed != nil {
		return // objects of a list come in no order
	}
	c.progress = max(c.progress, to)
	for key, r := range c.graves {
		if r <= c.progress {
			delete(c.entries, key)
			delete(c.graves, key)
		}
	}
}

// put takes in an object's state. At the same revision only a tombstone gives way to it: the server knows better what became of our delete.
func (c *cache) put(o api.Object, r api.Revision) {
	if c.trim != nil {
		o = c.trim(o)
	}
	key := api.KeyOf(o)
	c.mu.Lock()
	old, known := c.entries[key]
	if known && (r < old.revision || r == old.revision && old.object != nil) {
		c.mu.Unlock()
		return
	}
	e := entry{object: o, revision: r}
	if c.detect {
		e.sum = checksum(o)
	}
	c.set(key, old, e)
	initial := !c.synced
	c.mu.Unlock()
	if old.object != nil && old.object.GetUID() != o.GetUID() { // another object of that name: two changes
		c.tell(Change{Before: old.object, Revision: r})
		old.object = nil
	}
	c.tell(Change{Before: old.object, After: o, Revision: r, Initial: initial})
}

// remove takes in an object's end. At the same revision it wins over a state: a selector may say that our own write is no longer its business.
func (c *cache) remove(key api.Key, r api.Revision, tombstone bool) {
	c.mu.Lock()
	old, known := c.entries[key]
	if known && r < old.revision || !known && !tombstone {
		c.mu.Unlock()
		return
	}
	c.set(key, old, entry{revision: r})
	if tombstone {
		c.graves[key] = r
	} else {
		delete(c.entries, key)
	}
	c.mu.Unlock()
	if old.object != nil {
		c.tell(Change{Before: old.object, Revision: r})
	}
}

// set replaces an entry, keeping indexes and revisions right. mu is held.
func (c *cache) set(key api.Key, old, e entry) {
	old.verify(c.kind, key)
	for _, ix := range c.indexes {
		ix.replace(key, old.object, e.object)
	}
	c.entries[key] = e
	delete(c.graves, key)
	c.seen = max(c.seen, e.revision)
}

func (c *cache) tell(ch Change) {
	ch.Kind = c.kind
	for _, f := range c.listeners {
		f(ch)
	}
}

func ownerUIDs(o api.Object) []string {
	var uids []string
	for _, r := range o.GetOwnerReferences() {
		uids = append(uids, string(r.UID))
	}
	return uids
}

func compareKeys(a, b api.Key) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}
