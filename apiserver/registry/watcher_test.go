package registry

import (
	"slices"
	"testing"
)

// Whoever is dropped must not be promised anything that came after what was lost: if the connection breaks before it hears why, it would resume there.
func TestADroppedWatcherIsPromisedNothing(t *testing.T) {
	w := &watcher{wake: make(chan struct{}, 1)}
	w.offer(slices.Repeat([]*change{{revision: 1, after: &state{}}}, maxQueued+1))
	w.reach(9)
	if changes, reached, _, err := w.take(t.Context()); err == nil || reached != 0 || len(changes) > 0 {
		t.Errorf("told %d changes and promised revision %d (%v)", len(changes), reached, err)
	}
}
