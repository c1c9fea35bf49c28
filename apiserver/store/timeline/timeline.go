package timeline

import (
	"sync"

	"optimist/apiserver/store"
)

// Budget is how many bytes of recent batches are kept for watchers.
const Budget = 64 << 20

// Timeline runs from floor, the compacted revision, to now.
type Timeline struct {
	mu      sync.RWMutex
	floor   store.Revision
	now     store.Revision
	recent  []store.Batch // the revisions up to now, consecutive; elements are never written again
	bytes   int           // their cost
	pulses  uint64        // how often Progress was asked for
	changed chan struct{} // closed, and replaced, when any of the above changes
	closed  bool
}

// New returns the timeline of a store that has been compacted at floor and whose newest revision is now.
func New(floor, now store.Revision) *Timeline {
	return &Timeline{floor: floor, now: now, changed: make(chan struct{})}
}

// Resolve turns the revision of a read into a definite one (0 is now), or says why it cannot be read.
func (t *Timeline) Resolve(at store.Revision) (store.Revision, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if at == 0 {
		at = t.now
	}
	return at, t.check(at)
}

func (t *Timeline) check(at store.Revision) error {
	switch {
	case t.closed:
		return store.ErrClosed
	case at > t.now:
		return store.ErrFuture
	case at < t.floor:
		return store.ErrCompacted
	}
	return nil
}

// Publish appends the next batches and returns those that are recent no longer.
func (t *Timeline) Publish(batches ...store.Batch) (dropped []store.Batch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(batches) == 0 {
		return nil
	}
	for _, b := range batches {
		t.bytes += cost(b)
	}
	t.recent = append(t.recent, batches...)
	t.now = batches[len(batches)-1].Revision
	n := 0
	for ; t.bytes > Budget && n < len(t.recent)-1; n++ {
		t.bytes -= cost(t.recent[n])
	}
	dropped, t.recent = t.recent[:n], t.recent[n:]
	t.wake()
	return dropped
}

// cost estimates the memory of a batch. Prev is another batch's value.
func cost(b store.Batch) int {
	n := 64 + len(b.Note)
	for _, c := range b.Changes {
		n += 128 + len(c.Key) + len(c.Value)
	}
	return n
}

// Progress makes every watcher yield an empty batch once it has caught up with now.
func (t *Timeline) Progress() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return store.ErrClosed
	}
	t.pulses++
	t.wake()
	return nil
}

// Floor is the oldest revision that can be read.
func (t *Timeline) Floor() store.Revision {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.floor
}

// Compact raises the floor, if that is higher, and never above now.
func (t *Timeline) Compact(floor store.Revision) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.check(max(floor, t.floor)); err != nil {
		return err
	}
	t.floor = max(floor, t.floor)
	t.wake()
	return nil
}

// Close ends all watches and refuses all reads.
func (t *Timeline) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	t.wake()
}

func (t *Timeline) wake() {
	close(t.changed)
	t.changed = make(chan struct{})
}
