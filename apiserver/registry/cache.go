package registry

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/apiserver/store"
)

// The bounds of a kind's recent changes. They are what a watcher can resume from without asking the store.
const (
	maxRecent      = 4096
	maxRecentBytes = 16 << 20
)

// cache follows one kind in the store, and tells the watchers:
//
//	store.Watch ─▶ states (all, as bytes) + index ─▶ recent changes ─▶ watchers, each with a bounded queue
//
// Watchers that want one value of an indexed field (spec.nodeName=n1) stand under it and are not even looked at when a change has
// another; with a thousand agents that is what makes a pod's change cost two deliveries instead of a thousand.
type cache struct {
	kind *resource

	mu       sync.Mutex
	started  bool
	stopped  bool // after that it is never filled again
	filled   bool
	revision store.Revision                 // everything up to here is in
	changed  chan struct{}                  // closed when that grows; nil while nobody waits
	states   map[string]*state              // by store key
	sizes    map[string]int                 // how many states a namespace has
	index    map[equality]map[string]*state // of the kind's own fields
	recent   []*change
	bytes    int                            // of recent
	floor    store.Revision                 // all changes after it are in recent
	watchers map[equality]map[*watcher]bool // by the value that they want; below the zero equality those that want any
}

func newCache(k *resource) *cache {
	return &cache{kind: k, states: map[string]*state{}, sizes: map[string]int{}, index: map[equality]map[string]*state{}, watchers: map[equality]map[*watcher]bool{}}
}

// Held is how many objects the caches hold, by resource ("deployments.apps"), and the kinds whose caches are not filled yet.
func (r *Registry) Held() (counts map[string]int, empty []string) {
	counts = map[string]int{}
	for _, kind := range r.options.Catalogue.Kept() {
		c := r.resources[kind.GroupKind()].cache
		c.mu.Lock()
		counts[kind.String()] = len(c.states)
		if !c.filled {
			empty = append(empty, kind.String())
		}
		c.mu.Unlock()
	}
	return counts, empty
}

// run keeps the cache filled until ctx ends. Whenever it loses the thread it begins anew, and its watchers must, too.
func (c *cache) run(ctx context.Context, s store.Store, log *slog.Logger) error {
	c.mu.Lock()
	c.started = true
	c.mu.Unlock()
	defer c.stop()
	for {
		err := c.follow(ctx, s)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, store.ErrClosed) {
			return err
		}
		c.drop(apierrors.NewResourceExpired("the server's cache has begun anew; list again"))
		log.Warn("cache begins anew", "kind", c.kind.String(), "err", err)
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func (c *cache) follow(ctx context.Context, s store.Store) error {
	entries, at, err := s.List(ctx, store.Range{Prefix: c.kind.prefix}, 0)
	if err != nil {
		return err
	}
	batches, err := s.Watch(ctx, c.kind.prefix, at)
	if err != nil {
		return err
	}
	c.fill(entries, at)
	if err := s.Progress(ctx); err != nil { // for whom began to wait before there was a watch
		return err
	}
	for b, err := range batches {
		if err != nil {
			return err
		}
		c.apply(b)
	}
	return ctx.Err()
}

func (c *cache) fill(entries []store.Entry, at store.Revision) {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.states)
	clear(c.sizes)
	clear(c.index)
	c.recent, c.bytes, c.floor = nil, 0, at
	for _, e := range entries {
		c.put(e.Key, &state{kind: c.kind, key: c.kind.keyOf(e.Key), value: e.Value, mod: e.Mod})
	}
	c.filled = true
	c.advance(at)
}

func (c *cache) apply(b store.Batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []*change
	for _, ch := range b.Changes {
		next := c.kind.change(b.Revision, ch)
		if have := c.states[ch.Key]; have != nil {
			next.before = have
		}
		c.put(ch.Key, next.after)
		c.remember(next)
		all = append(all, next)
	}
	c.dispatch(all)
	c.advance(b.Revision)
	if len(b.Changes) == 0 {
		c.each(func(w *watcher) { w.reach(b.Revision) })
	}
}

// change is a store's change as states.
func (k *resource) change(at store.Revision, c store.Change) *change {
	next := &change{revision: at}
	if c.Prev != nil {
		next.before = &state{kind: k, key: k.keyOf(c.Key), value: c.Prev, mod: c.PrevMod}
	}
	if c.Value != nil {
		next.after = &state{kind: k, key: k.keyOf(c.Key), value: c.Value, mod: at, keep: true}
	}
	return next
}

func (c *cache) remember(next *change) {
	c.recent = append(c.recent, next)
	c.bytes += next.size()
	for len(c.recent) > maxRecent || c.bytes > maxRecentBytes && len(c.recent) > 1 {
		oldest := c.recent[0]
		c.recent[0], c.recent = nil, c.recent[1:]
		c.bytes -= oldest.size()
		c.floor = oldest.revision
		oldest.before.release()
		oldest.after.release()
	}
}

func (c *cache) advance(to store.Revision) {
	c.revision = max(c.revision, to)
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// size is how many objects a namespace has ("" = all have), as far as the cache has seen.
func (c *cache) size(namespace string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if namespace == "" {
		return int64(len(c.states))
	}
	return int64(c.sizes[namespace])
}

func (c *cache) drop(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.filled = false
	c.each(func(w *watcher) { w.fail(why) })
	clear(c.watchers)
}

var errStopping = apierrors.NewServiceUnavailable("the API server is stopping")

func (c *cache) stop() {
	c.drop(errStopping)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.started, c.stopped = false, true
	c.advance(0)
}

// has reports whether the cache has seen everything up to a revision, and whether it will if it has not.
func (c *cache) has(revision store.Revision) (seen, running bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.filled && c.revision >= revision, c.started
}

// await blocks until the cache has seen everything up to a revision.
func (c *cache) await(ctx context.Context, revision store.Revision) error {
	for {
		c.mu.Lock()
		if c.filled && c.revision >= revision {
			c.mu.Unlock()
			return nil
		}
		if c.stopped {
			c.mu.Unlock()
			return errStopping
		}
		if c.changed == nil {
			c.changed = make(chan struct{})
		}
		changed := c.changed
		c.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
