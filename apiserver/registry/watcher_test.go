package registry

import (
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
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

// Whoever comes when the server has stopped, or is waiting then, is sent away.
func TestNobodyWaitsForACacheThatHasStopped(t *testing.T) {
	c := newCache(&resource{})
	waiting := make(chan error, 1)
	go func() { waiting <- c.await(t.Context(), 1) }()
	c.stop()
	for _, err := range []error{<-waiting, c.await(t.Context(), 1)} {
		if !apierrors.IsServiceUnavailable(err) {
			t.Error(err)
		}
	}
}
