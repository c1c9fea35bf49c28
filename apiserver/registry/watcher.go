package registry

import (
	"context"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/apiserver/store"
)

// maxQueued bounds how far a watcher may fall behind before it is dropped and must list again.
const maxQueued = 2048

// watcher is one open watch: what it has still to be told.
type watcher struct {
	picked
	wake chan struct{} // has room for one signal

	mu      sync.Mutex
	queue   []*change
	reached store.Revision // the newest revision that the cache has promised to be complete
	err     error          // why it was dropped
}

// offer queues the changes of a revision, all at once: who is told half of it, and then comes back after it, would miss the rest.
func (w *watcher) offer(all []*change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := len(w.queue)
	for _, c := range all {
		switch {
		case w.namespace != "" && w.namespace != c.key().Namespace, w.err != nil:
		case len(w.queue) == maxQueued:
			w.err = apierrors.NewResourceExpired("the watcher fell too far behind and was dropped; list again")
			w.queue = nil
			w.signal()
		default:
			w.queue = append(w.queue, c)
		}
	}
	if len(w.queue) > before {
		w.signal()
	}
}

// reach lets the watcher know that it has been told everything up to a revision.
func (w *watcher) reach(r store.Revision) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reached = r
	w.signal()
}

func (w *watcher) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
	w.signal()
}

func (w *watcher) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// take waits for something to tell. ok is false when ctx has ended.
func (w *watcher) take(ctx context.Context) (changes []*change, reached store.Revision, ok bool, err error) {
	select {
	case <-w.wake:
	case <-ctx.Done():
		return nil, 0, false, nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	changes, w.queue = w.queue, nil
	if w.err != nil {
		return changes, 0, true, w.err // it may have lost something before what was reached
	}
	return changes, w.reached, true, nil
}

// opening is what a new watcher must be told before what is in its queue.
type opening struct {
	*watcher
	initial  []*state
	missed   []*change
	replay   bool           // what was missed is in the store only
	revision store.Revision // the queue begins after it
	unhook   func() bool    // from the end of its context
}

// open registers a watcher that has seen everything up to `after`, or nothing yet (initial).
func (c *cache) open(p picked, after store.Revision, initial bool) (opening, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.filled {
		return opening{}, false
	}
	o := opening{watcher: &watcher{picked: p, wake: make(chan struct{}, 1)}, revision: c.revision}
	switch {
	case initial:
		o.initial = c.pick(p)
	case after < c.floor:
		o.replay = true
	default:
		for _, ch := range c.recent {
			if ch.revision > after {
				o.missed = append(o.missed, ch)
			}
		}
	}
	if c.watchers[p.index] == nil {
		c.watchers[p.index] = map[*watcher]bool{}
	}
	c.watchers[p.index][o.watcher] = true
	return o, true
}

func (c *cache) close(w *watcher) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if delete(c.watchers[w.index], w); len(c.watchers[w.index]) == 0 {
		delete(c.watchers, w.index)
	}
}
