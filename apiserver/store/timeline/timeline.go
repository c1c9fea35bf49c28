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
	index   *Index        // every version that can be read
	bytes   int           // their cost
	pulses  uint64        // how often Progress was asked for
	changed chan struct{} // closed, and replaced, when any of the above changes
	closed  bool
}

// New returns the timeline of a store that has been compacted at floor and whose newest revision is now. It takes the index over.
func New(floor, now store.Revision, x *Index) *Timeline {
	return &Timeline{floor: floor, now: now, index: x, changed: make(chan struct{})}
}

// Resolve turns the revision of a read into a definite one (0 is now), or says why it cannot be read.
func (t *Timeline) Resolve(at store.Revision) (store.Revision, error) {
	return t.Look(at, func(*Index, store.Revision) {})
}

// Look has versions looked up as of a revision, which Resolve makes definite: the index is as it is only while look runs.
func (t *Timeline) Look(at store.Revision, look func(*Index, store.Revision)) (store.Revision, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if at == 0 {
		at = t.now
	}
	err := t.check(at)
	if err == nil {
		look(t.index, at)
	}
	return at, err
}

// Recent is the change that made a version, if it is recent.
func (t *Timeline) Recent(v Version) (c store.Change, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if i := len(t.recent) - 1 - int(t.now-v.Mod); i >= 0 {
		return t.recent[i].Changes[v.Sub], true
	}
	return c, false
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

// Publish appends the next batches.
func (t *Timeline) Publish(batches ...store.Batch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, b := range batches {
		t.bytes += cost(b)
		t.now = b.Revision
		for i, c := range b.Changes {
			t.index.Add(Version{Key: c.Key, Mod: b.Revision, Sub: uint32(i), Gone: c.Value == nil})
		}
	}
	t.recent = append(t.recent, batches...)
	for ; t.bytes > Budget && len(t.recent) > 1; t.recent = t.recent[1:] {
		t.bytes -= cost(t.recent[0])
	}
	t.wake()
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

// Compact raises the floor, if that is higher, and never above now. It returns the versions that are not seen any more.
func (t *Timeline) Compact(floor store.Revision) ([]Version, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.check(max(floor, t.floor)); err != nil {
		return nil, err
	}
	t.floor = max(floor, t.floor)
	t.wake()
	return t.index.compact(t.floor), nil
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
